//! Properties of the bootstrap for all settings. Its effect is tested on a real Envoy.

use std::fs;

use entra_token_core::config;

use super::*;
use crate::machine::Machine;
use crate::settings::trust_store::tests::certificate;
use crate::settings::{self, file, files, headers};

/// A machine with all files that the launcher needs.
fn machine(directory: &Path) -> Machine {
    let store = directory.join("ca.pem");
    fs::write(&store, certificate()).unwrap();
    fs::write(directory.join(files::MODULE), b"\0asm\x01\0\0\0").unwrap();
    Machine {
        launcher_dir: Some(directory.to_path_buf()),
        trust_stores: vec![store],
        ..Machine::default()
    }
}

const LEAST: [(&str, &str); 2] = [
    ("TARGET_HOST", "x.prometheus.monitor.azure.com"),
    ("IDENTITY_TYPE", "systemAssigned"),
];

fn read(machine: &Machine, pairs: &[(&str, &str)]) -> Settings {
    let reading = settings::read(&pairs.iter().copied().collect(), machine);
    reading
        .outcome
        .unwrap_or_else(|wrong| panic!("{pairs:?}: {wrong:#?}"))
}

fn rendered(settings: &Settings) -> Value {
    build(settings, Path::new("/run/x"))
}

fn bootstrap(more: &[(&str, &str)]) -> Value {
    let directory = tempfile::tempdir().unwrap();
    let pairs: Vec<_> = LEAST.iter().chain(more).copied().collect();
    rendered(&read(&machine(directory.path()), &pairs))
}

/// Every plugin configuration in a bootstrap.
fn plugin_configurations(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            let text = members.get("value").and_then(Value::as_str);
            found.extend(text.filter(|text| text.starts_with('{')).map(str::to_owned));
            for value in members.values() {
                plugin_configurations(value, found);
            }
        }
        Value::Array(items) => {
            for item in items {
                plugin_configurations(item, found);
            }
        }
        _ => {}
    }
}

mod forward_proxy;
mod many;
mod network;
mod telemetry;

const ID: &str = "abcd1234-1243-abcd-9876-1234abcd5678";

