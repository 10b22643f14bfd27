//! When the target cannot be reached: 503 with a reason, which clients retry.

use azure_sim::Options;
use e2e::azure::Azure;
use e2e::{ProxyBuilder, free_port, http};
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
fn a_target_that_refuses_connections_is_503_with_the_reason() {
    let azure = Azure::start(Options::default());
    let proxy = azure
        .proxy()
        .set("TARGET_HOST", format!("https://localhost:{}", free_port()));
    let (code, message) = reason(proxy);
    assert_eq!(code, "upstream_unavailable", "{message}");
    assert!(
        message.to_lowercase().contains("refused") || message.contains("connection"),
        "{message}"
    );
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
