//! What is asked for a token, for each kind of identity.

use core::time::Duration;

use entra_token_core::identity::Plan;
use entra_token_core::slot::{Input, Slot};
#[cfg(all(target_family = "wasm", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::common::{START, answer, at, later, outputs, policy, token};
use crate::{APPLICATION, Asked, FILE, TENANT, application, asked, assertion, plan, plan_for};

/// Every call until the token, with these texts as the credential.
fn calls(plan: &Plan, credential: &str) -> Vec<Asked> {
    let mut slot = Slot::new(plan.clone(), policy(), 7);
    slot.handle(START, Input::Tick);
    let (mut id, first) = asked(&mut slot);
    let mut calls = vec![first];
    if plan.credential_call().is_some() {
        slot.handle(START, Input::HttpResponse(id, answer(200, credential)));
        let second;
        (id, second) = asked(&mut slot);
        calls.push(second);
    }
    slot.handle(at(1.0), Input::HttpResponse(id, token("eyJ0", 3600)));
    assert_eq!(
        slot.token(at(1.0)).expect("a token").secret.expose(),
        "eyJ0"
    );
    calls
}

#[test]
fn a_secret_is_fetched_for_each_token_and_posted_as_a_form() {
    let plan = plan(&application("clientSecret", FILE));
    let calls = calls(&plan, "s3cr~t+&=\r\n");
    assert_eq!(calls[0].0, "files GET localhost /secret");
    let (line, headers, form) = &calls[1];
    assert_eq!(
        *line,
        format!("entra POST login.microsoftonline.com /{TENANT}/oauth2/v2.0/token")
    );
    assert_eq!(
        *form,
        format!(
            "grant_type=client_credentials&client_id={APPLICATION}\
             &scope=https%3A%2F%2Fmonitor.azure.com%2F.default&client_secret=s3cr%7Et%2B%26%3D"
        )
    );
    let header = |name| {
        headers
            .iter()
            .find(|(n, _)| *n == name)
            .map(|(_, value)| value.as_str())
    };
    assert_eq!(
        header("content-type"),
        Some("application/x-www-form-urlencoded")
    );
    assert_eq!(header("return-client-request-id"), Some("true"));
    let trace = header("client-request-id").expect("a trace");
    assert!(
        (trace.len(), trace.as_bytes()[14]) == (36, b'4'),
        "{trace} is no UUID of version 4"
    );
}

#[test]
fn every_exchange_has_a_trace_of_its_own() {
    let plan = plan(&application("clientSecret", FILE));
    let mut slot = Slot::new(plan, policy(), 7);
    let mut traces: Vec<_> = (0..20)
        .map(|n| {
            let now = later(START, Duration::from_secs(n * 4000));
            slot.handle(now, Input::Tick);
            let (id, _) = asked(&mut slot);
            slot.handle(now, Input::HttpResponse(id, answer(200, "secret")));
            let (id, (_, headers, _)) = asked(&mut slot);
            slot.handle(now, Input::HttpResponse(id, token(&format!("t{n}"), 3600)));
            outputs(&mut slot);
            headers
                .into_iter()
                .find(|(name, _)| *name == "client-request-id")
                .expect("a trace")
        })
        .collect();
    traces.sort();
    traces.dedup();
    assert_eq!(traces.len(), 20);
}

#[test]
fn an_assertion_comes_from_a_file_or_from_the_sidecar() {
    let assertion = assertion(600);
    for (kind, credential, place) in [
        (
            "workloadIdentity",
            FILE,
            "files GET localhost /secret".to_owned(),
        ),
        (
            "serviceAccountToken",
            r#""credential":{"cluster":"files"}"#,
            "files GET localhost /".to_owned(),
        ),
        (
            "clientCertificate",
            r#""credential":{"cluster":"token-sidecar"}"#,
            format!(
                "token-sidecar GET localhost /assertion?audience=https%3A%2F%2Flogin%2Emicrosoftonline%2Ecom%2F{}%2Foauth2%2Fv2%2E0%2Ftoken",
                TENANT.replace('-', "%2D")
            ),
        ),
    ] {
        let calls = calls(
            &plan(&application(kind, credential)),
            &format!("{assertion}\n"),
        );
        assert_eq!(calls[0].0, place);
        let proof = format!(
            "&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer&client_assertion={assertion}"
        );
        assert!(calls[1].2.ends_with(&proof), "{kind}: {}", calls[1].2);
    }
}

