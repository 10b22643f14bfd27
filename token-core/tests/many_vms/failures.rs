//! Failures and refusals, which one VM sees and all know.

use core::time::Duration;

use entra_token_core::failure::NoAnswer;
use entra_token_core::lease::LeaseParticipant;
use entra_token_core::slot::Event;
use entra_token_core::state::Refusal;
#[cfg(all(target_family = "wasm", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::common::{OneKey, START, answer, later, participants, token};
use crate::{due, first_token, round, seconds};

#[test]
fn all_vms_wait_out_a_back_off_together() {
    let (shared, mut participants) = (OneKey::default(), participants(4));
    let mut now = START;
    for failures in 1..=5 {
        let calls = round(&mut participants, now, &shared);
        assert_eq!(calls.len(), 1);
        let (n, call) = &calls[0];
        participants[*n].answered(now, call.id, answer(500, ""), &shared);
        assert_eq!(shared.record().state.failures, failures);
        let wait = shared.record().state.next_attempt.since(now.mono);
        assert!(round(&mut participants, later(now, wait / 2), &shared).is_empty());
        now = later(now, wait);
        // Whoever comes next goes on counting where the last one stopped.
        participants.rotate_left(1);
    }
}

/// Its thread may be the reason, so it has no head start for what it could not do.
#[test]
fn a_vm_whose_renewals_fail_does_not_keep_others_from_renewing_in_time() {
    let (shared, mut participants) = (OneKey::default(), participants(3));
    let owner = first_token(&mut participants, &shared, 3600);
    participants.swap(0, owner);
    let renewal = due(&shared);
    let (caller, call) = round(&mut participants, renewal, &shared).remove(0);
    assert_eq!(caller, 0, "the last owner");
    participants[0].call_failed(renewal, call.id, NoAnswer::Broken, &shared);
    let next = due(&shared);
    let (_, others) = participants.split_at_mut(1);
    assert_eq!(round(others, next, &shared).len(), 1, "at once");
}

/// A VM that looks at a slot for the first time after hours has no grace of its own.
#[test]
fn a_slot_that_has_failed_goes_by_one_back_off_whoever_asks() {
    let (shared, mut participants) = (OneKey::default(), participants(2));
    let fails = |participants: &mut [LeaseParticipant], now| {
        let (caller, call) = round(participants, now, &shared).remove(0);
        let outcome = participants[caller].call_failed(now, call.id, NoAnswer::NoCluster, &shared);
        assert!(matches!(outcome.events[..], [Event::Failed { .. }]));
    };
    let (first, second) = participants.split_at_mut(1);
    round(first, START, &shared);
    let late = seconds(START, 3600);
    // The call of the first is long over by its own deadline, which is a failure.
    first[0].step(late, &shared);
    let failures = shared.record().state.failures;
    assert_eq!(failures, 1);
    fails(second, due(&shared));
    assert_eq!(shared.record().state.failures, failures + 1);
}

#[test]
fn a_call_that_could_not_be_made_is_a_failure_that_all_see() {
    let (shared, mut participants) = (OneKey::default(), participants(2));
    let (n, call) = round(&mut participants, START, &shared).remove(0);
    let outcome = participants[n].call_failed(START, call.id, NoAnswer::Broken, &shared);
    assert!(matches!(outcome.events[..], [Event::Failed { .. }]));
    assert_eq!(shared.record().state.failures, 1);
}

#[test]
fn a_target_that_refuses_the_token_makes_one_vm_fetch_the_next_without_delay() {
    let (shared, mut participants) = (OneKey::default(), participants(4));
    let owner = first_token(&mut participants, &shared, 3600);
    let now = seconds(START, 60);
    let refused = shared.record().state.generation();
    for participant in &mut participants {
        assert_eq!(
            participant.refused(now, refused, &shared),
            Refusal::Refreshing
        );
    }
    // Whoever has waiting requests need not wait for the last owner's tick.
    participants.rotate_left(owner + 1);
    let soon = later(now, Duration::from_millis(20));
    let calls = round(&mut participants, soon, &shared);
    assert_eq!(calls.len(), 1);
    let (n, call) = &calls[0];
    for participant in &mut participants {
        assert_eq!(
            participant.refused(soon, refused, &shared),
            Refusal::Refreshing
        );
    }
    participants[*n].answered(soon, call.id, token("t2", 3600), &shared);
    for participant in &mut participants {
        assert_eq!(
            participant.refused(soon, refused, &shared),
            Refusal::Outdated
        );
    }
}

#[test]
fn that_a_target_accepts_the_token_is_known_to_all_vms() {
    let (shared, mut participants) = (OneKey::default(), participants(3));
    first_token(&mut participants, &shared, 3600);
    let now = seconds(START, 1);
    let generation = shared.record().state.generation();
    participants[2].accepted(now, generation, &shared);
    let written = shared.0.borrow().as_ref().map(|(_, cas)| *cas);
    participants[1].accepted(now, generation, &shared);
    assert_eq!(written, shared.0.borrow().as_ref().map(|(_, cas)| *cas));
    assert!(shared.record().state.accepted);
}
