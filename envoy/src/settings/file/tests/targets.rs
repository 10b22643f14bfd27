//! Targets: what is enough, and what is left out.

use super::*;

#[test]
fn an_identity_a_target_and_a_listener_are_enough_in_yaml_and_in_json() {
    let json = r#"{
        "identities": [{"name": "machine", "type": "systemAssigned"}],
        "targets": [{"name": "query", "url": "x.prometheus.monitor.azure.com", "identity": "machine"}],
        "listeners": [{"port": 8081, "target": "query"}]
    }"#;
    for text in [LEAST, json] {
        let settings = read(text, &[]);
        let target = &settings.targets[0];
        assert_eq!(
            target.endpoint.url(),
            "https://x.prometheus.monitor.azure.com"
        );
        assert_eq!(
            target.audience.resource(),
            "https://prometheus.monitor.azure.com"
        );
        assert_eq!(
            (target.required, settings.refresh_before_expiry.get()),
            (None, 10)
        );
        assert_eq!(
            (settings.listeners[0].port, settings.status_port),
            (8081, 9464)
        );
        assert_eq!(imds(&settings), "http://169.254.169.254");
    }
}

#[test]
fn a_header_may_come_from_the_environment() {
    let text = LEAST.replace(
        "identity: machine }",
        "identity: machine, requestHeaders: { X-Key: { fromEnvironment: KEY }, X-Org: a } }",
    );
    let settings = read(&text, &[("KEY", "the-key")]);
    let headers = &settings.targets[0].override_headers;
    let values: Vec<_> = headers
        .iter()
        .map(|it| (it.name.as_str(), it.value.as_str()))
        .collect();
    assert_eq!(values, [("x-key", "the-key"), ("x-org", "a")]);
    assert!(!format!("{settings:?}").contains("the-key"));
}

#[test]
fn what_the_file_says_for_all_targets_holds_where_a_target_says_nothing() {
    let text = "
identities: [{ name: machine, type: systemAssigned }]
targets:
- { name: one, url: x.prometheus.monitor.azure.com, identity: machine }
- { name: two, url: y.prometheus.monitor.azure.com, identity: machine, hold: { maxRequests: 3 }, authErrorsRetryable: never }
listeners: [{ port: 8081, targets: [one, two] }]
hold: { timeout: 2s }
authErrorsRetryable: always
";
    let settings = read(text, &[]);
    let said: Vec<String> = settings
        .targets
        .iter()
        .map(|it| {
            format!(
                "{} {} {:?}",
                it.hold.timeout, it.hold.max_requests, it.auth_errors_retryable
            )
        })
        .collect();
    assert_eq!(said, ["2s 1024 Always", "10s 3 Never"]);
}
