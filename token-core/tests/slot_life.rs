//! A token's life, told in single steps.

mod common;

use core::time::Duration;

use common::{START, answer, at, call, events, exchange, outputs, policy, slot, token};
use entra_token_core::failure::NoAnswer;
use entra_token_core::http::Response;
use entra_token_core::slot::{CallId, Event, Input, Output, Policy, Slot};
use entra_token_core::{Generation, Now};
#[cfg(all(target_family = "wasm", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

/// When the slot wants to be woken, in seconds from `START`.
fn wakeup(slot: &Slot) -> f64 {
    slot.next_wakeup().since(START.mono).as_secs_f64()
}

fn failure(outputs: &[Output]) -> (String, bool) {
    match events(outputs).as_slice() {
        [Event::Failed { failure, .. }] => (failure.code.to_string(), failure.permanent),
        other => panic!("expected one failure, got {other:?}"),
    }
}

#[test]
fn a_new_slot_asks_at_once() {
    let mut slot = slot();
    slot.handle(START, Input::Tick);
    let outputs = outputs(&mut slot);
    let [
        Output::Call {
            endpoint, request, ..
        },
    ] = outputs.as_slice()
    else {
        panic!("expected one call, got {outputs:?}");
    };
    assert_eq!(endpoint.cluster, "imds");
    assert_eq!(request.method, "GET");
    assert_eq!(
        request.path,
        "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fmonitor.azure.com"
    );
    assert_eq!(request.headers, [("metadata", "true".to_string())]);
}

#[test]
fn a_token_is_refreshed_at_ten_percent_of_its_life_before_expiry() {
    let mut slot = slot();
    let outputs = exchange(&mut slot, START, token("t", 3600));
    assert!(matches!(
        events(&outputs)[..],
        [Event::Acquired {
            generation: Generation(1),
            ..
        }]
    ));
    let due = wakeup(&slot);
    assert!((3204.0..=3240.0).contains(&due), "due after {due} s");
}

#[test]
fn the_share_before_expiry_is_the_users() {
    for (percent, earliest, latest) in [(1, 3560.0, 3564.0), (50, 1620.0, 1800.0), (99, 32.0, 36.0)]
    {
        let policy = Policy {
            refresh_before_expiry_percent: percent,
            ..policy()
        };
        let mut slot = Slot::new(common::plan(), policy, 7);
        exchange(&mut slot, START, token("t", 3600));
        let due = wakeup(&slot);
        assert!(
            (earliest..=latest).contains(&due),
            "{percent} %: due after {due} s"
        );
    }
}

