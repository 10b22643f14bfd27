//! By what Entra's support finds a failed exchange: what is kept of the ids in an answer, what
//! stands in for them, where they are shown, and that they make no news.

mod common;

use common::{START, answer, at, events, outputs, policy};
use entra_token_core::config::SlotSpec;
use entra_token_core::failure::{Failure, FailureCode, NoAnswer};
use entra_token_core::http::Endpoint;
use entra_token_core::identity::{Exchange, LocalResource, Plan, Proof, Source};
use entra_token_core::page;
use entra_token_core::slot::{CallId, Event, Input, Output, Slot};
use entra_token_core::status::{NoToken, Process, Status, Unavailable, json};
use entra_token_core::trace::Trace;
use entra_token_core::{Now, http::Response};
#[cfg(all(target_family = "wasm", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

const TRACE: &str = "0a1b2c3d-1111-4222-8333-944445555666";
const CORRELATION: &str = "f0e1d2c3-aaaa-4bbb-8ccc-9dddeeeeffff";
const TIME: &str = "2026-09-21 14:13:20Z";

fn endpoint(name: &str) -> Endpoint {
    Endpoint {
        cluster: name.into(),
        authority: name.into(),
        forward_proxy: None,
    }
}

/// An application with a secret: two calls, of which the second goes to Entra.
fn application() -> Plan {
    Plan {
        source: Source::Entra(Exchange {
            endpoint: endpoint("entra"),
            tenant: "contoso.com".into(),
            client_id: "client".into(),
            proof: Proof::Secret(LocalResource {
                endpoint: endpoint("files"),
                path: "/secret".into(),
            }),
        }),
        ..common::plan()
    }
}

fn slot() -> Slot {
    Slot::new(application(), policy(), 7)
}

/// The call that is wanted, and its `client-request-id`.
fn asked(slot: &mut Slot) -> (CallId, Option<String>) {
    match outputs(slot).as_slice() {
        [Output::Call { id, request, .. }] => (*id, request.client_request_id().map(str::to_owned)),
        other => panic!("expected one call, got {other:?}"),
    }
}

/// Ticks, brings the secret, and says under which ids Entra is then asked.
fn ask_entra(slot: &mut Slot, now: Now) -> (CallId, String) {
    slot.handle(now, Input::Tick);
    let (id, traced) = asked(slot);
    assert_eq!(traced, None, "a file is not Entra's");
    slot.handle(now, Input::HttpResponse(id, answer(200, "s3cret")));
    let (id, traced) = asked(slot);
    (id, traced.expect("a client-request-id"))
}

/// What came of an exchange with Entra, and the `client-request-id` it had.
fn exchange(slot: &mut Slot, now: Now, response: Response) -> (Failure, bool, String) {
    let (id, request) = ask_entra(slot, now);
    slot.handle(now, Input::HttpResponse(id, response));
    let (failure, is_new) = failed(slot);
    (failure, is_new, request)
}

fn failed(slot: &mut Slot) -> (Failure, bool) {
    match events(&outputs(slot)).as_slice() {
        [
            Event::Failed {
                failure, is_new, ..
            },
        ] => (failure.clone(), *is_new),
        other => panic!("expected one failure, got {other:?}"),
    }
}

fn trace(trace_id: Option<&str>, correlation_id: Option<&str>, timestamp: Option<&str>) -> Trace {
    Trace {
        trace_id: trace_id.map(str::to_owned),
        correlation_id: correlation_id.map(str::to_owned),
        client_request_id: None,
        timestamp: timestamp.map(str::to_owned),
    }
}

/// As Entra answers: the ids as fields, and again at the end of the description.
fn refusal(trace: &str, correlation: &str, timestamp: &str) -> Response {
    let body = format!(
        r#"{{"error":"invalid_client","error_description":"AADSTS70021: No match.\r\nTrace ID: {trace}\r\nCorrelation ID: {correlation}\r\nTimestamp: {timestamp}","error_codes":[70021],"timestamp":"{timestamp}","trace_id":"{trace}","correlation_id":"{correlation}"}}"#
    );
    answer(400, &body)
}

