//! The alerts of the guide for Istio: when they fire, by Prometheus' own tool, and that the example has the
//! metrics which they ask for.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use e2e::Sample;
use regex::Regex;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::files::{blocks, folder, list, text, yaml};
use super::stats;

/// The rules of the guide.
fn alerts() -> Value {
    let mut blocks = blocks("istio-prometheus.md").into_iter();
    let found = blocks.find(|block| block[0].get("alert").is_some());
    found.expect("alerts")
}

#[test]
fn the_guides_alert_sees_each_failure_to_pull_for_an_hour() {
    let folder = TempDir::new().expect("a folder");
    // JSON is YAML.
    let rules = json!({"groups": [{"name": "guide", "rules": alerts()}]});
    for (file, text) in [
        ("rules.yaml", rules.to_string().as_str()),
        ("alerts.yaml", include_str!("alerts.yaml")),
    ] {
        fs::write(folder.path().join(file), text).expect("a file");
    }
    let output = Command::new("promtool")
        .args(["test", "rules", "alerts.yaml"])
        .current_dir(folder.path())
        .output()
        .expect("promtool, which comes with Prometheus");
    let printed =
        [output.stdout, output.stderr].map(|it| String::from_utf8_lossy(&it).into_owned());
    assert!(output.status.success(), "{}", printed.concat());
}

#[test]
fn the_example_has_every_metric_that_the_alerts_ask_for() {
    let example = yaml(&folder().join("prometheus/example/prometheus.yml")).remove(0);
    let name = Regex::new("\\b(istio_agent|entra_auth)_[a-z_]+").expect("an expression");
    let alerts = alerts();
    let asked: BTreeSet<_> = list(&alerts)
        .iter()
        .flat_map(|alert| name.find_iter(text(&alert["expr"])))
        .map(|found| found.as_str())
        .collect();
    assert!(asked.len() > 4, "{asked:?}");
    for asked in asked {
        let is_kept = list(&example["scrape_configs"]).iter().any(|job| {
            let sample = Sample {
                name: asked.to_owned(),
                labels: BTreeMap::new(),
                value: 1.0,
            };
            let rules = job.get("metric_relabel_configs");
            rules.is_some_and(|rules| stats::relabelled(sample, list(rules)).is_some())
        });
        assert!(is_kept, "{asked}");
    }
}
