//! The alerts for Istio: when those that only Istio needs fire, by Prometheus' own tool, and that the example has the
//! metrics which all alerts ask for.

use std::collections::{BTreeMap, BTreeSet};

use e2e::Sample;
use regex::Regex;

use super::files::{folder, list, text, yaml};
use super::stats;
use crate::dashboards;

#[test]
fn the_alert_sees_each_failure_to_pull_for_an_hour() {
    dashboards::rules::hold(&folder().join("prometheus/rules.yaml"), "istio/alerts.yaml");
}

#[test]
fn the_example_has_every_metric_that_the_alerts_ask_for() {
    let example = yaml(&folder().join("prometheus/example/prometheus.yml")).remove(0);
    let name = Regex::new("\\b(istio_agent|entra_auth)_[a-z_]+").expect("an expression");
    let files = [folder().join("prometheus/rules.yaml"), dashboards::rules()];
    let alerts = files.iter().flat_map(|file| dashboards::alerts_of(file));
    let asked: BTreeSet<_> = alerts
        .flat_map(|(_, alert)| {
            let found = name.find_iter(text(&alert["expr"]));
            found.map(|it| it.as_str().to_owned()).collect::<Vec<_>>()
        })
        .collect();
    assert!(asked.len() > 8, "{asked:?}");
    for asked in asked {
        let is_kept = list(&example["scrape_configs"]).iter().any(|job| {
            let sample = Sample {
                name: asked.clone(),
                labels: BTreeMap::new(),
                value: 1.0,
            };
            let rules = job.get("metric_relabel_configs");
            rules.is_some_and(|rules| stats::relabelled(sample, list(rules)).is_some())
        });
        assert!(is_kept, "{asked}");
    }
}
