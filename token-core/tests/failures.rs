//! What a failed attempt does: how it is judged, when the next one comes, what people are told.

mod common;

use core::time::Duration;

use common::{
    START, answer, at, call, events, exchange, failure, outputs, policy, slot, token, wakeup,
};
use entra_token_core::failure::NoAnswer;
use entra_token_core::http::Response;
use entra_token_core::slot::{Event, Input, Slot};
#[cfg(all(target_family = "wasm", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

#[test]
fn failures_back_off_from_a_second_to_a_minute_with_jitter() {
    let mut slot = slot();
    let mut now = START;
    for attempt in 0..12 {
        let id = call(&mut slot, now);
        slot.handle(now, Input::CallFailed(id, NoAnswer::Broken));
        outputs(&mut slot);
        let full = f64::from(1_u32 << attempt.min(6)).min(60.0);
        let wait = slot.next_wakeup().since(now.mono).as_secs_f64();
        assert!(
            (full / 2.0..=full).contains(&wait),
            "attempt {attempt}: {wait} s"
        );
        now = common::later(now, slot.next_wakeup().since(now.mono));
    }
    assert_eq!(slot.state().failures, 12);
}

#[test]
fn two_slots_of_different_seed_do_not_wait_alike() {
    let wait = |seed| {
        let mut slot = Slot::new(common::plan(), policy(), seed);
        exchange(&mut slot, START, answer(500, ""));
        slot.next_wakeup()
    };
    assert_ne!(wait(1), wait(2));
}

#[test]
fn retry_after_is_honoured_as_seconds_and_as_a_date_and_not_believed_beyond_ten_minutes() {
    // START is Mon, 21 Sep 2026 14:13:20 GMT.
    for (value, earliest, latest) in [
        ("60", 60.0, 66.0),
        ("Mon, 21 Sep 2026 14:14:20 GMT", 60.0, 66.0),
        ("Mon, 21 Sep 2026 14:00:00 GMT", 0.5, 1.0),
        ("86400", 600.0, 660.0),
        ("0", 0.5, 1.0),
        ("soon", 0.5, 1.0),
    ] {
        let mut slot = slot();
        let throttled = Response {
            retry_after: Some(value.into()),
            ..answer(429, "")
        };
        exchange(&mut slot, START, throttled);
        let wait = wakeup(&slot);
        assert!((earliest..=latest).contains(&wait), "{value}: {wait} s");
    }
}

