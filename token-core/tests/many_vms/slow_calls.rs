//! Calls that take long, and clusters that come late.

use core::time::Duration;

use entra_token_core::Now;
use entra_token_core::failure::NoAnswer;
use entra_token_core::lease::{Call, LEASE, LeaseParticipant};
use entra_token_core::record::OwnerId;
use entra_token_core::slot::{Event, Policy};
#[cfg(all(target_family = "wasm", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::common::{OneKey, START, later, participants, plan, policy, token};
use crate::{due, round, seconds};

/// A control plane sends the clusters after the listeners.
#[test]
fn a_cluster_that_is_missing_in_the_first_seconds_is_waited_for_in_silence() {
    let (shared, mut participants) = (OneKey::default(), participants(3));
    let mut now = START;
    while now.mono.since(START.mono) < Duration::from_secs(4) {
        for (caller, call) in round(&mut participants, now, &shared) {
            let missing = NoAnswer::NoCluster;
            let outcome = participants[caller].call_failed(now, call.id, missing, &shared);
            assert!(outcome.events.is_empty(), "{:?}", outcome.events);
        }
        assert_eq!(shared.record().state.failures, 0);
        now = later(now, Duration::from_millis(20));
    }
    // It comes, and there is a token soon after.
    let soon = later(now, Duration::from_millis(200));
    let (caller, call) = round(&mut participants, soon, &shared).remove(0);
    let outcome = participants[caller].answered(soon, call.id, token("t", 3600), &shared);
    assert!(matches!(
        outcome.events[..],
        [Event::Acquired {
            after_failures: 0,
            ..
        }]
    ));
}

#[test]
fn a_cluster_that_does_not_come_is_told_after_some_seconds() {
    let (shared, mut participants) = (OneKey::default(), participants(1));
    let tries = |participants: &mut [LeaseParticipant], now| {
        let (_, call) = round(participants, now, &shared).remove(0);
        let outcome = participants[0].call_failed(now, call.id, NoAnswer::NoCluster, &shared);
        outcome.events.len()
    };
    assert_eq!(tries(&mut participants, START), 0);
    assert_eq!(tries(&mut participants, seconds(START, 4)), 0);
    let now = seconds(START, 6);
    assert_eq!(tries(&mut participants, now), 1);
    assert_eq!(shared.record().state.failures, 1);
}

/// Steps all participants every second until somebody calls.
fn next_call(
    participants: &mut [LeaseParticipant],
    from: Now,
    shared: &OneKey,
) -> (Duration, usize, Call) {
    for second in 0..120 {
        let now = seconds(from, second);
        if let Some((caller, call)) = round(participants, now, shared).pop() {
            return (now.mono.since(from.mono), caller, call);
        }
    }
    panic!("nobody calls");
}

fn patient(count: u64) -> Vec<LeaseParticipant> {
    let policy = Policy {
        call_timeout: Duration::from_secs(30),
        ..policy()
    };
    (1..=count)
        .map(|id| LeaseParticipant::new(OwnerId(id), plan(), policy))
        .collect()
}

/// IMDS promises no better than some ten seconds.
#[test]
fn an_answer_after_nine_or_twenty_seconds_gives_the_token_and_one_call() {
    for slow in [5, 9, 20, 30] {
        let (shared, mut participants) = (OneKey::default(), patient(3));
        let (_, caller, call) = next_call(&mut participants, START, &shared);
        assert_eq!(call.timeout, Duration::from_secs(30));
        for second in 0..=slow {
            let now = seconds(START, second);
            assert_eq!(
                round(&mut participants, now, &shared).len(),
                0,
                "{second} s"
            );
            let lease = shared.record().lease;
            assert!(lease.until <= now.mono.after(LEASE), "a lease stays short");
        }
        let now = seconds(START, slow);
        let outcome = participants[caller].answered(now, call.id, token("t", 3600), &shared);
        assert_eq!(outcome.events.len(), 1);
        assert!(round(&mut participants, now, &shared).is_empty());
        assert!(
            participants
                .iter()
                .all(|participant| participant.token(now).is_some())
        );
    }
}

#[test]
fn a_holder_that_dies_while_its_long_call_is_out_is_replaced_when_its_lease_ends() {
    let (shared, mut participants) = (OneKey::default(), patient(3));
    let (_, caller, _) = next_call(&mut participants, START, &shared);
    for second in 1..=3 {
        round(&mut participants, seconds(START, second), &shared);
    }
    participants.remove(caller);
    let died = seconds(START, 3);
    let (waited, _, _) = next_call(&mut participants, died, &shared);
    assert!(waited <= LEASE + Duration::from_secs(1), "{waited:?}");
}

/// A connection gets no answer from the network within the clusters' 4 s, and the next one does.
#[test]
fn a_first_connection_into_a_black_hole_costs_the_time_to_connect_and_not_that_of_an_answer() {
    let (shared, mut participants) = (OneKey::default(), patient(3));
    let (_, caller, call) = next_call(&mut participants, START, &shared);
    for second in 1..4 {
        round(&mut participants, seconds(START, second), &shared);
    }
    let given_up = seconds(START, 4);
    participants[caller].call_failed(given_up, call.id, NoAnswer::Broken, &shared);
    let (waited, caller, call) = next_call(&mut participants, given_up, &shared);
    assert!(waited <= Duration::from_secs(1), "{waited:?}");
    let now = later(given_up, waited);
    participants[caller].answered(now, call.id, token("t", 3600), &shared);
    assert!(participants[caller].token(now).is_some());
}

/// What the target thinks of the token in hand is told to the record while a call is out.
#[test]
fn a_lease_that_is_renewed_keeps_what_others_have_told_meanwhile() {
    let (shared, mut participants) = (OneKey::default(), patient(2));
    let (_, caller, call) = next_call(&mut participants, START, &shared);
    participants[caller].answered(START, call.id, token("t1", 3600), &shared);
    let due = due(&shared);
    let (waited, caller, _) = next_call(&mut participants, due, &shared);
    let now = later(due, waited);
    let generation = shared.record().state.generation();
    participants[1 - caller].accepted(now, generation, &shared);
    assert!(shared.record().state.accepted);
    round(&mut participants, seconds(now, 2), &shared);
    let record = shared.record();
    assert!(record.state.accepted);
    assert_eq!(record.lease.until, seconds(now, 2).mono.after(LEASE));
}
