//! Entra's host as people write it: another spelling is the same Entra, of the same cloud.

use entra_token_core::config;
use entra_token_core::identity::Plan;
#[cfg(all(target_family = "wasm", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

/// An application whose Entra is at this authority.
fn plan(authority: &str, kind: &str, proof: &str) -> Plan {
    let id = "00000000-0000-0000-0000-000000000001";
    let json = format!(
        r#"{{"identities":[{{"name":"i","type":"{kind}","tenantId":"{id}","clientId":"{id}",
            "entra":{{"cluster":"entra","authority":"{authority}"}},{proof}}}],
            "targets":[{{"hosts":["a.example.com"],"identity":"i","audience":"https://monitor.azure.com"}}]}}"#
    );
    let config = config::read(json.as_bytes()).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    config::compile(&config).expect("a configuration").slots[0]
        .plan
        .clone()
}

/// The path of the call for the assertion.
fn asked(plan: &Plan) -> String {
    plan.credential_call().expect("two calls").1.path
}

#[test]
fn a_managed_identitys_token_is_for_the_exchange_audience_of_entras_cloud() {
    for (authority, exchange_audience) in [
        ("login.microsoftonline.com:443", "AzureADTokenExchange"),
        ("login.microsoftonline.us", "AzureADTokenExchangeUSGov"),
        ("login.microsoftonline.us:443", "AzureADTokenExchangeUSGov"),
        ("LOGIN.MicrosoftOnline.US", "AzureADTokenExchangeUSGov"),
        ("login.microsoftonline.us.", "AzureADTokenExchangeUSGov"),
        ("Login.MicrosoftOnline.us.:443", "AzureADTokenExchangeUSGov"),
        ("login.chinacloudapi.cn:443", "AzureADTokenExchangeChina"),
        (
            "login.partner.microsoftonline.cn",
            "AzureADTokenExchangeChina",
        ),
        ("entra.example:8443", "AzureADTokenExchange"),
    ] {
        let imds = r#""imds":{"cluster":"imds"}"#;
        let asked = asked(&plan(authority, "managedIdentityFederated", imds));
        let expected = format!("resource=api%3A%2F%2F{exchange_audience}");
        assert!(asked.ends_with(&expected), "{authority}: {asked}");
    }
}

/// The token-sidecar and Entra compare the audience of an assertion letter by letter.
#[test]
fn an_assertion_is_for_the_plainest_spelling_of_entras_host() {
    let file = r#""credential":{"cluster":"sidecar"}"#;
    let of = |authority: &str| plan(authority, "clientCertificate", file);
    let plain = of("login.microsoftonline.us");
    let audience = "audience=https%3A%2F%2Flogin%2Emicrosoftonline%2Eus%2F";
    assert!(asked(&plain).contains(audience), "{}", asked(&plain));
    for authority in [
        "login.microsoftonline.us:443",
        "login.microsoftonline.us.",
        "Login.MicrosoftOnline.US.:443",
    ] {
        let other = of(authority);
        assert_eq!(asked(&other), asked(&plain), "{authority}");
        assert_eq!(other.fingerprint(), plain.fingerprint(), "{authority}");
    }
    let elsewhere = asked(&of("entra.example:8443"));
    assert!(
        elsewhere.contains("entra%2Eexample%3A8443%2F"),
        "{elsewhere}"
    );
}
