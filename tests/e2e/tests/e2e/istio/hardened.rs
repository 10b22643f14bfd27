//! `istio/prometheus/overlays/hardened` on a real Envoy: what becomes of refused tokens, of wrong
//! configurations, of a module that is lost, and of the metrics.

use std::time::Duration;

use azure_sim::{AZURE_MONITOR, CachedTokens, METRICS_PUBLISHER, RoleAssignment};
use e2e::azure::ECHO;
use e2e::eventually;
use serde_json::{Value, json};

use super::files::{folder, list, ways_in, yaml};
use super::sidecar::{NAME, Setup, Sidecar, azure};
use super::{PATIENCE, module_lost, stat_of, stats};
use crate::downstream;

/// A host that is nobody's target.
const OTHER: &str = "other.example.com";

const MISTAKES: &str = "entra_auth_configuration_mistakes";

#[test]
fn the_hardened_form_heals_a_revoked_token_within_one_request() {
    let (azure, identity) = azure();
    let sidecar = Sidecar::start(&azure, &identity);
    sidecar.wait_until_served();
    for revoked in 0..2 {
        azure.revoke(CachedTokens::Forget);
        let answer = sidecar.post(true);
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(azure.state().imds.calls, 2 + revoked);
    }
}

#[test]
fn the_hardened_form_turns_a_missing_role_into_503_for_remote_write_alone() {
    let (azure, identity) = azure();
    let role = RoleAssignment {
        object_id: identity.object_id.clone(),
        audience: AZURE_MONITOR.into(),
        role: METRICS_PUBLISHER.into(),
    };
    azure.remove_role(role.clone());
    let sidecar = Sidecar::start(&azure, &identity);
    eventually(
        Duration::from_secs(60),
        "the target's refusal",
        || match sidecar.post(false) {
            answer if answer.status == 403 => Ok(()),
            answer => Err(answer.text()),
        },
    );
    let answer = sidecar.post(true);
    let seen = (answer.status, answer.header("retry-after"));
    assert_eq!(seen, (503, Some("30")), "{}", answer.text());

    azure.grant_role(role);
    assert_eq!(sidecar.post(true).status, 200);
}

/// The filter with two mistakes.
fn wrong(filter: &Value) -> Value {
    with_plugin(filter, |plugin| {
        plugin["identities"][0]["type"] = json!("magic");
        plugin["targets"][0]["audience"] = json!("");
    })
}

/// The filter with a change of the plugin's configuration.
fn with_plugin(filter: &Value, change: impl FnOnce(&mut Value)) -> Value {
    let mut filter = filter.clone();
    let text = &mut filter["config"]["configuration"]["value"];
    let mut plugin = serde_json::from_str(text.as_str().expect("a text")).expect("JSON");
    change(&mut plugin);
    *text = plugin.to_string().into();
    filter
}

#[test]
fn a_wrong_first_configuration_of_the_hardened_form_says_what_to_mend() {
    let (azure, identity) = azure();
    let setup = Setup {
        first: wrong,
        ..Setup::default()
    };
    let sidecar = Sidecar::set_up(&azure, &identity, &setup);
    // To remote write and to anybody else, and to whatever host leads to the cluster.
    for is_remote_write in [true, false] {
        let answer = sidecar.post(is_remote_write);
        assert_eq!(answer.status, 503, "{}", answer.text());
        assert_eq!(answer.header("retry-after"), Some("30"));
        let body: Value = answer.json().expect("JSON");
        assert_eq!(body["error"]["code"], "configuration_invalid");
        let message = body["error"]["message"].as_str().expect("a message");
        for error in ["identities[0].type: `magic`", "targets[0].audience: \"\""] {
            assert!(message.contains(error), "no {error:?} in {message}");
        }
    }
    sidecar.wait_for_stat(MISTAKES, 2);
    // Once: a local answer is no reason for Envoy to try again.
    sidecar.wait_for_stat("outcome=.=unavailable;.;entra_auth_requests_total", 2);
    assert_eq!(downstream::send(sidecar.port, OTHER, ECHO).status, 401);
    assert_eq!(azure.state().target.requests, 1);

    sidecar.offer(&sidecar.filter);
    sidecar.wait_until_served();
    sidecar.wait_for_stat(MISTAKES, 0);

    // A later one is refused.
    let later = with_plugin(&sidecar.filter, |plugin| {
        plugin["targets"][0]["identity"] = json!("nobody");
    });
    sidecar.offer(&later);
    sidecar.wait_for_stat(MISTAKES, 1);
    assert_eq!(sidecar.post(true).status, 200);
    // And so is the first one once more, of which Envoy remembers that it was taken.
    sidecar.offer(&wrong(&sidecar.filter));
    sidecar.wait_for_stat(MISTAKES, 2);
    for _ in 0..5 {
        assert_eq!(sidecar.post(true).status, 200);
    }
    assert_eq!(azure.state().imds.calls, 1);
}

