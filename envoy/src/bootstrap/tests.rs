//! What a bootstrap must say whatever the settings; that Envoy does what it says is shown by the
//! tests on a real Envoy.

use std::fs;

use entra_token_core::config;

use super::*;
use crate::machine::Machine;
use crate::settings::{self, files};

fn bootstrap(more: &[(&str, &str)]) -> Value {
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("ca.pem");
    let certificate = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
    fs::write(&store, certificate).unwrap();
    fs::write(directory.path().join(files::MODULE), b"\0asm\x01\0\0\0").unwrap();
    let machine = Machine {
        launcher_dir: Some(directory.path().to_path_buf()),
        trust_stores: vec![store],
        ..Machine::default()
    };
    let mut pairs = vec![
        ("TARGET_HOST", "x.prometheus.monitor.azure.com"),
        ("IDENTITY_TYPE", "systemAssigned"),
    ];
    pairs.extend(more);
    let reading = settings::read(&pairs.into_iter().collect(), &machine);
    build(&reading.outcome.unwrap(), Path::new("/run/x"))
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

#[test]
fn the_filter_accepts_every_configuration_that_is_written_for_it() {
    const ID: &str = "abcd1234-1243-abcd-9876-1234abcd5678";
    const RESOURCE: &str = "/subscriptions/x/resourceGroups/g/providers/\
        Microsoft.ManagedIdentity/userAssignedIdentities/i";
    let user = ("IDENTITY_TYPE", "userAssigned");
    let audience = ("AUDIENCE", "api://x/.default");
    let cases: [&[(&str, &str)]; 8] = [
        &[],
        &[user, ("AAD_CLIENT_ID", ID)],
        &[user, ("AAD_OBJECT_ID", ID)],
        &[user, ("AAD_RESOURCE_ID", RESOURCE)],
        &[("AAD_TOKEN_REFRESH_INTERVAL_IN_PERCENTAGE", "99")],
        &[audience, ("TARGET_HOST", "[::1]:8443")],
        &[audience, ("TARGET_HOST", "http://localhost")],
        &[("AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://[fd00::1]:4040")],
    ];
    for variables in cases {
        let mut texts = Vec::new();
        plugin_configurations(&bootstrap(variables), &mut texts);
        assert_eq!(texts.len(), 3);
        for text in texts {
            assert!(
                config::read(text.as_bytes()).is_ok(),
                "{variables:?}: {text}"
            );
        }
    }
}

#[test]
fn nothing_but_headers_and_silence_has_a_time_limit() {
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
fn the_circuit_breakers_lie_above_the_hold_limits() {
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
fn the_three_places_of_the_filter_name_one_vm() {
    let text = bootstrap(&[]).to_string();
    assert_eq!(text.matches("\"vm_id\":\"entra-auth\"").count(), 3);
    assert_eq!(text.matches("\"root_id\":\"entra-auth\"").count(), 3);
    assert_eq!(
        text.matches("\"failure_policy\":\"FAIL_RELOAD\"").count(),
        2
    );
}

#[test]
fn a_machine_without_ipv6_listens_on_ipv4_alone() {
    let text = bootstrap(&[]).to_string();
    assert_eq!(text.matches("\"address\":\"0.0.0.0\"").count(), 2);
    assert!(!text.contains("ipv4_compat"));
}
