//! A target that refuses the identity is seen everywhere, and so is a token that cannot be renewed.

use std::time::Duration;

use azure_sim::{CachedTokens, Fault, FaultKind, Options, Service};
use e2e::azure::{Azure, ECHO};
use e2e::{Envoy, Metrics, Proxy, eventually, free_port, http};
use serde_json::{Value, json};

use crate::downstream;
use crate::healing::{grant_role, remove_role, send, through};

const RESPONSES: &str = "entra_auth_target_responses_total";

fn status(proxy: &Proxy) -> Value {
    let answer = http::get(&proxy.status_url("/status")).expect("an answer");
    answer.json().expect("JSON")
}

/// Waits until the target has so many responses with this status in the metrics.
fn until_counted(proxy: &Proxy, code: &str, count: f64) {
    eventually(Duration::from_secs(20), "the responses are counted", || {
        let metrics = proxy.metrics()?;
        match metrics.sum_with(RESPONSES, &[("status_code", code)]) {
            Some(it) if (it - count).abs() < 0.1 => Ok(()),
            other => Err(format!("{code}: {other:?} and not {count}")),
        }
    });
}

#[test]
fn a_missing_role_is_told_by_status_ready_metrics_and_access_log() {
    let azure = Azure::start(Options::default());
    remove_role(&azure);
    let proxy = azure.proxy().start();
    for _ in 0..3 {
        assert_eq!(through(&proxy, ECHO, true).status, 503);
    }
    until_counted(&proxy, "403", 3.0);
    let told = status(&proxy);
    assert_eq!(told["verdict"], "degraded", "{told}");
    let summary = told["summary"].as_str().unwrap_or_default();
    assert!(
        summary.contains("refuses the identity `default`: 3 requests got 403 since"),
        "{summary}"
    );
    let target = &told["targets"][0];
    assert_eq!(target["responses"]["clientError"], 3, "{target}");
    assert_eq!(target["refusals"]["forbidden"], 3, "{target}");
    let object_id = &azure.state().identities[0].object_id;
    let command = target["refusals"]["command"].as_str().unwrap_or_default();
    assert!(
        command.contains("Monitoring Metrics Publisher"),
        "{command}"
    );
    assert!(command.contains(object_id), "{command}");

    // Restarts would help nobody.
    let ready = proxy.ready().expect("an answer");
    assert_eq!(ready.status, 200);
    let ready: Value = ready.json().expect("JSON");
    assert_eq!(ready["verdict"], "degraded", "{ready}");

    eventually(Duration::from_secs(20), "the access log tells it", || {
        let log = proxy.process().logs();
        let mut lines = log
            .lines()
            .filter(|line| line.contains(r#""path":"/echo""#));
        let line = lines.next().ok_or("no line")?;
        let line: Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
        if line["status"] == 503 && line["reason"] == "target_answered_403" {
            Ok(())
        } else {
            Err(line.to_string())
        }
    });

    grant_role(&azure);
    assert_eq!(through(&proxy, ECHO, true).status, 200);
    until_counted(&proxy, "200", 1.0);
    // A worker tells the others of its counts later than the metrics.
    eventually(Duration::from_secs(20), "the success is told", || {
        let told = status(&proxy);
        match &told["targets"][0]["responses"]["success"] {
            success if *success == 1 => Ok(()),
            _ => Err(told.to_string()),
        }
    });
}

#[test]
fn a_401_that_a_fresh_token_heals_is_counted_and_is_no_refusal() {
    let azure = Azure::start(Options::default());
    let proxy = azure.proxy().start();
    assert_eq!(through(&proxy, ECHO, false).status, 200);
    azure.revoke(CachedTokens::Forget);
    assert_eq!(through(&proxy, ECHO, false).status, 200);
    until_counted(&proxy, "401", 1.0);
    until_counted(&proxy, "200", 2.0);
    let told = status(&proxy);
    assert_eq!(told["verdict"], "serving", "{told}");
    assert_eq!(told["targets"][0].get("refusals"), None, "{told}");
}

#[test]
fn a_401_that_nothing_heals_is_a_refusal() {
    let azure = Azure::start(Options::default());
    let proxy = azure.proxy().start();
    for _ in 0..3 {
        assert_eq!(through(&proxy, "/status/401", false).status, 401);
    }
    let refusals = eventually(Duration::from_secs(20), "the refusals are told", || {
        let told = status(&proxy);
        let refusals = &told["targets"][0]["refusals"];
        match refusals["unauthorized"].as_u64() {
            Some(3) => Ok(refusals.clone()),
            _ => Err(told.to_string()),
        }
    });
    assert_eq!(refusals["forbidden"], 0, "{refusals}");
    let advice = refusals["advice"].as_str().unwrap_or_default();
    assert!(advice.contains("check the audience"), "{advice}");
}

#[test]
fn downstream_the_targets_own_responses_are_counted_and_envoys_are_not() {
    let azure = Azure::start(Options::default());
    let (port, admin) = (free_port(), free_port());
    let bootstrap = downstream::bootstrap(&azure, port, &downstream::plugin(&azure));
    let mut bootstrap: Value = serde_json::from_str(&bootstrap).expect("JSON");
    bootstrap["admin"] =
        json!({"address": {"socket_address": {"address": "127.0.0.1", "port_value": admin}}});
    let label = |name| json!({"tag_name": name, "regex": format!("({name}=\\.=(.*?);\\.;)")});
    bootstrap["stats_config"] = json!({"stats_tags": [label("target"), label("status_code")]});
    let _envoy = Envoy::start_with(&bootstrap.to_string(), port, &["--concurrency", "1"]);
    let url = format!("http://127.0.0.1:{port}{ECHO}");
    let host = downstream::TARGET;
    assert_eq!(send(&url, host, true).status, 200);
    azure
        .inject(Fault::new(Service::Target, FaultKind::status(500)).times(1))
        .expect("a fault");
    assert_eq!(send(&url, host, true).status, 500);
    azure
        .inject(Fault::new(Service::Target, FaultKind::ResetBefore).times(1))
        .expect("a fault");
    assert_eq!(send(&url, host, true).status, 503);
    // Once this one is counted, the one before would be, too.
    assert_eq!(send(&url, host, true).status, 200);
    eventually(Duration::from_secs(20), "the responses are counted", || {
        let page = http::get(&format!("http://127.0.0.1:{admin}/stats/prometheus"))?;
        let metrics = Metrics::parse(&page.text());
        let of = |code| metrics.sum_with(RESPONSES, &[("status_code", code)]);
        match (of("200"), of("500"), of("503")) {
            (Some(2.0), Some(1.0), None) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
}

#[test]
fn gauges_tell_readiness_the_version_and_since_when_a_token_is_not_renewed() {
    const FAILING: &str = "entra_auth_token_failing_since_timestamp_seconds";
    let azure = Azure::start(Options::default());
    let fault = Fault::new(Service::Imds, FaultKind::status(500));
    azure.inject(fault).expect("a fault");
    let proxy = azure.proxy().start();
    eventually(Duration::from_secs(20), "a failure is shown", || {
        let metrics = proxy.metrics()?;
        let since = metrics.sum(FAILING).ok_or("absent")?;
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed();
        let age = now.map_err(|e| e.to_string())?.as_secs_f64() - since;
        match metrics.sum("entra_auth_ready") {
            Some(0.0) if (0.0..60.0).contains(&age) => Ok(()),
            other => Err(format!("ready {other:?}, failing for {age} s")),
        }
    });
    azure.end_all_faults();
    proxy.wait_until_ready();
    eventually(Duration::from_secs(20), "all is well again", || {
        let metrics = proxy.metrics()?;
        match (metrics.sum("entra_auth_ready"), metrics.sum(FAILING)) {
            (Some(1.0), Some(0.0)) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    let metrics = proxy.metrics().expect("metrics");
    let info = metrics.with("entra_auth_build_info", &[]).next();
    let info = info.expect("the version");
    assert_eq!(info.labels["version"], env!("CARGO_PKG_VERSION"));

    // Nothing has failed here.
    let proxy = azure.proxy().start();
    proxy.wait_until_ready();
    assert_eq!(proxy.metrics().expect("metrics").sum(FAILING), None);
}

/// Whose 403 it is, the client need not know: it keeps its batch. But nobody must grant a role at the target.
#[test]
fn downstream_a_403_of_envoy_itself_is_503_for_remote_write_and_no_refusal() {
    let azure = Azure::start(Options::default());
    let port = free_port();
    let bootstrap = downstream::bootstrap(&azure, port, &downstream::plugin(&azure));
    let mut bootstrap: Value = serde_json::from_str(&bootstrap).expect("JSON");
    let manager =
        &mut bootstrap["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0];
    let filters = manager["typed_config"]["http_filters"].as_array_mut();
    filters.expect("a list").insert(
        1,
        json!({"name": "envoy.filters.http.fault", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault",
            "abort": {"http_status": 403, "percentage": {"numerator": 100}},
        }}),
    );
    let envoy = Envoy::start(&bootstrap.to_string(), port);
    let url = format!("http://127.0.0.1:{port}{ECHO}");
    let answer = send(&url, downstream::TARGET, true);
    assert_eq!(
        (answer.status, answer.header("retry-after")),
        (503, Some("30"))
    );
    assert_eq!(send(&url, downstream::TARGET, false).status, 403);
    let log = envoy.process().logs();
    assert!(log.contains("token 1 for"), "{log}");
    assert!(!log.contains("answers 403"), "{log}");
}

#[test]
fn a_target_cannot_give_our_reason() {
    let azure = Azure::start(Options::default());
    let FaultKind::Status { code, body, .. } = FaultKind::status(400) else {
        unreachable!("it is a status");
    };
    let headers = [(
        "x-entra-auth-reason".to_owned(),
        "target_answered_403".to_owned(),
    )]
    .into();
    let forged = FaultKind::Status {
        code,
        headers,
        body,
    };
    azure
        .inject(Fault::new(Service::Target, forged))
        .expect("a fault");
    let proxy = azure.proxy().start();
    let answer = through(&proxy, ECHO, true);
    assert_eq!(
        (answer.status, answer.header("x-entra-auth-reason")),
        (400, None)
    );
}
