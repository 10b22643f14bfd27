//! One VM makes the call, and who takes over when it does not end.

use core::time::Duration;

use entra_token_core::identity::Plan;
use entra_token_core::lease::{LeaseParticipant, Thread};
use entra_token_core::record::OwnerId;
use entra_token_core::slot::Policy;
#[cfg(all(target_family = "wasm", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::common::{OneKey, START, later, participants, plan, policy, token};
use crate::{due, first_token, round, seconds};

#[test]
fn one_call_serves_any_number_of_vms() {
    for count in [1, 2, 8, 17] {
        let (shared, mut participants) = (OneKey::default(), participants(count));
        let calls = round(&mut participants, START, &shared);
        assert_eq!(calls.len(), 1, "{count} VMs");
        assert!(round(&mut participants, START, &shared).is_empty());
        let (owner, call) = &calls[0];
        participants[*owner].answered(START, call.id, token("t", 3600), &shared);
        assert!(round(&mut participants, seconds(START, 1), &shared).is_empty());
        for participant in &participants {
            assert_eq!(
                participant
                    .token(seconds(START, 1))
                    .expect("a token")
                    .secret
                    .expose(),
                "t"
            );
        }
    }
}

#[test]
fn the_last_owner_goes_on_refreshing() {
    let (shared, mut participants) = (OneKey::default(), participants(5));
    participants.rotate_left(3);
    let owner = first_token(&mut participants, &shared, 3600);
    participants.swap(0, owner);
    participants.rotate_left(1);
    let last = participants.len() - 1;
    let calls = round(&mut participants, due(&shared), &shared);
    assert_eq!(calls.iter().map(|(n, _)| *n).collect::<Vec<_>>(), [last]);
}

/// The participants of an Envoy whose calls lead through an internal listener: the first is the main
/// thread's, the others are workers'.
fn via_internal_listener(count: u64) -> Vec<LeaseParticipant> {
    let plan = Plan {
        via_internal_listener: true,
        ..plan()
    };
    let thread = |id| match id {
        1 => Thread::Main,
        _ => Thread::Worker,
    };
    (1..=count)
        .map(|id| {
            let mut participant = LeaseParticipant::new(OwnerId(id), plan.clone(), policy());
            participant.runs_on(thread(id));
            participant
        })
        .collect()
}

/// It would reach nobody, warn people and put the token off.
#[test]
fn the_main_thread_never_takes_a_slot_whose_calls_lead_through_an_internal_listener() {
    let (shared, mut participants) = (OneKey::default(), via_internal_listener(3));
    let mut now = START;
    for generation in 1..=3 {
        assert_eq!(round(&mut participants[..1], now, &shared).len(), 0);
        assert!(participants[0].next_wakeup(now) > now.mono);
        let (worker, call) = round(&mut participants, now, &shared).remove(0);
        assert_ne!(worker, 0);
        let reply = token(&format!("t{generation}"), 3600);
        participants[worker].answered(now, call.id, reply, &shared);
        participants[0].refresh(&shared);
        assert!(
            participants[0].token(now).is_some(),
            "it sees what others got"
        );
        // The worker dies, and longer than its head start later it is still another worker's turn.
        now = seconds(due(&shared), 10);
        if generation == 1 {
            participants.remove(worker);
        }
    }
    // Another slot is as much the main thread's as anybody's.
    let mut main = [LeaseParticipant::new(OwnerId(1), plan(), policy())];
    main[0].runs_on(Thread::Main);
    assert_eq!(round(&mut main, now, &OneKey::default()).len(), 1);
}

#[test]
fn a_vm_that_does_not_know_its_thread_waits_until_it_does() {
    let shared = OneKey::default();
    let mut participants = via_internal_listener(1);
    participants[0].runs_on(Thread::Unknown);
    assert_eq!(
        round(&mut participants, seconds(START, 600), &shared).len(),
        0
    );
    participants[0].runs_on(Thread::Worker);
    assert_eq!(
        round(&mut participants, seconds(START, 601), &shared).len(),
        1
    );
}

