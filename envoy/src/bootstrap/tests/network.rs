//! On which addresses ports are open, and which addresses clusters are to find.

use std::time::Duration;

use super::*;

/// The DNS lookup family of every cluster that is found by DNS.
fn lookup_families(value: &Value) -> Vec<&Value> {
    match value {
        Value::Object(members) => members
            .iter()
            .flat_map(|(name, value)| match name.as_str() {
                "dns_lookup_family" => vec![value],
                _ => lookup_families(value),
            })
            .collect(),
        Value::Array(items) => items.iter().flat_map(lookup_families).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn no_cluster_queries_ipv6_addresses_on_a_machine_without_ipv6() {
    let directory = tempfile::tempdir().unwrap();
    let token = directory.path().join("token");
    fs::write(&token, "eyJhbGciOiJub25lIn0.e30.").unwrap();
    let by_name: Vec<_> = identities(token.to_str().unwrap())
        .into_iter()
        .chain([vec![
            (
                "AZURE_POD_IDENTITY_AUTHORITY_HOST",
                "http://imds.example".to_owned(),
            ),
            ("HTTPS_PROXY", "http://proxy.example:3128".to_owned()),
        ]])
        .collect();
    for (ipv6, family) in [(false, "V4_ONLY"), (true, "ALL")] {
        let machine = Machine {
            ipv6,
            ..machine(directory.path())
        };
        for variables in &by_name {
            let more = variables.iter().map(|(n, v)| (*n, v.as_str()));
            let pairs: Vec<_> = LEAST.into_iter().chain(more).collect();
            let settings = read(&machine, &pairs);
            let serving = rendered(&settings);
            let checking = check::build(&settings, Path::new("/run/x"), Duration::ZERO);
            assert!(!lookup_families(&serving).is_empty(), "{variables:?}");
            for found in [&serving, &checking].into_iter().flat_map(lookup_families) {
                assert_eq!(found, family, "{variables:?}");
            }
        }
    }
}

/// The address of each listener that clients reach, as Envoy's socket address.
fn addresses(bootstrap: &Value) -> Vec<Value> {
    let listeners = bootstrap["static_resources"]["listeners"].as_array();
    let addresses = listeners
        .unwrap()
        .iter()
        .map(|it| &it["address"]["socket_address"]);
    addresses.filter(|it| !it.is_null()).cloned().collect()
}

#[test]
fn a_port_listens_on_all_addresses_or_on_the_configured_one() {
    let directory = tempfile::tempdir().unwrap();
    let of = |ipv6, more: &[(&str, &str)]| {
        let machine = Machine {
            ipv6,
            ..machine(directory.path())
        };
        let pairs: Vec<_> = LEAST.iter().chain(more).copied().collect();
        rendered(&read(&machine, &pairs))
    };
    let any = |port: u16| json!({ "address": "::", "port_value": port, "ipv4_compat": true });
    let at = |address: &str, port: u16| json!({ "address": address, "port_value": port });
    assert_eq!(addresses(&of(true, &[])), [any(8081), any(9464)]);
    let v4 = [at("0.0.0.0", 8081), at("0.0.0.0", 9464)];
    assert_eq!(addresses(&of(false, &[])), v4);

    let loopback = [
        ("LISTENING_ADDRESS", "127.0.0.1"),
        ("STATUS_ADDRESS", "[::1]"),
    ];
    let bootstrap = of(true, &loopback);
    assert_eq!(
        addresses(&bootstrap),
        [at("127.0.0.1", 8081), at("::1", 9464)]
    );
    // The proxy port gets /ready from this cluster.
    let clusters = bootstrap["static_resources"]["clusters"]
        .as_array()
        .unwrap();
    let status = clusters.iter().find(|it| it["name"] == "status").unwrap();
    assert!(
        status.to_string().contains(r#""address":"::1""#),
        "{status}"
    );
}
