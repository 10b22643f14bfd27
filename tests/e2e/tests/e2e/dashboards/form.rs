//! What every panel and every alert must have.

use std::collections::BTreeSet;
use std::fs;

use e2e::tools;
use entra_token_core::failure::FailureCode;

use super::{alerts_of, expressions, panels, rules, title};
use crate::documents::has_heading;

const DATA_SOURCE: &str = "${datasource}";

/// Where the documentation is, until a user says it.
const DOCUMENTS: &str = "https://git.example.com/entra-auth-for-envoy/docs/runbooks.md#";

#[test]
fn every_panel_has_a_title_a_description_and_a_unit_and_asks_for_the_chosen_proxies() {
    let panels = panels();
    let mut titles = BTreeSet::new();
    for panel in &panels {
        let name = title(panel);
        assert!(titles.insert(name), "two panels have the title {name:?}");
        let description = panel["description"].as_str().unwrap_or_default();
        assert!(description.ends_with('.'), "{name}: {description:?}");
        assert!(
            panel["fieldConfig"]["defaults"]["unit"].is_string(),
            "{name}"
        );
        assert_eq!(panel["datasource"]["uid"], DATA_SOURCE, "{name}");
        for expression in expressions(panel) {
            let selectors = expression.matches('{').count();
            let chosen = expression.matches(r#"{job=~"$job",instance=~"$instance""#);
            assert_eq!(chosen.count(), selectors, "{name}: {expression}");
            let mut windows = expression.split("}[").skip(1);
            let fits = windows.all(|it| it.starts_with("$__rate_interval]"));
            assert!(fits, "{name}: {expression}");
        }
    }
    assert!(titles.len() > 15, "{titles:?}");
}

#[test]
fn every_alert_has_its_section_in_the_runbooks() {
    let istio = tools::repository().join("istio/prometheus/rules.yaml");
    let text = fs::read_to_string(tools::repository().join("docs/runbooks.md"));
    let text = text.expect("the runbooks");
    let alerts = [alerts_of(&rules()), alerts_of(&istio)].concat();
    assert!(alerts.len() >= 10, "{alerts:?}");
    for (name, alert) in &alerts {
        let annotations = &alert["annotations"];
        let url = annotations["runbook_url"].as_str().unwrap_or_default();
        let heading = url
            .strip_prefix(DOCUMENTS)
            .unwrap_or_else(|| panic!("{url}"));
        assert_eq!(heading, name.to_lowercase());
        assert!(has_heading(&text, heading), "no section {name}");
        for part in ["summary", "description"] {
            assert!(annotations[part].is_string(), "{name} has no {part}");
        }
        let severity = alert["labels"]["severity"].as_str().unwrap_or_default();
        assert!(
            ["critical", "warning"].contains(&severity),
            "{name}: {severity}"
        );
    }
    let sections = text.split("\n## ").skip(1);
    let described: BTreeSet<_> = sections
        .filter(|section| section.starts_with("EntraAuth"))
        .map(|section| {
            for part in ["Meaning.", "Consequence.", "Look.", "Do."] {
                assert!(
                    section.contains(&format!("\n**{part}**")),
                    "no {part} in {section}"
                );
            }
            assert!(section.contains("\n**Ends**"), "{section}");
            section.lines().next().unwrap_or_default().to_owned()
        })
        .collect();
    assert_eq!(
        described,
        alerts.into_iter().map(|(name, _)| name).collect()
    );
}

#[test]
fn troubleshooting_has_every_code_of_a_failure() {
    let guide = tools::repository().join("docs/guides/troubleshooting.md");
    let guide = fs::read_to_string(guide).expect("the guide");
    for code in FailureCode::ALL {
        assert!(guide.contains(&format!("`{code}`")), "{code}");
    }
}
