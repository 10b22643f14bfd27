//! What is asked for a token for each kind of identity, the call that brings a credential first,
//! and what no credential may be.

mod common;

use core::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use common::{START, answer, at, failure, later, outputs, policy, token};
use entra_token_core::config;
use entra_token_core::failure::NoAnswer;
use entra_token_core::http::{Body, Response};
use entra_token_core::identity::Plan;
use entra_token_core::lease::LeaseParticipant;
use entra_token_core::record::{OwnerId, SlotKey};
use entra_token_core::slot::{CallId, Input, Output, Slot};
#[cfg(all(target_family = "wasm", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

const TENANT: &str = "11111111-2222-3333-4444-555555555555";
const APPLICATION: &str = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee";

/// The fields that every application has.
fn application(kind: &str, more: &str) -> String {
    format!(
        r#""type":"{kind}","tenantId":"{TENANT}","clientId":"{APPLICATION}","entra":{{"cluster":"entra"}},{more}"#
    )
}

const FILE: &str = r#""credential":{"cluster":"files","path":"/secret"}"#;

fn plan_for(fields: &str, audience: &str) -> Plan {
    let json = format!(
        r#"{{"identities":[{{"name":"i",{fields}}}],
            "targets":[{{"hosts":["a.example.com"],"identity":"i","audience":"{audience}"}}]}}"#
    );
    let config = config::read(json.as_bytes()).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    config::compile(&config).expect("a configuration").slots[0]
        .plan
        .clone()
}

fn plan(fields: &str) -> Plan {
    plan_for(fields, "https://monitor.azure.com")
}

