//! The plugin configuration: what is accepted and what it means, and every mistake by its path.

use entra_token_core::cluster::AllowedClusters;
use entra_token_core::config::{self, AuthErrorsRetryable, Mode, Placement, Plugin};
use entra_token_core::http::Request;
#[cfg(all(target_family = "wasm", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

const MINIMAL: &str = r#"{
    "identities": [{"name": "default", "type": "systemAssigned", "imds": {"cluster": "imds"}}],
    "targets": [{"hosts": ["a.example.com"], "identity": "default", "audience": "https://monitor.azure.com/.default"}]
}"#;

fn plugin(json: &str) -> Plugin {
    let config = config::read(json.as_bytes()).unwrap_or_else(|e| panic!("{e}"));
    config::compile(&config).expect("a configuration")
}

/// The mistakes as `path: message`.
fn errors(json: &str) -> Vec<String> {
    let errors = config::read(json.as_bytes()).expect_err(json);
    errors.0.iter().map(ToString::to_string).collect()
}

/// What the only slot asks for its token.
fn request(plugin: &Plugin) -> Request {
    plugin.slots[0].plan.token_call(None, String::new()).1
}

fn identity(fields: &str) -> String {
    format!(
        r#"{{"identities":[{{"name":"i","imds":{{"cluster":"imds"}},{fields}}}],
            "targets":[{{"hosts":["a.example.com"],"identity":"i","audience":"https://x"}}]}}"#
    )
}

fn target(fields: &str) -> String {
    format!(
        r#"{{"identities":[{{"name":"i","type":"systemAssigned","imds":{{"cluster":"imds"}}}}],
            "targets":[{{"identity":"i","audience":"https://x",{fields}}}]}}"#
    )
}