#[test]
fn the_token_of_a_managed_identity_is_taken_as_an_assertion() {
    let imds = r#""imds":{"cluster":"imds"}"#;
    let reply = r#"{"access_token":"eyJtaQ","expires_in":"86400","token_type":"Bearer"}"#;
    let uuid = "00000000-0000-0000-0000-000000000001";
    let path = "imds GET 169.254.169.254 /metadata/identity/oauth2/token?api-version=2018-02-01&resource=api%3A%2F%2FAzureADTokenExchange";
    for (more, expected) in [
        (String::new(), path.to_owned()),
        (
            format!(r#","managedIdentity":{{"clientId":"{uuid}"}}"#),
            format!("{path}&client_id={uuid}"),
        ),
        (
            r#","exchangeAudience":"api://AzureADTokenExchangeUSGov""#.to_owned(),
            format!("{path}USGov"),
        ),
    ] {
        let fields = application("managedIdentityFederated", &format!("{imds}{more}"));
        let calls = calls(&plan(&fields), reply);
        assert_eq!(calls[0].0, expected);
        assert!(
            calls[1].2.ends_with("&client_assertion=eyJtaQ"),
            "{}",
            calls[1].2
        );
    }
    let china = application("managedIdentityFederated", imds).replace(
        r#""entra":{"cluster":"entra""#,
        r#""entra":{"cluster":"entra","authority":"login.partner.microsoftonline.cn""#,
    );
    let calls = calls(&plan(&china), reply);
    assert!(
        calls[0].0.ends_with("AzureADTokenExchangeChina"),
        "{}",
        calls[0].0
    );
}

#[test]
fn app_service_is_asked_with_its_key_and_its_own_selectors() {
    let service = r#""appService":{"cluster":"app","authority":"127.0.0.1:41000","path":"/msi/token","header":{"cluster":"files","path":"/key"}}"#;
    let uuid = "00000000-0000-0000-0000-000000000001";
    for (who, selector) in [
        (r#""type":"systemAssigned""#.to_owned(), String::new()),
        (
            format!(r#""type":"userAssigned","clientId":"{uuid}""#),
            format!("&client_id={uuid}"),
        ),
        (
            format!(r#""type":"userAssigned","objectId":"{uuid}""#),
            format!("&principal_id={uuid}"),
        ),
    ] {
        let calls = calls(&plan(&format!("{who},{service}")), "the-key");
        assert_eq!(calls[0].0, "files GET localhost /key");
        assert_eq!(
            calls[1].0,
            format!(
                "app GET 127.0.0.1:41000 /msi/token?api-version=2019-08-01&resource=https%3A%2F%2Fmonitor.azure.com{selector}"
            )
        );
        assert_eq!(calls[1].1, [("x-identity-header", "the-key".to_owned())]);
    }
}

#[test]
fn tsiam_is_asked_by_post() {
    let fields = r#""type":"tsiam","tsiam":{"cluster":"tsiam","authority":"tsiam.example.com"}"#;
    let calls = calls(&plan(fields), "");
    assert_eq!(
        calls[0].0,
        "tsiam POST tsiam.example.com /token?resource=https%3A%2F%2Fmonitor.azure.com"
    );
    assert!(calls[0].1.contains(&("x-tsiam", "1".to_owned())));
}

#[test]
fn the_token_of_tsiam_is_taken_as_an_assertion() {
    let tsiam = r#""tsiam":{"cluster":"tsiam","authority":"tsiam.example.com"}"#;
    let reply = r#"{"access_token":"eyJ0cw","expires_in":"300","token_type":"Bearer"}"#;
    let calls = calls(&plan(&application("tsiamFederated", tsiam)), reply);
    assert_eq!(
        calls[0].0,
        "tsiam POST tsiam.example.com /token?resource=api%3A%2F%2FAzureADTokenExchange"
    );
    assert!(
        calls[1].2.ends_with("&client_assertion=eyJ0cw"),
        "{}",
        calls[1].2
    );
}

#[test]
fn a_scope_keeps_the_slash_of_its_audience() {
    for (audience, scope) in [
        ("https://x", "https%3A%2F%2Fx%2F.default"),
        ("https://x/.default", "https%3A%2F%2Fx%2F.default"),
        ("https://x/", "https%3A%2F%2Fx%2F%2F.default"),
        ("https://x//.default", "https%3A%2F%2Fx%2F%2F.default"),
        ("api://app", "api%3A%2F%2Fapp%2F.default"),
    ] {
        let plan = plan_for(&application("clientSecret", FILE), audience);
        let form = &calls(&plan, "s")[1].2;
        assert!(
            form.contains(&format!("&scope={scope}&")),
            "{audience}: {form}"
        );
    }
}