#[test]
fn refresh_in_counts_where_it_is_earlier() {
    for (hint, earliest, latest) in [
        ("600", 540.0, 600.0),
        ("\"600\"", 540.0, 600.0),
        ("9999999", 3204.0, 3240.0),
        ("-5", 1.0, 1.0),
    ] {
        let mut slot = slot();
        let body = format!(r#"{{"access_token":"t","expires_in":3600,"refresh_in":{hint}}}"#);
        exchange(&mut slot, START, answer(200, &body));
        let due = wakeup(&slot);
        assert!(
            (earliest..=latest).contains(&due),
            "refresh_in {hint}: due after {due} s"
        );
    }
}

#[test]
fn the_old_token_is_served_while_the_next_one_is_fetched_and_replaced_when_it_comes() {
    let mut slot = slot();
    exchange(&mut slot, START, token("old", 3600));
    let id = call(&mut slot, at(3300.0));
    assert_eq!(
        slot.token(at(3301.0)).expect("valid").generation,
        Generation(1)
    );
    slot.handle(at(3301.0), Input::HttpResponse(id, token("new", 3600)));
    let held = slot.token(at(3301.0)).expect("valid");
    assert_eq!(
        (held.generation, held.secret.expose()),
        (Generation(2), "new")
    );
}

#[test]
fn a_byte_identical_token_is_no_newer_generation_and_is_asked_about_more_often_as_its_end_comes() {
    let mut slot = slot();
    exchange(&mut slot, START, token("same", 3600));
    let (mut calls, mut now) = (0, 3300.0);
    while now < 3590.0 {
        let left = 3600.0 - now;
        let outputs = exchange(&mut slot, at(now), token("same", left as u64));
        assert_eq!(events(&outputs), [&Event::Unchanged { after_failures: 0 }]);
        assert_eq!(
            slot.state().token.as_ref().expect("held").generation,
            Generation(1)
        );
        let wait = wakeup(&slot) - now;
        assert!(
            (1.0..=left / 9.0).contains(&wait),
            "{wait} s with {left} s left"
        );
        (calls, now) = (calls + 1, wakeup(&slot));
    }
    assert!(calls < 60, "{calls} calls in the last five minutes");
}

#[test]
fn an_identical_token_that_was_fetched_early_is_left_alone_until_its_refresh_is_due() {
    let mut slot = slot();
    exchange(&mut slot, START, token("same", 3600));
    slot.handle(at(60.0), Input::Unauthorized(Generation(1)));
    exchange(&mut slot, at(61.0), token("same", 3539));
    assert!(wakeup(&slot) > 2900.0, "due after {} s", wakeup(&slot));
}

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
    let resource = r#"{"error":"invalid_resource","error_description":"AADSTS500011: no such principal\r\nTrace ID: x"}"#;
    for (status, body, code, permanent) in [
        (400, not_found, "identity_not_found", true),
        (400, resource, "audience_not_found", true),
        (400, "", "request_refused", true),
        (401, "", "request_refused", true),
        (403, "", "request_refused", true),
        (404, "", "endpoint_not_ready", false),
        (408, "", "endpoint_timeout", false),
        (410, "", "endpoint_not_ready", false),
        (429, "", "throttled", false),
        (500, "", "endpoint_failed", false),
        (502, "", "endpoint_unreachable", false),
        (503, "upstream connect error", "endpoint_unreachable", false),
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
        "x".repeat(9000)
    );
    exchange(&mut slot, START, answer(400, &body));
    let message = &slot.state().last_failure.as_ref().expect("failed").message;
    assert!(
        message.contains("400: invalid_request: bad  thing xxx"),
        "{message}"
    );
    assert!(message.len() < 500 && !message.contains(['\r', '\n']));
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
fn a_token_is_over_when_either_clock_says_so() {
    let mut slot = slot();
    exchange(&mut slot, START, token("t", 3600));
    assert!(slot.token(at(3594.0)).is_some());
    assert!(slot.token(at(3596.0)).is_none(), "the slack before its end");
    let wall_ahead = Now {
        wall: at(3596.0).wall,
        ..at(10.0)
    };
    assert!(slot.token(wall_ahead).is_none());
    let wall_back = Now {
        wall: at(10.0).wall,
        ..at(3596.0)
    };
    assert!(slot.token(wall_back).is_none());
}

#[test]
fn a_machine_whose_clock_is_off_believes_the_lifetime_and_says_so() {
    for off in [-3600_i64, -1800, 1800, 3600, 86_400] {
        let mut slot = slot();
        let expires_on = START.wall.0 / 1000 + 3600;
        let expires_on = expires_on.saturating_add_signed(-off);
        let body =
            format!(r#"{{"access_token":"t","expires_in":"3600","expires_on":"{expires_on}"}}"#);
        let outputs = exchange(&mut slot, START, answer(200, &body));
        assert!(
            events(&outputs)
                .iter()
                .any(|e| matches!(e, Event::ClockOff(_))),
            "{off}"
        );
        assert!(slot.token(at(3590.0)).is_some(), "{off}");
        assert!(slot.token(at(3596.0)).is_none(), "{off}");
    }
}

#[test]
fn a_token_that_a_clock_set_forward_ended_is_asked_for_again_at_once_and_is_good_again() {
    let mut slot = slot();
    let reply = |left: u64| {
        let expires_on = START.wall.0 / 1000 + 3600;
        let ends = format!(r#""expires_in":"{left}","expires_on":"{expires_on}""#);
        answer(200, &format!(r#"{{"access_token":"same",{ends}}}"#))
    };
    exchange(&mut slot, START, reply(3600));
    let set_forward = Now {
        wall: at(7200.0).wall,
        ..at(60.0)
    };
    assert!(slot.token(set_forward).is_none());
    let outputs = exchange(&mut slot, set_forward, reply(3540));
    assert!(matches!(
        events(&outputs)[..],
        [Event::ClockOff(_), Event::Unchanged { .. }]
    ));
    assert!(slot.token(set_forward).is_some());
}

#[test]
fn a_small_difference_between_the_two_ends_counts_as_the_shorter_life() {
    let mut slot = slot();
    let expires_on = START.wall.0 / 1000 + 3500;
    let body = format!(r#"{{"access_token":"t","expires_in":"3600","expires_on":"{expires_on}"}}"#);
    exchange(&mut slot, START, answer(200, &body));
    assert!(slot.token(at(3494.0)).is_some());
    assert!(slot.token(at(3496.0)).is_none());
}

#[test]
fn a_token_that_is_over_when_its_reply_comes_is_a_failure() {
    let mut slot = slot();
    let id = call(&mut slot, START);
    slot.handle(at(3.0), Input::HttpResponse(id, token("t", 2)));
    let (code, _) = failure(&outputs(&mut slot));
    assert_eq!(code, "malformed_reply");
    assert_eq!(slot.state().token, None);
}

#[test]
fn a_cache_that_repeats_its_first_reply_does_not_prolong_the_token() {
    let mut slot = slot();
    exchange(&mut slot, START, token("same", 3600));
    exchange(&mut slot, at(3300.0), token("same", 3600));
    assert!(slot.token(at(3590.0)).is_some());
    assert!(slot.token(at(3596.0)).is_none());
    let outputs = exchange(&mut slot, at(3601.0), token("same", 3600));
    assert_eq!(failure(&outputs).0, "malformed_reply");
}

#[test]
fn an_answer_past_the_deadline_is_ignored_even_if_no_tick_came_between() {
    let mut slot = slot();
    let id = call(&mut slot, START);
    slot.handle(at(5.0), Input::HttpResponse(id, token("late", 3600)));
    assert_eq!(slot.state().token, None);
    slot.handle(at(5.0), Input::Tick);
    assert_eq!(failure(&outputs(&mut slot)).0, "endpoint_timeout");
}

#[test]
fn the_same_failure_again_is_no_news_and_another_one_is() {
    let mut slot = slot();
    let mut is_news = |now, status| {
        let outputs = exchange(&mut slot, at(now), answer(status, ""));
        matches!(events(&outputs)[..], [Event::Failed { is_news: true, .. }])
    };
    assert!(is_news(0.0, 500));
    assert!(!is_news(100.0, 500));
    assert!(is_news(200.0, 429));
    assert!(!is_news(300.0, 429));
}

#[test]
fn refreshes_of_a_fleet_are_spread() {
    let due = |seed, reply| {
        let mut slot = Slot::new(common::plan(), policy(), seed);
        exchange(&mut slot, START, token("t", 3600));
        exchange(&mut slot, at(3300.0), reply);
        slot.next_wakeup()
    };
    assert_ne!(due(1, token("next", 3600)), due(2, token("next", 3600)));
    assert_ne!(due(1, token("t", 300)), due(2, token("t", 300)));
}

#[test]
fn an_unanswered_call_is_given_up_and_its_late_answer_ignored() {
    let mut slot = slot();
    let id = call(&mut slot, START);
    slot.handle(at(5.0), Input::Tick);
    assert_eq!(failure(&outputs(&mut slot)).0, "endpoint_timeout");
    slot.handle(at(5.1), Input::HttpResponse(id, token("late", 3600)));
    assert_eq!(slot.state().token, None);
    slot.handle(
        at(5.1),
        Input::HttpResponse(CallId(99), token("foreign", 3600)),
    );
    assert_eq!(slot.state().token, None);
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
