//! What a failure names: the forward proxy on the way, and the endpoint.

use entra_token_core::failure::NoAnswer;
use entra_token_core::http::Response;
use entra_token_core::identity::Plan;
use entra_token_core::slot::{Input, Slot};
#[cfg(all(target_family = "wasm", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::common::{START, answer, at, policy, token};
use crate::{application, asked, plan};

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
