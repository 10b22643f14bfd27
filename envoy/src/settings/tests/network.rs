//! Addresses of ports, addresses that need IPv6, and the authorities that are trusted.

use super::*;
use crate::addresses::unreachable_ipv6;

#[test]
fn one_port_may_be_had_twice_on_addresses_that_do_not_overlap() {
    let same = ("STATUS_PORT", "8081");
    let (v4, v6) = ("127.0.0.1", "::1");
    settings(&[same, ("LISTENING_ADDRESS", v4), ("STATUS_ADDRESS", v6)]);
    for addresses in [
        vec![("LISTENING_ADDRESS", v4), ("STATUS_ADDRESS", v4)],
        vec![("LISTENING_ADDRESS", v4)],
        vec![("LISTENING_ADDRESS", v4), ("STATUS_ADDRESS", "0.0.0.0")],
    ] {
        let all = errors(with(&[&[same], addresses.as_slice()].concat()));
        assert_eq!(all.len(), 1, "{all:?}");
        assert!(all[0].contains("as LISTENING_PORT is"), "{all:?}");
    }
}

#[test]
fn a_trust_store_that_envoy_would_not_read_is_mended_or_refused() {
    let directory = tempfile::tempdir().unwrap();
    let machine = machine(directory.path());
    let store = directory.path().join("own.pem");
    let read = |content: String| {
        fs::write(&store, content).unwrap();
        let own = ("SSL_CERT_FILE", store.to_str().unwrap());
        let pairs = [
            ("TARGET_HOST", TARGET),
            ("IDENTITY_TYPE", "systemAssigned"),
            own,
        ];
        read_on(&machine, &pairs)
    };
    let glued = certificate().trim_end().repeat(2);
    let settings = read(glued).outcome.unwrap();
    assert!(matches!(settings.trust_store, Some(TrustStore::Mended(_))));
    let wrong = certificate().replace("CERTIFICATE", "X509 CRL");
    let all = errors(read(certificate() + &wrong));
    assert_eq!(all.len(), 1, "{all:?}");
    assert!(all[0].starts_with("SSL_CERT_FILE is "), "{all:?}");
    assert!(
        all[0].contains("of which block 2 is a certificate revocation list"),
        "{all:?}"
    );
}

#[test]
fn what_needs_ipv6_is_named_on_a_machine_without() {
    let v6 = [
        ("TARGET_HOST", "[2001:db8::1]:8443"),
        ("AUDIENCE", "api://x"),
        ("AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://[fd00::1]"),
        ("HTTPS_PROXY", "http://[2001:db8::2]:3128"),
    ];
    let settings = Settings {
        ipv6: false,
        ..settings(&v6)
    };
    let named: Vec<_> = unreachable_ipv6(&settings)
        .iter()
        .map(|error| error.place.to_string())
        .collect();
    let variables = [
        "TARGET_HOST",
        "AZURE_POD_IDENTITY_AUTHORITY_HOST",
        "HTTPS_PROXY",
    ];
    assert_eq!(named, variables);
    let with_ipv6 = Settings {
        ipv6: true,
        ..settings
    };
    assert_eq!(unreachable_ipv6(&with_ipv6), []);
}
