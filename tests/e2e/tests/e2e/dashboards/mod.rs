//! The chart's dashboard and the alerts: what they consist of, when the alerts fire, and what they show of real
//! proxies.

mod form;
mod live;
pub(crate) mod rules;

use std::fs;
use std::path::{Path, PathBuf};

use e2e::tools;
use serde_json::Value;

/// The alerts and recording rules of the chart.
pub(crate) fn rules() -> PathBuf {
    folder().join("rules.yaml")
}

fn folder() -> PathBuf {
    tools::repository().join("helm/entra-auth-envoy/dashboards")
}

/// The rules of all groups of a file.
pub(crate) fn rules_of(file: &Path) -> Vec<Value> {
    let text = fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    let file: Value = serde_saphyr::from_str(&text).expect("YAML");
    let groups = file["groups"].as_array().expect("groups");
    let rules = groups.iter().filter_map(|group| group["rules"].as_array());
    rules.flatten().cloned().collect()
}

/// Those that are alerts, each with its name.
pub(crate) fn alerts_of(file: &Path) -> Vec<(String, Value)> {
    let rules = rules_of(file).into_iter();
    rules
        .filter_map(|rule| Some((rule["alert"].as_str()?.to_owned(), rule)))
        .collect()
}

/// The panels of the dashboard without the headings of rows.
fn panels() -> Vec<Value> {
    let text = fs::read_to_string(folder().join("entra-auth-envoy.json")).expect("a dashboard");
    let dashboard: Value = serde_json::from_str(&text).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels").iter();
    panels.filter(|it| it["type"] != "row").cloned().collect()
}

/// The title of a panel.
fn title(panel: &Value) -> &str {
    panel["title"].as_str().expect("a title")
}

/// The expressions of a panel.
fn expressions(panel: &Value) -> Vec<&str> {
    let targets = panel["targets"].as_array().expect("targets");
    let expressions = targets.iter().map(|it| it["expr"].as_str());
    expressions.map(|it| it.expect("an expression")).collect()
}
