//! What a 401 of the target does: the rules of decision 6, one by one.

mod common;

use common::{START, answer, at, call, exchange, slot, token};
use entra_token_core::Generation;
use entra_token_core::slot::{Input, Slot};
use entra_token_core::state::{DENIAL_INTERVAL, Denials, Refusal};
#[cfg(all(target_family = "wasm", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

const FIRST: Generation = Generation(1);
const SECOND: Generation = Generation(2);

fn with_token() -> Slot {
    let mut slot = slot();
    exchange(&mut slot, START, token("one", 3600));
    slot
}

/// Seconds from `now` until the slot wants to ask.
fn due_in(slot: &Slot, now: f64) -> f64 {
    slot.next_wakeup().since(at(now).mono).as_secs_f64()
}

fn refuse(slot: &mut Slot, now: f64, generation: Generation) -> Refusal {
    slot.handle(at(now), Input::Unauthorized(generation));
    slot.state().refusal(generation, at(now))
}

#[test]
fn a_refused_token_that_is_not_the_current_one_costs_no_call() {
    let mut slot = with_token();
    exchange(&mut slot, at(3300.0), token("two", 3600));
    let due = slot.next_wakeup();
    assert_eq!(refuse(&mut slot, 3301.0, FIRST), Refusal::Outdated);
    assert_eq!(refuse(&mut slot, 3301.0, Generation(7)), Refusal::Outdated);
    assert_eq!(slot.next_wakeup(), due);
}

#[test]
fn a_token_that_was_accepted_before_is_replaced_at_once_every_time() {
    let mut slot = with_token();
    for n in 1..=5 {
        let now = 100.0 + 2.0 * f64::from(n);
        let generation = slot.state().generation();
        slot.handle(at(now), Input::Accepted(generation));
        assert_eq!(refuse(&mut slot, now, generation), Refusal::Refreshing);
        assert!(due_in(&slot, now) < 0.1, "round {n}");
        exchange(&mut slot, at(now + 0.1), token(&format!("new{n}"), 3600));
        let verdict = slot.state().refusal(generation, at(now + 0.1));
        assert_eq!(verdict, Refusal::Outdated);
    }
}

#[test]
fn a_token_that_was_never_accepted_is_replaced_at_most_every_thirty_seconds() {
    let mut slot = with_token();
    assert_eq!(refuse(&mut slot, 100.0, FIRST), Refusal::Refreshing);
    exchange(&mut slot, at(100.1), token("two", 3600));
    assert_eq!(refuse(&mut slot, 101.0, SECOND), Refusal::Final);
    let due = due_in(&slot, 101.0);
    assert!((28.0..=30.0).contains(&due), "due in {due} s");
}

#[test]
fn a_target_that_always_refuses_costs_at_most_one_call_every_thirty_seconds() {
    let mut slot = with_token();
    let mut calls = 0;
    for tick in 0..3000 {
        let now = 10.0 + f64::from(tick) / 10.0;
        let generation = slot.state().generation();
        refuse(&mut slot, now, generation);
        if slot.next_wakeup() <= at(now).mono {
            calls += 1;
            exchange(&mut slot, at(now), token(&format!("t{calls}"), 3600));
        }
    }
    assert!((9..=11).contains(&calls), "{calls} calls in 300 s");
}

#[test]
fn an_endpoint_that_repeats_the_refused_token_is_not_asked_again_at_once() {
    let mut slot = with_token();
    slot.handle(at(99.0), Input::Accepted(FIRST));
    assert_eq!(refuse(&mut slot, 100.0, FIRST), Refusal::Refreshing);
    exchange(&mut slot, at(100.1), token("one", 3500));
    // The target takes it after all, then refuses it again: IMDS still has no other.
    slot.handle(at(101.0), Input::Accepted(FIRST));
    assert_eq!(refuse(&mut slot, 102.0, FIRST), Refusal::Final);
    assert!(due_in(&slot, 102.0) > 27.0);
}

#[test]
fn a_refusal_cuts_no_back_off_short_and_the_request_waits_for_its_end() {
    let mut slot = with_token();
    let id = call(&mut slot, at(3300.0));
    let throttled = entra_token_core::http::Response {
        retry_after: Some("60".into()),
        ..answer(429, "")
    };
    slot.handle(at(3300.0), Input::HttpResponse(id, throttled));
    common::outputs(&mut slot);
    assert_eq!(refuse(&mut slot, 3301.0, FIRST), Refusal::Refreshing);
    assert!(due_in(&slot, 3301.0) > 55.0);
}

#[test]
fn a_refusal_during_a_call_waits_for_its_answer() {
    let mut slot = with_token();
    let id = call(&mut slot, at(3300.0));
    let deadline = slot.next_wakeup();
    slot.handle(at(3301.0), Input::Unauthorized(FIRST));
    assert_eq!(slot.next_wakeup(), deadline);
    slot.handle(at(3302.0), Input::HttpResponse(id, token("two", 3600)));
    let verdict = slot.state().refusal(FIRST, at(3302.0));
    assert_eq!(verdict, Refusal::Outdated);
}

#[test]
fn a_refusal_of_one_kind_is_told_now_and_then_however_often_it_comes() {
    let mut denials = Denials::default();
    let told =
        |denials: &mut Denials, status, seconds| denials.should_report(status, at(seconds).mono);
    assert!(told(&mut denials, 403, 0.0));
    assert!(told(&mut denials, 401, 1.0));
    for second in 2..DENIAL_INTERVAL.as_secs() {
        assert!(!told(&mut denials, 403, second as f64));
        assert!(!told(&mut denials, 401, second as f64));
    }
    assert!(told(&mut denials, 403, DENIAL_INTERVAL.as_secs_f64()));
}