#[test]
fn an_instance_that_counts_exports_needs_neither_identities_nor_targets() {
    let exports = r#"[{"signal":"traces","collector":"otel:4317"}]"#;
    let json =
        |mode| format!(r#"{{"mode":"{mode}","identities":[],"targets":[],"exports":{exports}}}"#);
    let plugin = plugin(&json("exports"));
    assert_eq!(plugin.mode, Mode::Exports);
    assert_eq!(plugin.exports[0].collector.as_str(), "otel:4317");
    for mode in ["authorize", "status", "service"] {
        let errors = config::read(json(mode).as_bytes()).expect_err("no identities");
        assert_eq!(errors.0.len(), 2, "{mode}: {errors:?}");
    }
}

#[test]
fn the_smallest_configuration_has_the_documented_defaults() {
    let plugin = plugin(MINIMAL);
    assert_eq!(plugin.mode, Mode::Authorize);
    assert_eq!(plugin.hosts.find("A.example.com:443"), Some(0));
    let target = &plugin.targets[0];
    assert_eq!(
        (target.hold.timeout.as_secs(), target.hold.max_requests),
        (10, 1024)
    );
    let slot = &plugin.slots[0];
    assert_eq!(slot.policy.refresh_before_expiry_percent, 10);
    let (endpoint, _) = slot.plan.token_call(None, String::new());
    assert_eq!(endpoint.authority, "169.254.169.254");
    assert_eq!(slot.plan.audience.resource(), "https://monitor.azure.com");
    assert_eq!(slot.required, None);
}

#[test]
fn each_selector_makes_its_own_imds_parameter() {
    let uuid = "1234ABCD-0000-4000-8000-1234567890ab";
    let resource = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/n";
    for (selector, parameter) in [
        (
            format!(r#""clientId":"{uuid}""#),
            "&client_id=1234abcd-0000-4000-8000-1234567890ab",
        ),
        (
            format!(r#""objectId":"{uuid}""#),
            "&object_id=1234abcd-0000-4000-8000-1234567890ab",
        ),
        (
            format!(r#""resourceId":"{resource}""#),
            "&msi_res_id=%2Fsubscriptions%2Fs%2FresourceGroups%2Fg%2Fproviders%2FMicrosoft.ManagedIdentity%2FuserAssignedIdentities%2Fn",
        ),
    ] {
        let plugin = plugin(&identity(&format!(r#""type":"userAssigned",{selector}"#)));
        let path = request(&plugin).path;
        assert!(path.ends_with(parameter), "{path}");
        assert_eq!(path.matches("resource=").count(), 1);
    }
}

#[test]
fn targets_of_the_same_identity_and_audience_share_a_slot() {
    let json = r#"{
        "identities": [{"name": "i", "type": "systemAssigned", "imds": {"cluster": "imds"}}],
        "targets": [
            {"hosts": ["a.com"], "identity": "i", "audience": "https://x"},
            {"hosts": ["b.com"], "identity": "i", "audience": "https://x/.default", "required": true},
            {"hosts": ["c.com"], "identity": "i", "audience": "https://x/"}
        ]
    }"#;
    let plugin = plugin(json);
    assert_eq!(
        plugin.targets.iter().map(|t| t.slot).collect::<Vec<_>>(),
        [0, 0, 1]
    );
    assert_eq!(plugin.slots[0].required, Some(true));
}

#[test]
fn of_two_targets_on_one_slot_the_stricter_says_what_ready_means() {
    for (one, other, together) in [
        ("null", "false", None),
        ("false", "null", None),
        ("false", "false", Some(false)),
        ("null", "true", Some(true)),
        ("true", "false", Some(true)),
    ] {
        let json = format!(
            r#"{{"identities": [{{"name": "i", "type": "systemAssigned", "imds": {{"cluster": "imds"}}}}],
                "targets": [
                    {{"hosts": ["a.com"], "identity": "i", "audience": "https://x", "required": {one}}},
                    {{"hosts": ["b.com"], "identity": "i", "audience": "https://x", "required": {other}}}
                ]}}"#
        );
        assert_eq!(plugin(&json).slots[0].required, together, "{one} {other}");
    }
}

#[test]
fn what_the_user_sets_is_in_force() {
    let json = r#"{
        "placement": "upstream",
        "identities": [{"name": "i", "type": "systemAssigned", "imds": {"cluster": "imds", "authority": "127.0.0.1:81"}}],
        "targets": [
            {"hosts": ["a.com"], "identity": "i", "audience": "https://x", "clusters": ["one", "two"],
             "hold": {"timeout": "2s", "maxRequests": 3}, "authErrorsRetryable": "never"},
            {"hosts": ["b.com"], "identity": "i", "audience": "https://x"}
        ],
        "hold": {"timeout": "700ms", "maxRequests": 5},
        "authErrorsRetryable": "always",
        "refreshBeforeExpiryPercent": 42
    }"#;
    let plugin = plugin(json);
    assert_eq!(plugin.placement, Placement::Upstream);
    assert_eq!(plugin.slots[0].policy.refresh_before_expiry_percent, 42);
    let (endpoint, _) = plugin.slots[0].plan.token_call(None, String::new());
    assert_eq!(endpoint.authority, "127.0.0.1:81");
    let hold = |n: usize| {
        (
            plugin.targets[n].hold.timeout.as_millis(),
            plugin.targets[n].hold.max_requests,
        )
    };
    assert_eq!((hold(0), hold(1)), ((2000, 3), (700, 5)));
    let retryable = |n: usize| plugin.targets[n].auth_errors_retryable;
    assert_eq!(retryable(0), AuthErrorsRetryable::Never);
    assert_eq!(retryable(1), AuthErrorsRetryable::Always);
    let named = AllowedClusters::Named(vec!["one".into(), "two".into()]);
    assert_eq!(plugin.targets[0].clusters, named);
    assert!(matches!(
        plugin.targets[1].clusters,
        AllowedClusters::OfHosts(_)
    ));
}

#[test]
fn every_mistake_is_listed_at_once_with_its_path() {
    let json = r#"{
        "mode": "prxy",
        "identities": [
            {"name": "one", "type": "userAssigned", "imds": {"cluster": "imds", "authority": "http://x"}},
            {"name": "one", "type": "systemAssigned", "clientId": "not-a-uuid", "imds": {}},
            {"name": "two", "type": "magic", "imds": {"cluster": "imds"}, "secret": "x"}
        ],
        "targets": [
            {"hosts": ["a.com", "A.com:443"], "identity": "nobody", "audience": ""},
            {"hosts": ["https://b.com/x", "*"], "audience": "https://x y", "hold": {"timeout": "soon", "maxRequests": 0}},
            {"hosts": [], "identity": "two", "audience": 7}
        ],
        "refreshBeforeExpiryPercent": 100
    }"#;
    let found = errors(json);
    for expected in [
        "mode: `prxy` is unknown; there are `authorize`, `status`",
        "identities[0]: a userAssigned identity needs one of",
        "identities[0].imds.authority: \"http://x\" is no host",
        "identities[1].name: another identity has this name",
        "identities[1].clientId: does not go with the type `systemAssigned`",
        "identities[1].imds: `cluster` is missing",
        "identities[2].type: `magic` is unknown",
        "identities[2]: `secret` is no field here",
        "targets[0].hosts[1]: `a.com` is given twice",
        "targets[0].identity: there is no identity `nobody`",
        "targets[0].audience: \"\" is empty",
        "targets[1].hosts[0]: \"https://b.com/x\"",
        "targets[1].hosts[1]: `*` means every host; say in `clusters`",
        "targets[1]: `identity` is missing",
        "targets[1].audience: \"https://x y\" holds the character ' '",
        "targets[1].hold.timeout: \"soon\" is no duration",
        "targets[1].hold.maxRequests: ",
        "targets[2].hosts: is empty",
        "targets[2].audience: is ",
        "refreshBeforeExpiryPercent: 100 is out of range; give 1 to 99",
    ] {
        assert!(
            found.iter().any(|m| m.starts_with(expected)),
            "no `{expected}` in {found:#?}"
        );
    }
    assert_eq!(found.len(), 20, "{found:#?}");
}

#[test]
fn what_is_no_configuration_is_refused() {
    for (json, expected) in [
        ("", "not valid JSON"),
        ("{", "not valid JSON"),
        ("[]", "is an array"),
        ("{}", "`identities` is missing"),
        (r#"{"identities":[],"targets":[]}"#, "identities: is empty"),
        (
            r#"{"mode":"status","mode":"authorize"}"#,
            "`mode` is given twice",
        ),
        (
            &identity(
                r#""type":"userAssigned","clientId":"00000000-0000-0000-0000-000000000000","objectId":"00000000-0000-0000-0000-000000000000""#,
            ),
            "identities[0].objectId: a userAssigned identity takes one",
        ),
        (
            &target(r#""hosts":["a.com"],"hold":{"timeout":"1h"}"#),
            "is out of range",
        ),
        (
            &target(r#""hosts":["a.com"],"required":"yes""#),
            "targets[0].required: is a string",
        ),
        (
            &target(r#""hosts":["*"],"clusters":null"#),
            "`*` means every host",
        ),
        (
            &target(r#""hosts":["*.com"]"#),
            "targets[0].hosts[0]: `*.com` means every host of a top-level domain; say in `clusters`",
        ),
        (
            &target(r#""hosts":["*"],"clusters":["one","*"]"#),
            "`*` means every host; with `*` in `clusters` the token would go anywhere",
        ),
        (
            &target(r#""hosts":["*.com"],"clusters":["*"]"#),
            "top-level domain; with `*` in `clusters`",
        ),
        (
            &target(r#""hosts":["a.com"],"clusters":[]"#),
            "targets[0].clusters: is empty",
        ),
        (
            &target(r#""hosts":["a.com"],"clusters":["a b"]"#),
            "targets[0].clusters[0]: ",
        ),
    ] {
        let found = errors(json);
        assert!(
            found.iter().any(|m| m.contains(expected)),
            "{json}: no `{expected}` in {found:?}"
        );
    }
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(errors(&deep)[0].contains("not valid JSON"));
}

#[test]
fn only_who_authorizes_nothing_may_know_two_targets_of_one_host() {
    let of = |mode: &str| {
        format!(
            r#"{{"mode": "{mode}", "placement": "upstream",
                "identities": [{{"name": "i", "type": "systemAssigned", "imds": {{"cluster": "imds"}}}}],
                "targets": [
                    {{"hosts": ["a.com"], "identity": "i", "audience": "https://x"}},
                    {{"hosts": ["a.com"], "identity": "i", "audience": "https://y"}}
                ]}}"#
        )
    };
    assert_eq!(plugin(&of("status")).slots.len(), 2);
    let twice = "targets[1].hosts[0]: `a.com` is given twice; one host has one target";
    assert_eq!(errors(&of("authorize")), [twice]);
    let within = of("status").replace(r#"["a.com"]"#, r#"["a.com", "a.com"]"#);
    assert_eq!(errors(&within).len(), 2);
}

#[test]
fn a_wildcard_as_wide_as_any_goes_with_named_clusters_or_a_cluster_of_its_own() {
    for fields in [
        r#""hosts":["*","*.com:8080"],"clusters":["one"]"#,
        r#""hosts":["*.a.com"]"#,
        r#""hosts":["a.com"],"clusters":["*"]"#,
    ] {
        assert_eq!(plugin(&target(fields)).targets.len(), 1);
    }
    let everywhere = target(r#""hosts":["*"],"clusters":["*"]"#);
    for placed in [r#"{"placement":"upstream","#, r#"{"mode":"status","#] {
        let json = everywhere.replacen('{', placed, 1);
        assert_eq!(plugin(&json).targets.len(), 1);
    }
}

#[test]
fn a_configuration_survives_being_written_and_read_again() {
    let config = config::read(MINIMAL.as_bytes()).expect("valid");
    let written = serde_json::to_vec(&config).expect("JSON");
    assert_eq!(config::read(&written).expect("valid"), config);
}
