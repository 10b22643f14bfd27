//! When the target cannot be reached: 503 with a reason, which clients retry; or the same request again,
//! where that is safe.

use std::collections::BTreeMap;

use azure_sim::{CachedTokens, Fault, FaultKind, Options, Service};
use e2e::azure::{Azure, ECHO};
use e2e::{ProxyBuilder, http};
use serde_json::Value;

/// Sends a request through a proxy with these settings and returns code and message.
fn reason(proxy: ProxyBuilder) -> (String, String) {
    let proxy = proxy.start();
    let answer = http::post(&proxy.url("/write"), "body").expect("an answer");
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(
        answer.header("retry-after").is_some(),
        "{:?}",
        answer.headers
    );
    let body: Value = answer.json().expect("JSON");
    let text = |field: &str| body["error"][field].as_str().unwrap_or_default().to_owned();
    (text("code"), text("message"))
}

#[test]
fn a_target_whose_certificate_is_not_trusted_is_503_with_the_reason_and_gets_no_token() {
    let azure = Azure::start(Options::default());
    let stranger = Azure::start(Options::default());
    let proxy = azure
        .proxy()
        .set(
            "TARGET_HOST",
            format!("https://{}", azure.addresses().target_tls),
        )
        .set("SSL_CERT_FILE", stranger.authority());
    let (code, message) = reason(proxy);
    assert_eq!(code, "upstream_unavailable", "{message}");
    assert!(message.contains("CERTIFICATE_VERIFY_FAILED"), "{message}");
    assert_eq!(azure.state().target.requests, 0);
}

#[test]
fn a_target_whose_certificate_names_another_host_is_503_and_gets_no_token() {
    let azure = Azure::start(Options::default());
    // The certificate names 127.0.0.1, but not 127.0.0.2, where the listener is.
    let elsewhere = Options {
        target_tls: "127.0.0.2:0".parse().expect("an address"),
        ..Options::default()
    };
    let other = Azure::start(elsewhere);
    let proxy = azure
        .proxy()
        .set(
            "TARGET_HOST",
            format!("https://{}", other.addresses().target_tls),
        )
        .set("SSL_CERT_FILE", other.authority());
    let (code, message) = reason(proxy);
    assert_eq!(code, "upstream_unavailable", "{message}");
    assert!(message.contains("SAN"), "{message}");
    assert_eq!(other.state().target.requests, 0);
}

/// A try that the target has not answered says nothing of its token.
#[test]
fn a_safe_request_whose_connection_ends_is_sent_again_with_the_same_token() {
    for http2 in [false, true] {
        let azure = Azure::start(Options {
            http2,
            ..Options::default()
        });
        let proxy = azure.proxy().start();
        proxy.wait_until_ready();
        let reset = Fault::new(Service::Target, FaultKind::ResetBefore).times(2);
        azure.inject(reset).expect("a fault");
        let answer = http::get(&proxy.url(ECHO)).expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.text());
        let state = azure.state();
        assert_eq!((state.imds.calls, state.target.aborted), (1, 2));
        assert!(
            state.target.refused.is_empty(),
            "{:?}",
            state.target.refused
        );

        let reset = Fault::new(Service::Target, FaultKind::ResetBefore).times(1);
        azure.inject(reset).expect("a fault");
        let write = http::post(&proxy.url(ECHO), "body").expect("an answer");
        assert_eq!(write.status, 503, "{}", write.text());
        assert_eq!(azure.state().target.aborted, 3, "a write was sent again");
    }
}

/// Envoy says of the whole request that the target has answered a try, though not which: the token of
/// the last one may be another than the one that was refused.
#[test]
fn a_fresh_token_is_not_taken_for_refused_when_its_try_ends_without_an_answer() {
    for http2 in [false, true] {
        let azure = Azure::start(Options {
            http2,
            ..Options::default()
        });
        let proxy = azure.proxy().start();
        proxy.wait_until_ready();
        let answer = http::get(&proxy.url(ECHO)).expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.text());
        azure.revoke(CachedTokens::Forget);
        let unauthorized = FaultKind::Status {
            code: 401,
            headers: BTreeMap::default(),
            body: None,
        };
        for kind in [unauthorized, FaultKind::ResetBefore] {
            let fault = Fault::new(Service::Target, kind).times(1);
            azure.inject(fault).expect("a fault");
        }
        let answer = http::get(&proxy.url(ECHO)).expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.text());
        let state = azure.state();
        assert_eq!((state.imds.calls, state.target.aborted), (2, 1));
    }
}