#[test]
fn statuses_are_judged_as_imds_documents_them() {
    let not_found = r#"{"error":"invalid_request","error_description":"Identity not found"}"#;
    let unknown_resource = r#"{"error":"invalid_resource"}"#;
    // App Service has an error of its own form.
    let no_identity = r#"{"statusCode":400,"message":"No User Assigned or Delegated Managed Identity found for specified ClientId/ResourceId/PrincipalId."}"#;
    let no_resource = r#"{"statusCode":400,"message":"AADSTS500011: no such resource"}"#;
    for (status, body, code, permanent) in [
        (400, not_found, "identity_not_found", true),
        (400, unknown_resource, "audience_not_found", true),
        (400, no_identity, "identity_not_found", true),
        (400, no_resource, "audience_not_found", true),
        (400, r#"{"message":7}"#, "request_refused", true),
        (400, "", "request_refused", true),
        (401, "", "request_refused", true),
        (403, "", "request_refused", true),
        (404, "", "endpoint_not_ready", false),
        (408, "", "endpoint_timeout", false),
        (410, "", "endpoint_not_ready", false),
        (429, "", "throttled", false),
        (500, "", "endpoint_failed", false),
        (502, "", "endpoint_unreachable", false),
        (503, "no healthy upstream", "endpoint_unreachable", false),
        (503, r#"{"error":"busy"}"#, "endpoint_failed", false),
        (504, "", "endpoint_timeout", false),
        (302, "", "endpoint_redirects", false),
        (204, "", "unexpected_status", false),
    ] {
        let mut slot = slot();
        let outputs = exchange(&mut slot, START, answer(status, body));
        assert_eq!(
            failure(&outputs),
            (code.into(), permanent),
            "{status} {body}"
        );
        let wait = wakeup(&slot);
        let expected = if permanent { 30.0..=60.0 } else { 0.5..=1.0 };
        assert!(expected.contains(&wait), "{status} {body}: {wait} s");
    }
}

#[test]
fn an_error_is_one_bounded_line_in_the_servers_words() {
    let mut slot = slot();
    let body = format!(
        r#"{{"error":"invalid_request","error_description":"bad\r\nthing {}"}}"#,
        "word ".repeat(2000)
    );
    exchange(&mut slot, START, answer(400, &body));
    let message = &slot.state().last_failure.as_ref().expect("failed").message;
    assert!(
        message.contains("400: invalid_request: bad  thing word word"),
        "{message}"
    );
    assert!(message.len() < 500 && !message.contains(['\r', '\n']));
    assert!(message.ends_with(" word"), "cut between words: {message}");
}

#[test]
fn a_success_ends_the_count_of_failures() {
    let mut slot = slot();
    exchange(&mut slot, START, answer(500, ""));
    let outputs = exchange(&mut slot, at(10.0), token("t", 3600));
    assert!(matches!(
        events(&outputs)[..],
        [Event::Acquired {
            after_failures: 1,
            ..
        }]
    ));
    assert_eq!(
        (slot.state().failures, &slot.state().last_failure),
        (0, &None)
    );
}

#[test]
fn the_retry_after_of_a_failure_does_not_outlive_it() {
    let mut slot = slot();
    let throttled = Response {
        retry_after: Some("60".into()),
        ..answer(429, "")
    };
    exchange(&mut slot, START, throttled);
    exchange(&mut slot, at(70.0), answer(500, ""));
    assert!(slot.next_wakeup().since(at(70.0).mono) <= Duration::from_secs(2));
}

#[test]
fn the_same_failure_again_is_no_news_and_another_one_is() {
    let mut slot = slot();
    let mut is_new = |now, status| {
        let outputs = exchange(&mut slot, at(now), answer(status, ""));
        matches!(events(&outputs)[..], [Event::Failed { is_new: true, .. }])
    };
    assert!(is_new(0.0, 500));
    assert!(!is_new(100.0, 500));
    assert!(is_new(200.0, 429));
    assert!(!is_new(300.0, 429));
}

/// A renewal that fails is one thing, and no token at all another.
#[test]
fn that_the_token_in_hand_has_ended_is_news() {
    let mut slot = slot();
    exchange(&mut slot, START, token("t", 3600));
    let mut told = |now| {
        let outputs = exchange(&mut slot, at(now), answer(500, ""));
        match &events(&outputs)[..] {
            [
                Event::Failed {
                    failure, is_new, ..
                },
            ] => (failure.had_valid_token, *is_new),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(told(3300.0), (true, true));
    assert_eq!(told(3400.0), (true, false));
    assert_eq!(told(3700.0), (false, true));
    assert_eq!(told(3800.0), (false, false));
}

/// The ids and times in Entra's descriptions differ from answer to answer.
#[test]
fn what_differs_in_every_answer_makes_no_news_and_another_number_does() {
    let mut slot = slot();
    let mut is_new = |now, number, trace| {
        let body = format!(
            r#"{{"error":"invalid_client","error_description":"AADSTS{number}: no.\r\nTrace ID: {trace}\r\nTimestamp: 2026-09-21 14:13:{trace}Z"}}"#
        );
        let outputs = exchange(&mut slot, at(now), answer(401, &body));
        matches!(events(&outputs)[..], [Event::Failed { is_new: true, .. }])
    };
    assert!(is_new(0.0, 50_001, 10));
    assert!(!is_new(100.0, 50_001, 11));
    assert!(is_new(200.0, 50_002, 12));
}

#[test]
fn a_number_of_entra_counts_for_more_than_the_status_unless_that_asks_for_another_try() {
    for (status, number, code, permanent) in [
        (400, 90_033, "entra_unavailable", false),
        (401, 70_021, "federated_credential_not_found", false),
        (400, 700_016, "application_not_found", true),
        (401, 7_000_215, "client_secret_wrong", true),
        (503, 700_016, "application_not_found", false),
        (429, 700_016, "application_not_found", false),
        (400, 50_001, "request_refused", true),
    ] {
        let body = format!(r#"{{"error":"x","error_codes":[{number}]}}"#);
        let outputs = exchange(&mut slot(), START, answer(status, &body));
        assert_eq!(
            failure(&outputs),
            (code.into(), permanent),
            "{status} {number}"
        );
    }
}

#[test]
fn an_error_body_is_understood_as_far_as_it_makes_sense() {
    for fields in [
        r#""error_description":null"#,
        r#""error_description":7,"error_codes":{}"#,
        r#""error_codes":["700017",null,-1,1e99]"#,
    ] {
        let body = format!(r#"{{"error":"odd",{fields}}}"#);
        let mut slot = slot();
        let outputs = exchange(&mut slot, START, answer(400, &body));
        assert_eq!(
            failure(&outputs),
            ("request_refused".into(), true),
            "{body}"
        );
        let message = &slot.state().last_failure.as_ref().expect("failed").message;
        assert!(message.ends_with("400: odd"), "{message}");
    }
}
