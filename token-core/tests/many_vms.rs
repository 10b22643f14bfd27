//! Many VMs of one Envoy process and one slot: they agree through the shared record alone.

mod common;

use core::time::Duration;

use common::{OneKey, START, answer, later, participants, plan, policy, token};
use crc::{CRC_32_ISO_HDLC, Crc};
use entra_token_core::failure::{Failure, FailureCode, NoAnswer, Step};
use entra_token_core::identity::Plan;
use entra_token_core::lease::{Call, LEASE, LeaseParticipant, Thread};
use entra_token_core::record::{Lease, OwnerId, Record};
use entra_token_core::slot::{Event, Policy};
use entra_token_core::state::{Refusal, State};
use entra_token_core::trace::Trace;
use entra_token_core::{Generation, Mono, Now, Secret, Token, Wall};
#[cfg(all(target_family = "wasm", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

/// Steps every participant once and returns the calls that come of it, with who makes them.
fn round(participants: &mut [LeaseParticipant], now: Now, shared: &OneKey) -> Vec<(usize, Call)> {
    let steps = participants.iter_mut().enumerate();
    steps
        .filter_map(|(n, participant)| Some((n, participant.step(now, shared).call?)))
        .collect()
}

fn seconds(now: Now, seconds: u64) -> Now {
    later(now, Duration::from_secs(seconds))
}

/// When the next refresh is due.
fn due(shared: &OneKey) -> Now {
    later(START, shared.record().state.next_attempt.since(START.mono))
}

/// Lets participants fetch the first token and returns who did.
fn first_token(participants: &mut [LeaseParticipant], shared: &OneKey, lifetime: u64) -> usize {
    let calls = round(participants, START, shared);
    let [(owner, call)] = calls.as_slice() else {
        panic!("{calls:?}")
    };
    participants[*owner].answered(START, call.id, token("t1", lifetime), shared);
    *owner
}

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

#[test]
fn a_record_of_another_version_counts_as_absent() {
    let (shared, mut participants) = (OneKey::default(), participants(1));
    first_token(&mut participants, &shared, 3600);
    let mut bytes = shared.0.borrow().as_ref().expect("a record").0.clone();
    bytes.truncate(bytes.len() - 4);
    bytes[0] += 1;
    // The checksum is right, the version is not.
    let checksum = Crc::<u32>::new(&CRC_32_ISO_HDLC).checksum(&bytes);
    bytes.extend(checksum.to_le_bytes());
    assert_eq!(Record::decode(&bytes), None);
}

/// Two versions of the module in one Envoy must not misread each other: whoever changes these
/// bytes changes the record's version too.
#[test]
fn the_layout_of_the_record_is_that_of_its_version() {
    let record = Record {
        lease: Lease {
            owner: OwnerId(1),
            until: Mono(2),
        },
        state: State {
            token: Some(Token {
                generation: Generation(3),
                secret: Secret::new("s".into()),
                expires_mono: Mono(4),
                expires_wall: Wall(5),
                lifetime_ms: 6,
            }),
            next_attempt: Mono(7),
            failures: 8,
            failing_since: Some(Wall(9)),
            last_failure: Some(Failure {
                code: FailureCode::Throttled,
                message: "m".into(),
                step: Step::Token,
                proxy_suspected: true,
                had_valid_token: true,
                permanent: true,
                retry_after: None,
                trace: Box::new(Trace {
                    trace_id: Some("t".into()),
                    correlation_id: Some("c".into()),
                    client_request_id: None,
                    timestamp: Some("w".into()),
                }),
            }),
            accepted: true,
            repeated: false,
            forced_at: Some(Mono(9)),
        },
    };
    let bytes = record.encode();
    let (body, _checksum) = bytes.split_at(bytes.len() - 4);
    let expected =
        b"\x04\x01\x02\x01\x03\x01s\x04\x05\x06\x07\x08\x01\x09\x01\x09throttled\x01m\x01\x01\x01\x01\x01\x01t\x01\x01c\x00\x01\x01w\x01\x00\x01\x09";
    assert_eq!(body, expected);
    assert_eq!(Record::decode(&bytes), Some(record));
}

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
fn a_damaged_or_foreign_record_counts_as_absent() {
    let (shared, mut participants) = (OneKey::default(), participants(2));
    first_token(&mut participants, &shared, 3600);
    let whole = shared.0.borrow().as_ref().expect("a record").0.clone();
    assert!(Record::decode(&whole).is_some());
    for byte in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[byte] ^= 1;
        assert_eq!(Record::decode(&damaged), None, "byte {byte}");
    }
    for length in 0..whole.len() {
        assert_eq!(Record::decode(&whole[..length]), None, "{length} bytes");
    }
    shared.damage(3);
    // A VM that has seen the token keeps it; one that starts now fetches a new one.
    assert!(round(&mut participants, seconds(START, 1), &shared).is_empty());
    assert!(participants[0].token(seconds(START, 1)).is_some());
    let mut newcomer = [LeaseParticipant::new(OwnerId(99), plan(), policy())];
    assert_eq!(round(&mut newcomer, seconds(START, 1), &shared).len(), 1);
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