#[test]
fn the_ids_of_entras_answer_are_told_apart_from_its_words() {
    let (failure, ..) = exchange(&mut slot(), START, refusal(TRACE, CORRELATION, TIME));
    assert_eq!(
        *failure.trace,
        trace(Some(TRACE), Some(CORRELATION), Some(TIME))
    );
    assert!(
        failure.message.ends_with("AADSTS70021: No match."),
        "{}",
        failure.message
    );
    let told = failure.to_string();
    let ids = format!("[trace_id {TRACE}, correlation_id {CORRELATION}, timestamp {TIME}]");
    assert!(told.ends_with(&ids), "{told}");
}

/// IMDS and other services pass Entra's description on without its fields, and Entra has written
/// the ids on the same line too.
#[test]
fn the_ids_are_found_in_the_description_where_there_are_no_fields() {
    let all = format!("Trace ID: {TRACE} Correlation ID: {CORRELATION} Timestamp: {TIME}");
    let lines = all.replace(" C", r"\r\nC").replace(" Ti", r"\r\nTi");
    let (whole, part) = (
        trace(Some(TRACE), Some(CORRELATION), Some(TIME)),
        trace(Some(TRACE), None, Some(TIME)),
    );
    let without_correlation = format!(r"Trace ID: {TRACE}\r\nTimestamp: {TIME}");
    for (ids, expected) in [
        (&all, &whole),
        (&lines, &whole),
        (&without_correlation, &part),
    ] {
        let body = format!(r#"{{"error":"x","error_description":"Words. {ids}"}}"#);
        let mut slot = common::slot();
        common::exchange(&mut slot, START, answer(400, &body));
        let failure = slot.state().last_failure.as_ref().expect("failed");
        assert_eq!(&*failure.trace, expected, "{ids}");
        assert!(failure.message.ends_with("400: x: Words."), "{failure}");
    }
}

#[test]
fn what_is_no_id_is_left_where_it_stands() {
    let long = "9".repeat(65);
    for ids in [
        "Trace ID: ",
        r"Trace ID: \u0007",
        "Trace ID: t Correlation ID: Timestamp: x",
        "Trace ID: t Correlation ID: ü",
        &format!("Trace ID: {long}"),
    ] {
        let body = format!(r#"{{"error":"x","error_description":"Words. {ids}"}}"#);
        let mut slot = common::slot();
        common::exchange(&mut slot, START, answer(400, &body));
        let failure = slot.state().last_failure.as_ref().expect("failed");
        assert_eq!(*failure.trace, Trace::default(), "{ids}");
        assert!(failure.message.contains("Words. Trace ID:"), "{failure}");
    }
}

#[test]
fn fields_of_another_type_or_length_or_with_unprintable_text_are_absent() {
    let long = format!("\"{}\"", "9".repeat(65));
    let longest = "9".repeat(64);
    let as_json = format!("\"{longest}\"");
    for (value, kept) in [
        ("7", None),
        ("null", None),
        ("[\"a\"]", None),
        ("{}", None),
        ("true", None),
        ("\"\"", None),
        ("\" \"", None),
        (r#""a\r\nb""#, None),
        (r#""a\u0000""#, None),
        ("\"\u{202e}a\"", None),
        (long.as_str(), None),
        (as_json.as_str(), Some(longest.as_str())),
        ("\" a b \"", Some("a b")),
    ] {
        let body = format!(
            r#"{{"error":"x","trace_id":{value},"correlation_id":{value},"timestamp":{value}}}"#
        );
        let mut slot = common::slot();
        common::exchange(&mut slot, START, answer(400, &body));
        let failure = slot.state().last_failure.as_ref().expect("failed");
        assert_eq!(*failure.trace, trace(kept, kept, kept), "{value}");
        assert_eq!(failure.message, "the token endpoint answered 400: x");
    }
}

#[test]
fn the_requests_own_id_stands_in_where_entra_gave_none() {
    for response in [
        answer(502, "<html>Bad Gateway</html>"),
        answer(403, "blocked by the proxy"),
        answer(200, "<html>Sign in</html>"),
        answer(500, r#"{"error":"x"}"#),
    ] {
        let (failure, _, request) = exchange(&mut slot(), START, response);
        let expected = Trace {
            client_request_id: Some(request.clone()),
            timestamp: Some(TIME.into()),
            ..Trace::default()
        };
        assert_eq!(*failure.trace, expected, "{failure}");
        let told = failure.to_string();
        assert!(told.ends_with(&format!("[client-request-id {request}, timestamp {TIME}]")));
    }
}

#[test]
fn the_requests_own_id_stands_in_where_no_answer_came() {
    let mut slot = slot();
    let (id, request) = ask_entra(&mut slot, START);
    slot.handle(at(1.0), Input::CallFailed(id, NoAnswer::Broken));
    let failure = failed(&mut slot).0;
    assert_eq!(failure.trace.client_request_id, Some(request));

    let (_, request) = ask_entra(&mut slot, at(10.0));
    slot.handle(at(60.0), Input::Tick);
    let failure = failed(&mut slot).0;
    assert_eq!(failure.code, FailureCode::EndpointTimeout);
    assert_eq!(failure.trace.client_request_id, Some(request));
}

/// Nobody could find an exchange by an id that was not sent.
#[test]
fn where_no_id_was_sent_none_is_made_up() {
    let mut slot = slot();
    slot.handle(START, Input::Tick);
    let (id, _) = asked(&mut slot);
    slot.handle(START, Input::HttpResponse(id, answer(404, "")));
    let failure = failed(&mut slot).0;
    assert_eq!(failure.code, FailureCode::CredentialUnavailable);
    assert!(failure.trace.is_empty() && !failure.to_string().contains('['));

    let mut imds = common::slot();
    common::exchange(&mut imds, START, answer(500, ""));
    let failure = imds.state().last_failure.as_ref().expect("failed");
    assert!(failure.trace.is_empty(), "{failure}");
}

#[test]
fn other_ids_are_no_news_and_the_newest_are_kept() {
    let mut slot = slot();
    let mut requests = Vec::new();
    for n in 0..10_u32 {
        let now = at(f64::from(n) * 100.0);
        // No digits, no common part: nothing but their place tells that these are ids.
        let id = char::from_u32(u32::from('a') + n).expect("a letter");
        let id = String::from(id).repeat(36);
        let (failure, is_new, request) = exchange(&mut slot, now, refusal(&id, &id, &id));
        assert_eq!(is_new, n == 0, "answer {n}");
        assert_eq!(failure.trace.trace_id, Some(id));
        let kept = slot.state().last_failure.as_ref().map(|it| &it.trace);
        assert_eq!(kept, Some(&failure.trace));
        requests.push(request);
    }
    requests.sort();
    requests.dedup();
    assert_eq!(requests.len(), 10, "each exchange has an id of its own");

    let (failure, is_new, _) = exchange(&mut slot, at(2000.0), answer(502, "<html>"));
    assert!(is_new && failure.trace.trace_id.is_none());
    let (_, is_new, _) = exchange(&mut slot, at(2100.0), answer(502, "<html>"));
    assert!(!is_new, "another client-request-id is none either");
}

#[test]
fn the_status_shows_the_ids_and_a_refused_request_does_not() {
    let mut slot = slot();
    exchange(&mut slot, START, refusal(TRACE, CORRELATION, TIME));
    let spec = SlotSpec {
        plan: application(),
        ..common::spec()
    };
    let status = Status::of(&[(&spec, slot.state())], &[], &Process::default(), at(1.0));
    let ids =
        format!(r#""traceId":"{TRACE}","correlationId":"{CORRELATION}","timestamp":"{TIME}"}}"#);
    let text = String::from_utf8(json(&status)).expect("JSON");
    assert!(text.contains(&ids), "{text}");
    assert!(!text.contains("clientRequestId"), "{text}");
    // Who sends requests need not know of the exchange.
    let refused = Unavailable::new(NoToken::HeldTooLong, slot.state(), at(1.0));
    let text = String::from_utf8(json(&refused)).expect("JSON");
    assert!(
        !text.contains(TRACE) && !text.contains(CORRELATION),
        "{text}"
    );
    let page = page::render(&status);
    let ids = format!("trace_id {TRACE}, correlation_id {CORRELATION}, timestamp {TIME}");
    assert!(page.contains(&ids), "{page}");

    let (.., request) = exchange(&mut slot, at(100.0), refusal("<b>", "", ""));
    let status = Status::of(
        &[(&spec, slot.state())],
        &[],
        &Process::default(),
        at(101.0),
    );
    let text = String::from_utf8(json(&status)).expect("JSON");
    let own = format!(r#""clientRequestId":"{request}""#);
    assert!(text.contains(&own), "{text}");
    let page = page::render(&status);
    assert!(
        page.contains("trace_id &lt;b&gt;, client-request-id "),
        "{page}"
    );
}