/// The variables of every identity, with a file for those that need one.
fn identities(file: &str) -> Vec<Vec<(&'static str, String)>> {
    const RESOURCE: &str = "/subscriptions/x/resourceGroups/g/providers/\
        Microsoft.ManagedIdentity/userAssignedIdentities/i";
    let of = |pairs: &[(&'static str, &str)]| -> Vec<(&'static str, String)> {
        pairs.iter().map(|(n, v)| (*n, (*v).to_owned())).collect()
    };
    let application = |kind: &str, more: &[(&'static str, &str)]| {
        let mut pairs = of(&[
            ("IDENTITY_TYPE", kind),
            ("AAD_CLIENT_ID", ID),
            ("AAD_TENANT_ID", "contoso.com"),
        ]);
        pairs.extend(of(more));
        pairs
    };
    let user = ("IDENTITY_TYPE", "userAssigned");
    let tsiam = ("TSIAM_ENDPOINT", "https://tsiam");
    let token = ("AZURE_FEDERATED_TOKEN_FILE", file);
    vec![
        of(&[]),
        of(&[user, ("AAD_CLIENT_ID", ID)]),
        of(&[user, ("AAD_OBJECT_ID", ID)]),
        of(&[user, ("AAD_RESOURCE_ID", RESOURCE)]),
        of(&[("AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://[fd00::1]:4040")]),
        of(&[
            ("IDENTITY_ENDPOINT", "http://127.0.0.1:41000/msi/token"),
            ("IDENTITY_HEADER", "the-key-of-app-service"),
        ]),
        application("aadApplication", &[("AAD_CLIENT_SECRET_FILE", file)]),
        application("aadApplication", &[("AAD_CLIENT_CERTIFICATE_PATH", file)]),
        application("aadApplication", &[("TOKEN_SIDECAR_SOCKET", "/run/t.sock")]),
        application("workloadIdentity", &[token]),
        application("serviceAccountToken", &[token]),
        application("managedIdentityFederated", &[]),
        application(
            "managedIdentityFederated",
            &[("MANAGED_IDENTITY_CLIENT_ID", ID)],
        ),
        application("tsiam", &[tsiam]),
        of(&[("IDENTITY_TYPE", "tsiam"), tsiam]),
    ]
}

/// The bootstrap of every kind of identity.
fn bootstraps_of_every_identity() -> Vec<Value> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    fs::write(&file, "eyJhbGciOiJub25lIn0.e30.").unwrap();
    identities(file.to_str().unwrap())
        .iter()
        .map(|variables| {
            let variables: Vec<(&str, &str)> =
                variables.iter().map(|(n, v)| (*n, v.as_str())).collect();
            bootstrap(&variables)
        })
        .collect()
}

#[test]
fn the_filter_accepts_every_generated_configuration() {
    let audience = ("AUDIENCE", "api://x/.default");
    let others: [&[(&str, &str)]; 3] = [
        &[("AAD_TOKEN_REFRESH_INTERVAL_IN_PERCENTAGE", "99")],
        &[audience, ("TARGET_HOST", "[::1]:8443")],
        &[audience, ("TARGET_HOST", "http://localhost")],
    ];
    let others = others.iter().map(|variables| bootstrap(variables));
    for bootstrap in bootstraps_of_every_identity().into_iter().chain(others) {
        let mut texts = Vec::new();
        plugin_configurations(&bootstrap, &mut texts);
        assert_eq!(texts.len(), 3);
        for text in texts {
            let read = config::read(text.as_bytes());
            assert!(read.is_ok(), "{text}: {read:?}");
        }
    }
}

/// The names of the clusters that a part of a bootstrap uses.
fn named(value: &Value, key: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                match value {
                    Value::String(cluster) if name == key => found.push(cluster.clone()),
                    other => named(other, key, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| named(item, key, found)),
        _ => {}
    }
}

#[test]
fn listeners_for_clients_use_only_the_clusters_of_target_status_and_metrics() {
    for bootstrap in bootstraps_of_every_identity() {
        let mut reached = Vec::new();
        for listener in bootstrap["static_resources"]["listeners"]
            .as_array()
            .unwrap()
        {
            named(&listener["filter_chains"], "cluster", &mut reached);
            let bound = listener.get("address").is_some();
            assert_eq!(bound, listener.get("internal_listener").is_none());
            assert_eq!(bound, listener["name"] != "credential-files");
        }
        reached.sort_unstable();
        // Two routes forward to the target.
        reached.dedup();
        assert_eq!(reached, ["admin", "status", "target"]);
    }
}

#[test]
fn every_cluster_in_the_filters_configuration_exists() {
    for bootstrap in bootstraps_of_every_identity() {
        let clusters = bootstrap["static_resources"]["clusters"]
            .as_array()
            .unwrap();
        let there: Vec<&str> = clusters.iter().filter_map(|c| c["name"].as_str()).collect();
        let mut texts = Vec::new();
        plugin_configurations(&bootstrap, &mut texts);
        let configuration: Value = serde_json::from_str(&texts[0]).unwrap();
        let mut asked = Vec::new();
        named(&configuration["identities"], "cluster", &mut asked);
        assert!(!asked.is_empty());
        for cluster in &asked {
            assert!(there.contains(&cluster.as_str()), "{cluster} {there:?}");
        }
        // There are no other clusters.
        assert_eq!(there.len(), asked.len() + 3, "{asked:?} {there:?}");
    }
}

#[test]
fn no_bootstrap_contains_the_key_of_app_service() {
    for bootstrap in bootstraps_of_every_identity() {
        assert!(!bootstrap.to_string().contains("the-key-of-app-service"));
    }
}

#[test]
fn only_request_headers_and_idle_streams_have_a_timeout() {
    let bootstrap = bootstrap(&[("IDLE_TIMEOUT_SECONDS", "30")]);
    let proxy = &bootstrap["static_resources"]["listeners"][0];
    let manager = &proxy["filter_chains"][0]["filters"][0]["typed_config"];
    assert_eq!(manager["request_timeout"], "0s");
    assert_eq!(manager["stream_idle_timeout"], "30s");
    assert_eq!(manager["request_headers_timeout"], "30s");
    let routes = manager["route_config"]["virtual_hosts"][0]["routes"]
        .as_array()
        .unwrap();
    let target = routes
        .iter()
        .find(|route| route["match"]["prefix"] == "/")
        .unwrap();
    assert_eq!(target["route"]["timeout"], "0s");
    assert_eq!(target["route"]["idle_timeout"], Value::Null);
}

#[test]
fn the_circuit_breakers_are_above_the_hold_limits() {
    let bootstrap = bootstrap(&[("ENVOY_CONCURRENCY", "1024")]);
    let held = u64::from(config::Hold::default().max_requests.get()) * 1024;
    let target = &bootstrap["static_resources"]["clusters"][0];
    let breakers = &target["circuit_breakers"]["thresholds"][0];
    for name in [
        "max_connections",
        "max_pending_requests",
        "max_requests",
        "max_retries",
    ] {
        assert!(breakers[name].as_u64().unwrap() > held, "{name}");
    }
}

#[test]
fn the_three_uses_of_the_filter_share_one_vm() {
    let text = bootstrap(&[]).to_string();
    assert_eq!(text.matches("\"vm_id\":\"entra-auth\"").count(), 3);
    assert_eq!(text.matches("\"root_id\":\"entra-auth\"").count(), 3);
    assert_eq!(
        text.matches("\"failure_policy\":\"FAIL_RELOAD\"").count(),
        2
    );
}

#[test]
fn a_machine_without_ipv6_listens_on_ipv4_only() {
    let text = bootstrap(&[]).to_string();
    assert_eq!(text.matches("\"address\":\"0.0.0.0\"").count(), 2);
    assert!(!text.contains("ipv4_compat"));
}

/// Checks that the environment and the file that `render --config` prints yield the same settings.
fn assert_same_bootstrap(pairs: &[(&str, &str)]) -> String {
    let directory = tempfile::tempdir().unwrap();
    let machine = machine(directory.path());
    let of_environment = read(&machine, pairs);
    let text = file::yaml(&of_environment);
    let path = directory.path().join("config.yaml").display().to_string();
    fs::write(&path, &text).unwrap();

    let values: Vec<(String, String)> = headers::all(&of_environment)
        .map(|header| (header.variable.clone(), header.value.clone()))
        .collect();
    let mut beside: Vec<(&str, &str)> = pairs
        .iter()
        .copied()
        .filter(|(name, _)| !file::replaces(name))
        .collect();
    beside.extend(values.iter().map(|(n, v)| (n.as_str(), v.as_str())));
    beside.push((file::VARIABLE, &path));
    let of_file = Settings {
        // The names of settings in messages differ.
        terms: of_environment.terms.clone(),
        ..read(&machine, &beside)
    };
    assert_eq!(
        rendered(&of_environment).to_string(),
        rendered(&of_file).to_string(),
        "{text}"
    );
    // The bootstrap does not have the settings of the token-sidecar.
    assert_eq!(of_environment.identities, of_file.identities);
    assert_eq!(of_environment.targets, of_file.targets);
    text
}

#[test]
fn the_rendered_file_of_every_identity_makes_the_same_bootstrap() {
    let directory = tempfile::tempdir().unwrap();
    let token = directory.path().join("token");
    fs::write(&token, "eyJhbGciOiJub25lIn0.e30.").unwrap();
    for variables in identities(token.to_str().unwrap()) {
        let variables = variables.iter().map(|(n, v)| (*n, v.as_str()));
        let text = assert_same_bootstrap(&LEAST.into_iter().chain(variables).collect::<Vec<_>>());
        assert!(!text.contains("the-key-of-app-service"), "{text}");
    }
}

#[test]
fn the_rendered_file_of_all_other_settings_makes_the_same_bootstrap() {
    let directory = tempfile::tempdir().unwrap();
    let token = directory.path().join("token");
    fs::write(&token, "eyJhbGciOiJub25lIn0.e30.").unwrap();
    let token = token.to_str().unwrap();
    let application = [
        ("IDENTITY_TYPE", "aadApplication"),
        ("AAD_CLIENT_ID", ID),
        ("AAD_TENANT_ID", "contoso.com"),
    ];
    let certificate = [
        ("AAD_CLIENT_CERTIFICATE_PATH", token),
        ("AAD_CLIENT_CERTIFICATE_KEY_PATH", token),
        ("AAD_CLIENT_CERTIFICATE_PASSWORD_FILE", token),
        ("AAD_CLIENT_CERTIFICATE_SEND_CHAIN", "off"),
        ("AAD_CLIENT_ASSERTION_ALGORITHM", "RS256"),
        ("AZURE_AUTHORITY_HOST", "https://entra.example:8443"),
    ];
    let china = [
        ("AAD_CLIENT_SECRET_FILE", token),
        ("TARGET_HOST", "x.prometheus.monitor.azure.cn"),
        ("AZURE_CLOUD", "china"),
    ];
    let proxy = [
        ("TARGET_HOST", "http://[::1]:8443"),
        ("AUDIENCE", "api://x/.default"),
        ("LISTENING_PORT", "1234"),
        ("STATUS_PORT", "8081"),
        ("AUTH_ERRORS_RETRYABLE", "always"),
        ("AAD_TOKEN_REFRESH_INTERVAL_IN_PERCENTAGE", "33"),
        (
            "OVERRIDE_REQUEST_HEADERS",
            r#"{"X-B": "b-secret", "X-A": "a-secret"}"#,
        ),
        ("PROXY_HEALTH_PATHS", "off"),
    ];
    let of_application = |more: &[(&'static str, &str)]| {
        let all = LEAST.iter().chain(&application).chain(more);
        assert_same_bootstrap(&all.copied().collect::<Vec<_>>())
    };
    of_application(&certificate);
    of_application(&china);
    let text = assert_same_bootstrap(&LEAST.into_iter().chain(proxy).collect::<Vec<_>>());
    assert!(!text.contains("-secret"), "{text}");
}