/// A call as `cluster METHOD authority path`, its headers, and its body.
type Asked = (String, Vec<(&'static str, String)>, String);

/// Takes the call that the machine wants.
fn asked(slot: &mut Slot) -> (CallId, Asked) {
    match outputs(slot).as_slice() {
        [
            Output::Call {
                id,
                endpoint,
                request,
                ..
            },
        ] => {
            let line = format!(
                "{} {} {} {}",
                endpoint.cluster, request.method, endpoint.authority, request.path
            );
            let body = String::from_utf8(request.body.0.clone()).expect("a form");
            (*id, (line, request.headers.clone(), body))
        }
        other => panic!("expected one call, got {other:?}"),
    }
}

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

/// An assertion that ends so many seconds after `START`.
fn assertion(seconds: i64) -> String {
    let exp = i64::try_from(START.wall.0 / 1000).expect("a moment") + seconds;
    let claims = URL_SAFE_NO_PAD.encode(format!(r#"{{"sub":"s","exp":{exp}}}"#));
    format!("eyJhbGciOiJSUzI1NiJ9.{claims}.c2ln")
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

/// The failure that an answer in place of a credential is.
fn refused(kind: &str, response: Response) -> (String, bool) {
    let mut slot = Slot::new(plan(&application(kind, FILE)), policy(), 7);
    slot.handle(START, Input::Tick);
    let (id, _) = asked(&mut slot);
    slot.handle(START, Input::HttpResponse(id, response));
    failure(&outputs(&mut slot))
}

#[test]
fn what_is_no_credential_is_not_sent() {
    let raw = |bytes: &[u8]| Response {
        body: Body(bytes.to_vec()),
        ..answer(200, "")
    };
    for (kind, response, code) in [
        ("clientSecret", answer(200, ""), "credential_unusable"),
        ("clientSecret", answer(200, " \r\n"), "credential_unusable"),
        (
            "clientSecret",
            answer(200, "one\ntwo"),
            "credential_unusable",
        ),
        ("clientSecret", answer(200, "nul\0"), "credential_unusable"),
        ("clientSecret", raw(b"\xff\xfe"), "credential_unusable"),
        (
            "clientSecret",
            answer(200, &"x".repeat(40_000)),
            "credential_unusable",
        ),
        ("clientSecret", answer(404, "no"), "credential_unavailable"),
        ("clientSecret", answer(503, ""), "credential_unavailable"),
        (
            "workloadIdentity",
            answer(200, "a-secret"),
            "credential_unusable",
        ),
        (
            "workloadIdentity",
            answer(200, "a.b"),
            "credential_unusable",
        ),
        (
            "workloadIdentity",
            answer(200, "a.!.c"),
            "credential_unusable",
        ),
        (
            "workloadIdentity",
            answer(200, "a.bm8.c"),
            "credential_unusable",
        ),
        (
            "workloadIdentity",
            answer(200, &assertion(0)),
            "assertion_over",
        ),
        (
            "workloadIdentity",
            answer(200, &assertion(-3600)),
            "assertion_over",
        ),
    ] {
        let shown = format!("{kind} {response:?}");
        assert_eq!(refused(kind, response), (code.to_owned(), false), "{shown}");
    }
}

#[test]
fn no_error_and_no_debug_output_shows_a_credential() {
    let fields = application("clientSecret", FILE);
    let mut slot = Slot::new(plan(&fields), policy(), 7);
    slot.handle(START, Input::Tick);
    let (id, _) = asked(&mut slot);
    slot.handle(START, Input::HttpResponse(id, answer(200, "hunter2")));
    let shown = format!("{slot:?}{:?}", outputs(&mut slot));
    assert!(!shown.contains("hunter2"), "{shown}");

    slot.handle(START, Input::CallFailed(CallId(1), NoAnswer::Broken));
    outputs(&mut slot);
    slot.handle(at(60.0), Input::Tick);
    let (id, _) = asked(&mut slot);
    slot.handle(
        at(60.0),
        Input::HttpResponse(id, answer(200, "hunter2\nhunter3")),
    );
    let shown = format!("{slot:?}{:?}", outputs(&mut slot));
    assert!(!shown.contains("hunter"), "{shown}");
}

#[test]
fn two_calls_have_a_deadline_each_and_one_lease_for_both() {
    let plan = plan(&application("clientSecret", FILE));
    let mut participant = LeaseParticipant::new(OwnerId(1), plan.clone(), policy());
    let mut other = LeaseParticipant::new(OwnerId(2), plan, policy());
    let shared = common::OneKey::default();
    let first = participant
        .step(START, &shared)
        .call
        .expect("the first call");
    // Just before the first call's own deadline. The holder's ticks renew its lease.
    let tick = |participant: &mut LeaseParticipant, seconds| {
        assert!(participant.step(at(seconds), &shared).call.is_none());
    };
    tick(&mut participant, 3.0);
    let now = at(4.9);
    let second = participant.answered(now, first.id, answer(200, "secret"), &shared);
    let second = second.call.expect("the second call");
    assert!(second.id != first.id);
    tick(&mut participant, 6.0);
    let now = at(9.8);
    assert!(other.step(now, &shared).call.is_none(), "two calls at once");
    let outcome = participant.answered(now, second.id, token("eyJ0", 3600), &shared);
    assert!(outcome.call.is_none() && participant.token(now).is_some());
    // Its life counts from when the second call was sent.
    let lifetime = Duration::from_secs(3600);
    let ends = shared.record().state.token.expect("a token").expires_mono;
    assert_eq!(ends, at(4.9).mono.after(lifetime));
}

#[test]
fn an_unanswered_second_call_is_given_up_and_the_next_attempt_fetches_the_credential_anew() {
    let mut slot = Slot::new(plan(&application("clientSecret", FILE)), policy(), 7);
    slot.handle(START, Input::Tick);
    let (id, _) = asked(&mut slot);
    slot.handle(START, Input::HttpResponse(id, answer(200, "old")));
    asked(&mut slot);
    slot.handle(at(5.0), Input::Tick);
    assert_eq!(failure(&outputs(&mut slot)).0, "endpoint_timeout");
    slot.handle(at(10.0), Input::Tick);
    let (id, (line, ..)) = asked(&mut slot);
    assert!(line.starts_with("files "), "{line}");
    slot.handle(at(10.0), Input::HttpResponse(id, answer(200, "new")));
    let (_, (_, _, form)) = asked(&mut slot);
    assert!(form.ends_with("client_secret=new"), "{form}");
}

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
        let errors = config::read(json.as_bytes()).expect_err(&fields);
        let told: Vec<_> = errors.0.iter().map(ToString::to_string).collect();
        for part in expected {
            assert!(
                told.iter().any(|error| error.contains(part)),
                "no {part:?} in {told:?}"
            );
        }
    }
}

/// What is said of a call that got this answer, or none.
fn said(plan: &Plan, answered: Result<Response, NoAnswer>) -> (String, String) {
    let mut slot = Slot::new(plan.clone(), policy(), 7);
    slot.handle(START, Input::Tick);
    let (id, _) = asked(&mut slot);
    slot.handle(
        START,
        match answered {
            Ok(response) => Input::HttpResponse(id, response),
            Err(why) => Input::CallFailed(id, why),
        },
    );
    let failure = slot.state().last_failure.clone().expect("failed");
    let advice = failure.advice().unwrap_or_default().to_owned();
    (failure.message, advice)
}

/// Whatever surrounds it: what was sent is known, and need not be guessed.
#[test]
fn a_secret_that_an_endpoint_gives_back_is_in_no_message() {
    let plan = plan(&application("clientSecret", FILE));
    for echo in [
        "s3cr~et+&= was sent",
        "<td>client_secret</td><td>s3cr~et+&=</td>",
        "x s3cr%7Eet%2B%26%3D y",
        "x=s3cr~et%2B%26%3D",
    ] {
        let mut slot = Slot::new(plan.clone(), policy(), 7);
        slot.handle(START, Input::Tick);
        let (id, _) = asked(&mut slot);
        slot.handle(START, Input::HttpResponse(id, answer(200, "s3cr~et+&=")));
        let (id, _) = asked(&mut slot);
        slot.handle(START, Input::HttpResponse(id, answer(400, echo)));
        let failure = slot.state().last_failure.clone().expect("failed");
        assert!(!failure.to_string().contains("s3cr"), "{failure}");
    }
}

#[test]
fn a_forward_proxy_is_named_where_the_endpoint_itself_said_nothing() {
    let tsiam = |more: &str| {
        format!(r#""type":"tsiam","tsiam":{{"cluster":"tsiam","authority":"tsiam"{more}}}"#)
    };
    let direct = plan(&tsiam(""));
    let proxied = plan(&tsiam(r#","forwardProxy":"proxy.corp.example:3128""#));
    let proxy = "by way of the proxy proxy.corp.example:3128";
    let silent = [
        Ok(answer(503, "no healthy upstream")),
        Ok(answer(504, "upstream request timeout")),
        Err(NoAnswer::Broken),
        Err(NoAnswer::TimedOut),
    ];
    for answered in silent {
        let (message, advice) = said(&proxied, answered.clone());
        assert!(message.ends_with(proxy), "{message}");
        assert!(advice.contains("CONNECT"), "{advice}");
        let (message, advice) = said(&direct, answered);
        assert!(!message.contains("proxy"), "{message}");
        assert!(!advice.contains("CONNECT"), "{advice}");
    }
    // A proxy that inspects TLS shows a certificate of its own: the trust store is the matter.
    let inspected = NoAnswer::Tls("CERTIFICATE_VERIFY_FAILED".into());
    let (message, advice) = said(&proxied, Err(inspected));
    assert!(message.ends_with(proxy), "{message}");
    assert!(!advice.contains("CONNECT"), "{advice}");
    let its_own_word = answer(503, r#"{"error":"temporarily_unavailable"}"#);
    let (message, _) = said(&proxied, Ok(its_own_word));
    assert!(!message.contains("proxy"), "{message}");

    // The machine's own deadline passes.
    let mut slot = Slot::new(proxied.clone(), policy(), 7);
    slot.handle(START, Input::Tick);
    slot.handle(at(60.0), Input::Tick);
    let failure = slot.state().last_failure.clone().expect("failed");
    assert!(failure.message.ends_with(proxy), "{failure}");
}

/// Envoy says the same where outlier detection has ejected every address.
#[test]
fn an_address_is_not_told_to_be_a_name_that_dns_does_not_know() {
    let plan_at = |authority: &str| {
        plan(&format!(
            r#""type":"tsiam","tsiam":{{"cluster":"tsiam","authority":"{authority}"}}"#
        ))
    };
    for (authority, expected) in [
        ("tsiam.example", "DNS knows no address for tsiam.example"),
        ("169.254.169.254", "no healthy address of 169.254.169.254"),
        ("10.0.0.1:8080", "no healthy address of 10.0.0.1:8080"),
        ("[::1]:8080", "no healthy address of [::1]:8080"),
        ("localhost:8080", "no healthy address of localhost:8080"),
    ] {
        let mut slot = Slot::new(plan_at(authority), policy(), 7);
        // In the first seconds it is not told.
        for seconds in [0.0, 10.0] {
            slot.handle(at(seconds), Input::Tick);
            let (id, _) = asked(&mut slot);
            slot.handle(at(seconds), Input::CallFailed(id, NoAnswer::NoAddress));
        }
        let failure = slot.state().last_failure.clone().expect("failed");
        assert!(failure.message.contains(expected), "{failure}");
    }
}

#[test]
fn each_of_two_calls_names_the_proxy_on_its_own_way() {
    let assertion = r#""tsiam":{"cluster":"tsiam","authority":"tsiam"}"#;
    let exchange = |proxy: &str| {
        plan(&application("tsiamFederated", assertion).replace(
            r#""entra":{"cluster":"entra"}"#,
            &format!(r#""entra":{{"cluster":"entra"{proxy}}}"#),
        ))
    };
    let proxied = exchange(r#","forwardProxy":"proxy.corp.example:3128""#);
    assert_eq!(proxied.fingerprint(), exchange("").fingerprint());
    // tsiam is asked first, and directly.
    let (message, _) = said(&proxied, Err(NoAnswer::Broken));
    assert!(!message.contains("proxy"), "{message}");

    let mut slot = Slot::new(proxied, policy(), 7);
    slot.handle(START, Input::Tick);
    let (id, _) = asked(&mut slot);
    slot.handle(START, Input::HttpResponse(id, token("eyJ0", 3600)));
    let (id, _) = asked(&mut slot);
    slot.handle(START, Input::CallFailed(id, NoAnswer::Broken));
    let failure = slot.state().last_failure.clone().expect("failed");
    assert!(failure.message.contains("proxy.corp.example:3128"));
}
