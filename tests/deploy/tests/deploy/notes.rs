//! What Helm says after an installation: each warning where it is due, and only there. `helm template`
//! does not show it, so a chart around ours renders it as a file.

use std::fs;
use std::os::unix::fs::symlink;

use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::cases::{ValuesFile, chart, helm};
use crate::tools::{self, KUBERNETES};
use crate::values::least;

const NOTES: &str = r#"notes: {{ include "around/charts/entra-auth-envoy/templates/NOTES.txt" (index .Subcharts "entra-auth-envoy") | toJson }}"#;

const MEMORY: &str = "resources.limits.memory is below 256Mi";
const OUTSIDE: &str = "whoever reaches it from outside";
const ANYBODY: &str = "service.loadBalancerSourceRanges";
const INSIDE: &str = "see networkPolicy";
const WARNINGS: [&str; 4] = [MEMORY, OUTSIDE, ANYBODY, INSIDE];

pub(crate) fn trials() -> Vec<Trial> {
    let memory = |limit: Value| json!({ "resources": { "limits": { "memory": limit } } });
    let service =
        |ranges: &[&str]| json!({ "type": "LoadBalancer", "loadBalancerSourceRanges": ranges });
    let cases: [(Value, &[&str]); 8] = [
        (json!({}), &[INSIDE]),
        (json!({ "networkPolicy": { "enabled": true } }), &[]),
        (memory("255Mi".into()), &[MEMORY, INSIDE]),
        (memory("250M".into()), &[MEMORY, INSIDE]),
        (memory((268_435_456).into()), &[INSIDE]),
        (memory("1.5Gi".into()), &[INSIDE]),
        (
            json!({ "service": service(&[]) }),
            &[OUTSIDE, ANYBODY, INSIDE],
        ),
        (
            json!({ "service": service(&["10.0.0.0/8"]) }),
            &[OUTSIDE, INSIDE],
        ),
    ];
    let trial = |(values, warnings): (Value, &'static [&str])| {
        crate::trial(format!("notes::{values}"), move || {
            let notes = of(&values)?;
            let is_told = |warning: &&str| notes.contains(*warning);
            let told: Vec<_> = WARNINGS.into_iter().filter(is_told).collect();
            match told == warnings {
                true => Ok(()),
                false => Err(format!("warns of {told:?}, not of {warnings:?}: {notes}")),
            }
        })
    };
    cases.into_iter().map(trial).collect()
}

fn of(values: &Value) -> Result<String, String> {
    let around = tempfile::tempdir().map_err(|error| error.to_string())?;
    let path = |name: &str| around.path().join(name);
    let write = || {
        fs::create_dir_all(path("charts"))?;
        fs::create_dir_all(path("templates"))?;
        fs::write(
            path("Chart.yaml"),
            "{ apiVersion: v2, name: around, version: 0.0.0 }",
        )?;
        fs::write(path("templates/notes.yaml"), NOTES)?;
        symlink(chart(), path("charts/ours"))
    };
    write().map_err(|error| error.to_string())?;
    let least = ValuesFile::of(&json!({ "entra-auth-envoy": least() }))?;
    let values = ValuesFile::of(&json!({ "entra-auth-envoy": values }))?;
    let mut helm = helm()?;
    helm.arg("template").arg("proxy").arg(around.path());
    helm.args(["--show-only", "templates/notes.yaml"]);
    helm.args(["--kube-version", KUBERNETES[1]]);
    helm.arg("--values").arg(least.path());
    helm.arg("--values").arg(values.path());
    tools::output(&mut helm)
}
