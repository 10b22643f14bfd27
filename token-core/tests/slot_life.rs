//! A token's life, told in single steps.

mod common;

use common::{
    START, answer, at, call, events, exchange, failure, outputs, policy, slot, token, wakeup,
};
use entra_token_core::slot::{CallId, Event, Input, Output, Policy, Slot};
use entra_token_core::{Generation, Now};
#[cfg(all(target_family = "wasm", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

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
                .any(|e| matches!(e, Event::ClockSkew(_))),
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
        [Event::ClockSkew(_), Event::Unchanged { .. }]
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
