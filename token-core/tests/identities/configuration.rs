//! Which fields an identity has, and which of them make its token another one.

use entra_token_core::config;
use entra_token_core::record::SlotKey;
#[cfg(all(target_family = "wasm", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::{APPLICATION, FILE, TENANT, application, plan, plan_for};

#[test]
fn slots_that_differ_in_anything_that_changes_the_token_have_different_keys() {
    let imds = |fields: &str| format!(r#"{fields},"imds":{{"cluster":"imds"}}"#);
    let id = |n: u8| format!("00000000-0000-0000-0000-00000000000{n}");
    let secret = application("clientSecret", FILE);
    let different = [
        plan(&imds(r#""type":"systemAssigned""#)),
        plan_for(
            &imds(r#""type":"systemAssigned""#),
            "https://prometheus.monitor.azure.com",
        ),
        plan(&imds(&format!(
            r#""type":"userAssigned","clientId":"{}""#,
            id(1)
        ))),
        plan(&imds(&format!(
            r#""type":"userAssigned","clientId":"{}""#,
            id(2)
        ))),
        plan(&imds(&format!(
            r#""type":"userAssigned","objectId":"{}""#,
            id(1)
        ))),
        plan(r#""type":"systemAssigned","imds":{"cluster":"imds","authority":"127.0.0.1"}"#),
        plan(r#""type":"tsiam","tsiam":{"cluster":"t","authority":"t"}"#),
        plan(&secret),
        plan(&secret.replace(TENANT, &id(1))),
        plan(&secret.replace(APPLICATION, &id(1))),
        plan(&secret.replace(
            r#""cluster":"entra""#,
            r#""cluster":"entra","authority":"login.microsoftonline.us""#,
        )),
    ];
    let count = different.len();
    let mut keys: Vec<_> = different.iter().map(SlotKey::of).collect();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), count);
    assert!(
        keys.iter()
            .all(|key| key.as_str().starts_with("entra-auth/v1/"))
    );

    // Which proof an application gives does not change its token.
    let certificate = application("clientCertificate", r#""credential":{"cluster":"sidecar"}"#);
    assert_eq!(
        SlotKey::of(&plan(&secret)),
        SlotKey::of(&plan(&certificate))
    );
}

/// The VMs of a new release find the tokens of the old one by the same keys.
#[test]
fn the_keys_of_slots_stay_the_same() {
    let imds = r#""imds":{"cluster":"imds"}"#;
    let tsiam = r#""tsiam":{"cluster":"t","authority":"tsiam.example","path":"/v1"}"#;
    let app_service = r#""appService":{"cluster":"a","authority":"127.0.0.1:41000","path":"/msi/token","header":{"cluster":"files","path":"/key"}}"#;
    for (fields, hash) in [
        (
            format!(r#""type":"systemAssigned",{imds}"#),
            "b6b231e1c501a67924faee5ffb3bb403",
        ),
        (
            format!(r#""type":"systemAssigned",{app_service}"#),
            "26d3ba62782a0e92b070a7c607fb50fe",
        ),
        (
            format!(r#""type":"userAssigned","clientId":"{APPLICATION}",{imds}"#),
            "6f7714c959832cee7d69ce9c3739d280",
        ),
        (
            format!(r#""type":"userAssigned","objectId":"{APPLICATION}",{app_service}"#),
            "7db8d04368e1faba238911d943d1daab",
        ),
        (
            format!(r#""type":"tsiam",{tsiam}"#),
            "1f9a1594e83e453346451c3a623c8405",
        ),
        (
            application("clientSecret", FILE),
            "c8ad19e0f2703b1d79f5029c7371a384",
        ),
        (
            application("tsiamFederated", tsiam),
            "c8ad19e0f2703b1d79f5029c7371a384",
        ),
    ] {
        let key = SlotKey::of(&plan(&fields));
        assert_eq!(
            key.as_str(),
            format!("entra-auth/v1/{hash}/record"),
            "{fields}"
        );
    }
}

#[test]
fn fields_that_are_missing_or_do_not_go_with_the_type_are_told() {
    for (fields, expected) in [
        (
            r#""type":"clientSecret""#.to_owned(),
            vec![
                "needs `tenantId`",
                "needs `clientId`",
                "needs `entra`",
                "needs `credential`",
            ],
        ),
        (
            r#""type":"systemAssigned""#.to_owned(),
            vec!["a systemAssigned identity needs one of `imds`, `appService`"],
        ),
        (
            application(
                "clientSecret",
                &format!(r#"{FILE},"imds":{{"cluster":"imds"}}"#),
            ),
            vec!["identities[0].imds: does not go with the type `clientSecret`; remove it"],
        ),
        (
            r#""type":"tsiam","tsiam":{"cluster":"t","authority":"t","path":"token"}"#.to_owned(),
            vec!["identities[0].tsiam.path: \"token\" is no path"],
        ),
        (
            application("clientSecret", FILE).replace(TENANT, "contoso"),
            vec!["identities[0].tenantId: \"contoso\" is no tenant"],
        ),
        (
            application(
                "managedIdentityFederated",
                r#""imds":{"cluster":"imds"},"managedIdentity":{}"#,
            ),
            vec!["identities[0].managedIdentity: it needs one of `clientId`"],
        ),
    ] {
        let json = format!(
            r#"{{"identities":[{{"name":"i",{fields}}}],
                "targets":[{{"hosts":["a.example.com"],"identity":"i","audience":"https://x"}}]}}"#
        );
        let mistakes = config::read(json.as_bytes()).expect_err(&fields);
        let told: Vec<_> = mistakes.0.iter().map(ToString::to_string).collect();
        for part in expected {
            assert!(
                told.iter().any(|mistake| mistake.contains(part)),
                "no {part:?} in {told:?}"
            );
        }
    }
}
