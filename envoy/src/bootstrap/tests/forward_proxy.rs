//! The way through a forward proxy: for whom it is, and for whom not.

use std::fs;

use serde_json::Value;

use super::{bootstrap, identities};

/// The clusters of these settings, by name.
fn clusters(variables: &[(&str, &str)]) -> serde_json::Map<String, Value> {
    let bootstrap = bootstrap(variables);
    let clusters = bootstrap["static_resources"]["clusters"].as_array();
    let named = |cluster: &Value| {
        (
            cluster["name"].as_str().unwrap().to_owned(),
            cluster.clone(),
        )
    };
    clusters.unwrap().iter().map(named).collect()
}

/// The clusters that use a tunnel.
fn tunnelled(clusters: &serde_json::Map<String, Value>) -> Vec<&str> {
    let is = |cluster: &Value| cluster.to_string().contains("-tunnel\"");
    let names = clusters.iter().filter(|(_, cluster)| is(cluster));
    names.map(|(name, _)| name.as_str()).collect()
}

const PROXY: (&str, &str) = ("HTTPS_PROXY", "http://u:hunter2@proxy.corp.example:3128");

#[test]
fn local_services_are_never_reached_through_a_proxy() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    fs::write(&file, "eyJhbGciOiJub25lIn0.e30.").unwrap();
    for identity in identities(file.to_str().unwrap()) {
        let mut variables: Vec<(&str, &str)> =
            identity.iter().map(|(n, v)| (*n, v.as_str())).collect();
        variables.push(PROXY);
        let clusters = clusters(&variables);
        let mut remote = vec!["entra", "target", "tsiam"];
        remote.retain(|name| clusters.contains_key(*name));
        assert_eq!(tunnelled(&clusters), remote, "{identity:?}");
        assert!(clusters.contains_key("forward-proxy"));
    }
}

#[test]
fn the_name_of_a_host_behind_a_proxy_is_not_resolved_but_verified_by_tls() {
    let clusters = clusters(&[PROXY]);
    let target = &clusters["target"];
    assert_eq!(target["type"], "STATIC");
    assert_eq!(target["cluster_type"], Value::Null);
    let tls = &target["transport_socket"]["typed_config"];
    assert_eq!(tls["sni"], "x.prometheus.monitor.azure.com");
    assert!(tls["common_tls_context"]["validation_context"].is_object());
    assert_eq!(clusters["forward-proxy"]["transport_socket"], Value::Null);

    let text = bootstrap(&[PROXY]).to_string();
    assert!(text.contains("\"hostname\":\"x.prometheus.monitor.azure.com:443\""));
    assert!(text.contains("%ENVIRONMENT(ENTRA_AUTH_PROXY_AUTHORIZATION)%"));
    assert!(!text.contains("hunter2") && !text.contains("dTpodW50ZXIy"));
}

#[test]
fn an_unused_proxy_has_no_cluster() {
    let near = [("TARGET_HOST", "http://localhost"), ("AUDIENCE", "api://x")];
    let cases: [&[(&str, &str)]; 3] = [
        &[("NO_PROXY", "*")],
        &[("no_proxy", "monitor.azure.com")],
        &near,
    ];
    for variables in cases {
        let text = bootstrap(&[variables, &[PROXY]].concat()).to_string();
        for trace in [
            "proxy.corp.example",
            "forward-proxy",
            "tunnel",
            "internal_listener",
        ] {
            assert!(!text.contains(trace), "{trace} {variables:?}");
        }
    }
}
