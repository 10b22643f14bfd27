//! Prometheus → the proxy → an https target that checks the token.

use std::time::Duration;

use azure_sim::Settings;
use e2e::azure::{Azure, WRITE};
use e2e::{Prometheus, eventually};

/// Every sample that Prometheus scraped is stored once, with a verified token, while tokens of
/// ten seconds come and go.
#[test]
fn every_sample_that_prometheus_scrapes_is_stored_with_a_verified_token() {
    let azure = Azure::with(Settings {
        token_lifetime_seconds: 10,
        cache: false,
        ..Settings::default()
    });
    let proxy = azure.proxy().start();
    let prometheus = Prometheus::writing_to(&proxy.url(WRITE))
        .scrape("envoy", proxy.status_port())
        .start();

    eventually(
        Duration::from_secs(60),
        "three generations of tokens have carried samples",
        || {
            let used = azure
                .state()
                .tokens
                .iter()
                .filter(|token| token.authorized > 0)
                .count();
            if used >= 3 {
                Ok(())
            } else {
                Err(format!("{used} so far"))
            }
        },
    );
    let sent = prometheus
        .settle(Duration::from_secs(30))
        .expect("everything is sent");

    let state = azure.state();
    assert!(sent.scraped > 1000.0, "{sent:?}");
    assert_eq!(
        state.target.samples.distinct as f64,
        sent.distinct(),
        "{sent:?}"
    );
    assert_eq!(
        state.target.samples.distinct as f64, sent.scraped,
        "{sent:?}"
    );
    assert_eq!((sent.failed, sent.dropped), (0.0, 0.0), "{sent:?}");
    assert_eq!(state.target.samples.conflicting, 0);
    assert!(
        state.target.refused.is_empty(),
        "{:?}",
        state.target.refused
    );
    assert!(state.imds.refused.is_empty(), "{:?}", state.imds.refused);
    assert_eq!(state.imds.max_in_flight, 1);
    assert!(
        state.target.versions.contains_key("HTTP/2.0"),
        "{:?}",
        state.target.versions
    );

    let metrics = proxy.metrics().expect("metrics");
    let success = [("identity", "default"), ("result", "success")];
    let calls = metrics.sum_with("entra_auth_token_requests_total", &success);
    assert_eq!(calls, Some(state.imds.calls as f64));
    let expiry = metrics.sum_with(
        "entra_auth_token_expiry_timestamp_seconds",
        &[("identity", "default")],
    );
    let newest = state.tokens.last().expect("a token").expires_at as f64;
    let shown = expiry.expect("an expiry");
    assert!(
        (shown - newest).abs() <= 11.0,
        "shown {shown}, newest {newest}"
    );
    let authorized = metrics.sum_with("entra_auth_requests_total", &[("outcome", "authorized")]);
    assert!(
        authorized.is_some_and(|n| n >= state.target.writes.v1 as f64 - 5.0),
        "{authorized:?}"
    );
}