/// Two clusters may have filters of one name: what one of them has is no configuration for the other.
#[test]
fn a_wrong_configuration_for_another_host_does_not_keep_the_good_one() {
    let (azure, identity) = azure();
    let setup = Setup {
        first: |filter| {
            let wrong = wrong(filter);
            with_plugin(&wrong, |plugin| {
                plugin["targets"][0]["hosts"][0] = json!(OTHER);
            })
        },
        ..Setup::default()
    };
    let sidecar = Sidecar::set_up(&azure, &identity, &setup);
    assert_eq!(sidecar.post(true).status, 503);
    sidecar.offer(&sidecar.filter);
    sidecar.wait_until_served();
    // Envoy takes it without a question, and the token that there is was not for this host.
    sidecar.offer(&(setup.first)(&sidecar.filter));
    eventually(PATIENCE, "the mistakes", || match sidecar.post(true) {
        answer if answer.text().contains("configuration_invalid") => Ok(()),
        answer => Err(format!("{}: {}", answer.status, answer.text())),
    });
}

#[test]
fn the_hardened_form_sends_no_token_in_clear() {
    let (azure, identity) = azure();
    let setup = Setup {
        has_tls: false,
        ..Setup::default()
    };
    let sidecar = Sidecar::set_up(&azure, &identity, &setup);
    let answer = sidecar.post(true);
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(answer.text().contains("target_without_tls"));
    assert_eq!(azure.state().target.requests, 0);
}

/// What Istio's agent sends without the module is no Wasm filter, and no other is taken.
#[test]
fn the_hardened_form_keeps_its_filter_when_the_module_is_lost() {
    let (azure, identity) = azure();
    let sidecar = Sidecar::start(&azure, &identity);
    sidecar.wait_until_served();
    let rejected = format!("{NAME}.update_rejected");
    let before = stat_of(sidecar.admin, &rejected);
    sidecar.offer(&module_lost::denial());
    sidecar.wait_for_stat(&rejected, before + 1);
    for _ in 0..5 {
        assert_eq!(sidecar.post(true).status, 200);
    }
}

/// Prometheus repeats what is answered 500, and other hosts are served.
#[test]
fn the_hardened_form_that_starts_without_the_module_asks_for_a_repeat_at_its_host_alone() {
    let (azure, identity) = azure();
    let setup = Setup {
        first: |_| module_lost::denial(),
        ..Setup::default()
    };
    let sidecar = Sidecar::set_up(&azure, &identity, &setup);
    assert_eq!(sidecar.post(true).status, 500);
    assert_eq!(downstream::send(sidecar.port, OTHER, ECHO).status, 401);
    sidecar.offer(&sidecar.filter);
    sidecar.wait_until_served();
}

/// Envoy 1.36 to 1.38 counts them as the cluster's, which Istio does not show by itself.
#[test]
fn prometheus_gets_the_metrics_of_the_hardened_form_by_their_names() {
    let (azure, identity) = azure();
    let mut ways = ways_in().into_iter();
    let found = ways.find(|(way, _)| way == "prometheus/overlays/hardened");
    let (_, documents) = found.expect("this overlay");
    let setup = Setup {
        stats_config: stats::of_istio(&documents),
        ..Setup::default()
    };
    let sidecar = Sidecar::set_up(&azure, &identity, &setup);
    sidecar.wait_until_served();
    let example = yaml(&folder().join("prometheus/example/prometheus.yml")).remove(0);
    let mut jobs = list(&example["scrape_configs"]).iter();
    let job = jobs.find(|it| it["job_name"] == "entra-auth");
    let rules = list(&job.expect("this job")["metric_relabel_configs"]);
    let kept = || -> Vec<_> {
        let shown = stats::shown(sidecar.admin).into_iter();
        shown
            .filter_map(|it| stats::relabelled(it, rules))
            .collect()
    };
    eventually(PATIENCE, "the requests are counted", || {
        let kept = kept();
        let counted = kept.iter().find(|it| {
            it.name == "entra_auth_requests_total"
                && it
                    .labels
                    .get("outcome")
                    .is_some_and(|it| it == "authorized")
        });
        match counted {
            Some(sample) if sample.value > 0.0 => Ok(()),
            _ => Err(format!("{kept:?}")),
        }
    });
    let seen: Vec<_> = kept()
        .iter()
        .map(|sample| {
            let labels: Vec<_> = sample.labels.keys().map(String::as_str).collect();
            format!("{} {}", sample.name, labels.join(","))
        })
        .collect();
    for expected in [
        "entra_auth_token_expiry_timestamp_seconds audience,identity",
        "entra_auth_token_refresh_failures_consecutive audience,identity",
        "entra_auth_token_requests_total audience,identity,result",
        "entra_auth_requests_total outcome,target",
        "entra_auth_held_requests ",
        "entra_auth_configuration_mistakes plugin",
    ] {
        assert!(
            seen.iter().any(|it| it == expected),
            "no {expected} in {seen:?}"
        );
    }
    assert!(
        seen.iter().all(|it| it.starts_with("entra_auth_")),
        "{seen:?}"
    );
}