#[test]
fn when_the_owner_is_gone_another_takes_over_and_the_valid_token_is_served_meanwhile() {
    let (shared, mut participants) = (OneKey::default(), participants(3));
    let owner = first_token(&mut participants, &shared, 3600);
    participants.remove(owner);
    let due = due(&shared);
    assert!(
        round(&mut participants, due, &shared).is_empty(),
        "the owner's head start"
    );
    assert!(
        participants
            .iter()
            .all(|participant| participant.token(due).is_some())
    );
    let calls = round(&mut participants, seconds(due, 3), &shared);
    assert_eq!(calls.len(), 1);
}

#[test]
fn an_owner_that_dies_in_mid_call_is_replaced_when_its_lease_ends() {
    let (shared, mut participants) = (OneKey::default(), participants(3));
    let calls = round(&mut participants, START, &shared);
    participants.remove(calls[0].0);
    assert!(round(&mut participants, seconds(START, 5), &shared).is_empty());
    assert_eq!(
        round(&mut participants, seconds(START, 7), &shared).len(),
        1
    );
}

#[test]
fn what_comes_of_a_call_whose_lease_was_taken_over_is_void() {
    let (shared, mut participants) = (OneKey::default(), participants(2));
    let stalled = round(&mut participants[..1], START, &shared).remove(0).1;
    let later = seconds(START, 7);
    let taken = round(&mut participants[1..], later, &shared).remove(0).1;
    participants[1].answered(later, taken.id, token("new", 3600), &shared);
    let outcome = participants[0].answered(later, stalled.id, token("stale", 3600), &shared);
    assert!(outcome.events.is_empty());
    assert_eq!(
        participants[0]
            .token(later)
            .expect("the other's")
            .secret
            .expose(),
        "new"
    );
    assert_eq!(
        shared
            .record()
            .state
            .token
            .expect("a token")
            .secret
            .expose(),
        "new"
    );
}

#[test]
fn a_configuration_change_in_mid_call_does_not_wait_for_the_lease_to_end() {
    let (shared, mut participants) = (OneKey::default(), participants(2));
    let dropped = round(&mut participants[..1], START, &shared).remove(0).1;
    let policy = Policy {
        refresh_before_expiry_percent: 20,
        ..policy()
    };
    participants[0].reconfigure(plan(), policy, START, &shared);
    let soon = later(START, Duration::from_millis(20));
    let calls = round(&mut participants, soon, &shared);
    assert_eq!(calls.len(), 1);
    let outcome = participants[0].answered(soon, dropped.id, token("stale", 3600), &shared);
    assert!(outcome.events.is_empty());
}

#[test]
fn a_call_whose_maker_is_gone_is_made_again_at_once_and_is_no_failure() {
    let (shared, mut participants) = (OneKey::default(), participants(2));
    let lost = round(&mut participants[..1], START, &shared).remove(0).1;
    participants[0].abandoned(START, lost.id, &shared);
    assert_eq!(shared.record().state.failures, 0);
    let soon = later(START, Duration::from_millis(20));
    let again = round(&mut participants[1..], soon, &shared).remove(0).1;
    // It comes too late for the other's call to be taken for the lost one.
    participants[0].abandoned(soon, lost.id, &shared);
    participants[1].answered(soon, again.id, token("t", 3600), &shared);
    assert!(participants[1].token(soon).is_some());
}

#[test]
fn the_same_configuration_again_drops_nothing() {
    let (shared, mut participants) = (OneKey::default(), participants(1));
    let call = round(&mut participants, START, &shared).remove(0).1;
    participants[0].reconfigure(plan(), policy(), START, &shared);
    participants[0].answered(START, call.id, token("t", 3600), &shared);
    assert!(participants[0].token(START).is_some());
}
