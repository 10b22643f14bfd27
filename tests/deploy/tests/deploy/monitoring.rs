//! The dashboard and the alerts: the dashboard is what its code prints, and the chart installs what the files have.

use std::collections::BTreeSet;

use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::cases::{ValuesFile, chart, template};
use crate::manifests::{Manifests, at, list, text};
use crate::tools::{self, KUBERNETES};
use crate::values::least;

/// Where the file's links to the runbooks lead.
const RUNBOOKS: &str = "https://git.example.com/entra-auth-for-envoy/docs/runbooks.md";

pub(crate) fn trials() -> Vec<Trial> {
    let trial = |name: &str, run: fn() -> Result<(), String>| {
        crate::trial(format!("monitoring::{name}"), run)
    };
    vec![
        trial(
            "the_dashboard_is_what_its_code_prints",
            is_what_its_code_prints,
        ),
        trial("the_chart_installs_the_files", installs_the_files),
        trial("the_schema_names_the_alerts", the_schema_names_the_alerts),
    ]
}

fn dashboard() -> Result<String, String> {
    tools::read(&chart().join("dashboards/entra-auth-envoy.json"))
}

fn rules() -> Result<Value, String> {
    let text = tools::read(&chart().join("dashboards/rules.yaml"))?;
    serde_saphyr::from_str(&text).map_err(|error| error.to_string())
}

fn is_what_its_code_prints() -> Result<(), String> {
    let mut code = tools::program(".tools/venv/bin/python", "scripts/setup grafana")?;
    code.arg(tools::repository("helm/dashboard/dashboard.py"));
    match tools::output(&mut code)? == dashboard()? {
        true => Ok(()),
        false => Err("it is not: run `make dashboard`".to_owned()),
    }
}

fn installs_the_files() -> Result<(), String> {
    let values = json!({
        "dashboards": { "enabled": true },
        "prometheusRule": { "enabled": true, "runbooks": RUNBOOKS },
    });
    let (least, values) = (ValuesFile::of(&least())?, ValuesFile::of(&values)?);
    let made = tools::output(&mut template(KUBERNETES[1], &[&least, &values])?)?;
    let made = Manifests::parse(&made)?;
    let installed = at(made.only("ConfigMap")?, "/data/entra-auth-envoy.json");
    if installed.as_str() != Some(dashboard()?.as_str()) {
        return Err("the ConfigMap has another dashboard".to_owned());
    }
    let installed = at(made.only("PrometheusRule")?, "/spec/groups");
    match installed == &rules()?["groups"] {
        true => Ok(()),
        false => Err(format!("the PrometheusRule has other rules: {installed:#}")),
    }
}

/// And a threshold for those whose expressions end in one.
fn the_schema_names_the_alerts() -> Result<(), String> {
    let schema = tools::read(&chart().join("values.schema.json"))?;
    let schema: Value = serde_json::from_str(&schema).map_err(|error| error.to_string())?;
    let alerts = at(
        &schema,
        "/properties/prometheusRule/properties/alerts/properties",
    );
    let named: BTreeSet<_> = alerts
        .as_object()
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .into_iter()
        .map(|(name, of)| {
            (
                name.clone(),
                text(of, "/$ref") == "#/definitions/alertWithThreshold",
            )
        })
        .collect();
    let rules = rules()?;
    let groups = list(&rules, "/groups");
    let alerts = groups.flat_map(|group| list(group, "/rules"));
    let alerts = alerts.filter(|rule| rule.get("alert").is_some());
    let there: BTreeSet<_> = alerts
        .map(|alert| {
            let last = text(alert, "/expr").split_whitespace().next_back();
            let seconds = last.and_then(|it| it.parse::<u32>().ok()).unwrap_or(0);
            (text(alert, "/alert").to_owned(), seconds > 1)
        })
        .collect();
    match named == there {
        true => Ok(()),
        false => Err(format!("{named:?} in the schema, {there:?} in the file")),
    }
}
