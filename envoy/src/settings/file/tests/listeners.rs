//! Ports and addresses.

use super::*;
use crate::addresses::unreachable_ipv6;
use crate::settings::file::yaml;

#[test]
fn a_listener_may_be_on_one_address_and_a_port_on_several() {
    let with = |listeners: &str| LEAST.replace("{ port: 8081, target: query }", listeners);
    let both = "{ port: 8081, address: 127.0.0.1, target: query }, \
                { port: 8081, address: '::1', target: query }, { port: 8082, target: query }";
    let settings = read(&with(both), &[]);
    let at: Vec<String> = settings
        .listeners
        .iter()
        .map(|it| settings.bound_to(it.address, it.port).to_string())
        .collect();
    assert_eq!(at, ["127.0.0.1:8081", "[::1]:8081", "[::]:8082"]);
    let written = yaml(&settings);
    assert_eq!(written.matches("address:").count(), 2, "{written}");
    assert_eq!(read(&written, &[]).listeners, settings.listeners);

    are(
        &mistakes(
            &with("{ port: 8081, address: localhost, target: query }"),
            &[],
        ),
        &["listeners[0].address: is \"localhost\", which is no IP address. Give an IPv4"],
    );
    for second in ["", "address: 127.0.0.1, ", "address: 0.0.0.0, "] {
        let first = "{ port: 8081, address: 127.0.0.1, target: query }";
        let text = with(&format!("{first}, {{ port: 8081, {second}target: query }}"));
        are(
            &mistakes(&text, &[]),
            &["listeners[1].port: another listener has this port"],
        );
    }
}

#[test]
fn what_needs_ipv6_is_named_by_its_place_on_a_machine_without() {
    let text = "
identities:
- { name: a, type: systemAssigned, imds: 'http://[fd00::1]' }
- { name: b, type: tsiamFederated, tenantId: a.com, clientId: '{id}', tsiam: 'https://[fd00::2]', authority: 'https://[fd00::3]' }
targets:
- { name: one, url: x.prometheus.monitor.azure.com, identity: a }
- { name: two, url: 'https://[fd00::4]', audience: 'api://x', identity: b }
listeners: [{ port: 8081, targets: [one, two] }]
";
    let settings = Settings {
        ipv6: false,
        ..read(text, &[])
    };
    let named: Vec<_> = unreachable_ipv6(&settings)
        .iter()
        .map(|mistake| mistake.place.to_string())
        .collect();
    let places = [
        "targets[1].url",
        "identities[0].imds",
        "identities[1].authority",
        "identities[1].tsiam",
    ];
    assert_eq!(named, places);
}

#[test]
fn a_port_that_is_a_schemes_own_may_lead_by_host() {
    for port in ["80", "443", "8081"] {
        let text = LEAST.replace("8081, target: query", &format!("{port}, targets: [query]"));
        assert!(text.contains("targets: [query]"), "{text}");
        read(&text, &[]);
    }
}
