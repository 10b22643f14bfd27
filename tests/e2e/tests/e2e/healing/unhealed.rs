//! What no fresh token heals: a role that is missing, or a target that refuses every token.

use std::time::Duration;

use azure_sim::{Fault, FaultKind, Options, Service};
use e2e::azure::{Azure, ECHO};
use e2e::eventually;

use super::{grant_role, istio_like, remove_role, send, through};
use crate::downstream;

#[test]
fn upstream_a_target_that_always_refuses_costs_one_call_and_the_client_learns_it() {
    let azure = Azure::start(Options::default());
    let proxy = azure.proxy().start();
    for _ in 0..20 {
        // The status code is the target's own, whatever the token.
        assert_eq!(through(&proxy, "/status/401", false).status, 401);
    }
    assert!(
        azure.state().imds.calls <= 2,
        "{} calls",
        azure.state().imds.calls
    );
    let log = proxy.process().logs();
    assert_eq!(log.matches("answers 401 to its token").count(), 1, "{log}");
}

#[test]
fn upstream_a_missing_role_is_503_for_remote_write_until_it_is_granted() {
    let azure = Azure::start(Options::default());
    remove_role(&azure);
    let proxy = azure.proxy().start();
    let answer = through(&proxy, ECHO, true);
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(
        answer.header("retry-after").is_some(),
        "{:?}",
        answer.headers
    );
    let body: serde_json::Value = answer.json().expect("JSON");
    assert_eq!(body["error"]["code"], "target_refuses_identity");
    assert_eq!(through(&proxy, ECHO, false).status, 403);
    eventually(
        Duration::from_secs(20),
        "the missing role is in the log",
        || {
            let log = proxy.process().logs();
            if log.contains("Monitoring Metrics Publisher") {
                Ok(())
            } else {
                Err(log)
            }
        },
    );

    grant_role(&azure);
    assert_eq!(through(&proxy, ECHO, true).status, 200);
}

#[test]
fn upstream_auth_errors_retryable_says_who_gets_503() {
    for (value, remote_write, others) in [("always", 503, 503), ("never", 403, 403)] {
        let azure = Azure::start(Options::default());
        remove_role(&azure);
        let proxy = azure.proxy().set("AUTH_ERRORS_RETRYABLE", value).start();
        assert_eq!(through(&proxy, ECHO, true).status, remote_write, "{value}");
        assert_eq!(through(&proxy, ECHO, false).status, others, "{value}");
    }
}

/// A body may be long, and a target that refuses may count what it is sent.
#[test]
fn upstream_a_401_that_nothing_heals_goes_to_the_target_once_and_its_healing_is_seen_at_once() {
    let azure = Azure::start(Options::default());
    let proxy = azure.proxy().start();
    assert_eq!(through(&proxy, ECHO, false).status, 200);
    // A target that refuses a token which it has just accepted, and will accept again: IMDS gives no
    // other one.
    let refusing = Fault::new(Service::Target, FaultKind::status(401));
    let refusing = azure.inject(refusing).expect("a fault");
    for sent in 1..=8 {
        let is_remote_write = sent % 2 == 0;
        let answer = through(&proxy, ECHO, is_remote_write);
        let expected = if is_remote_write { 503 } else { 401 };
        assert_eq!(answer.status, expected, "{}", answer.text());
        let body: serde_json::Value = answer.json().expect("JSON");
        assert_eq!(body["error"]["code"], "target_refuses_identity", "{body}");
        let header = |name| answer.header(name).is_some();
        let headers = (header("retry-after"), header("www-authenticate"));
        assert_eq!(headers, (is_remote_write, !is_remote_write));
        assert_eq!(azure.state().target.requests, 1 + sent);
    }
    azure.end_fault(refusing);
    assert_eq!(through(&proxy, ECHO, false).status, 200);
    assert_eq!(azure.state().target.requests, 10);
    assert_eq!(azure.state().imds.tokens_issued, 1);
}

#[test]
fn downstream_what_no_token_heals_is_503_for_whom_the_user_says() {
    for (value, remote_write, others) in [
        ("remoteWrite", 503, 403),
        ("always", 503, 503),
        ("never", 403, 403),
    ] {
        let azure = Azure::start(Options::default());
        remove_role(&azure);
        let (_envoy, url) = istio_like(&azure, value);
        let answer = send(&url, downstream::TARGET, true);
        assert_eq!(answer.status, remote_write, "{value}");
        assert_eq!(
            answer.header("retry-after").is_some(),
            remote_write == 503,
            "{value}"
        );
        assert_eq!(
            send(&url, downstream::TARGET, false).status,
            others,
            "{value}"
        );
        assert_eq!(azure.state().imds.calls, 1, "a 403 asks for no token");
    }
}

/// Some requests are allowed and some are not, for as long as the proxy runs.
#[test]
fn a_missing_role_for_some_requests_does_not_flood_the_log() {
    let azure = Azure::start(Options::default());
    let denied = Fault::new(Service::Target, FaultKind::status(403)).on_path("/denied");
    azure.inject(denied).expect("a fault");
    let proxy = azure.proxy().set("ENVOY_CONCURRENCY", "1").start();
    for _ in 0..40 {
        assert_eq!(through(&proxy, "/denied", false).status, 403);
        assert_eq!(through(&proxy, ECHO, false).status, 200);
    }
    let log = proxy.process().logs();
    let told = log.matches("answers 403 to its token").count();
    assert_eq!(told, 1, "{log}");
}
