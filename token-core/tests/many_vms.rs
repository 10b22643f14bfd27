//! Many VMs of one Envoy process and one slot: they agree through the shared record alone.

mod common;

use core::time::Duration;

use common::{OneKey, START, answer, later, members, plan, policy, token};
use crc::{CRC_32_ISO_HDLC, Crc};
use entra_token_core::failure::{Failure, FailureCode, NoAnswer, Step};
use entra_token_core::member::{Call, Member};
use entra_token_core::record::{Lease, OwnerId, Record};
use entra_token_core::slot::Event;
use entra_token_core::state::{Refusal, State};
use entra_token_core::trace::Trace;
use entra_token_core::{Generation, Mono, Now, Secret, Token, Wall};
#[cfg(all(target_family = "wasm", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

/// Steps every member once and returns the calls that come of it, with who makes them.
fn round(members: &mut [Member], now: Now, shared: &OneKey) -> Vec<(usize, Call)> {
    let steps = members.iter_mut().enumerate();
    steps
        .filter_map(|(n, member)| Some((n, member.step(now, shared).call?)))
        .collect()
}

fn seconds(now: Now, seconds: u64) -> Now {
    later(now, Duration::from_secs(seconds))
}

/// When the next refresh is due.
fn due(shared: &OneKey) -> Now {
    later(START, shared.record().state.next_attempt.since(START.mono))
}

/// Lets members fetch the first token and returns who did.
fn first_token(members: &mut [Member], shared: &OneKey, lifetime: u64) -> usize {
    let calls = round(members, START, shared);
    let [(owner, call)] = calls.as_slice() else {
        panic!("{calls:?}")
    };
    members[*owner].answered(START, call.id, token("t1", lifetime), shared);
    *owner
}

#[test]
fn one_call_serves_any_number_of_vms() {
    for count in [1, 2, 8, 17] {
        let (shared, mut members) = (OneKey::default(), members(count));
        let calls = round(&mut members, START, &shared);
        assert_eq!(calls.len(), 1, "{count} VMs");
        assert!(round(&mut members, START, &shared).is_empty());
        let (owner, call) = &calls[0];
        members[*owner].answered(START, call.id, token("t", 3600), &shared);
        assert!(round(&mut members, seconds(START, 1), &shared).is_empty());
        for member in &members {
            assert_eq!(
                member
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
    let (shared, mut members) = (OneKey::default(), members(5));
    members.rotate_left(3);
    let owner = first_token(&mut members, &shared, 3600);
    members.swap(0, owner);
    members.rotate_left(1);
    let last = members.len() - 1;
    let calls = round(&mut members, due(&shared), &shared);
    assert_eq!(calls.iter().map(|(n, _)| *n).collect::<Vec<_>>(), [last]);
}

/// Lets whoever calls at that time fail, and returns who it was.
fn fails(members: &mut [Member], now: Now, shared: &OneKey, how: &Answer) -> usize {
    let calls = round(members, now, shared);
    let [(caller, call)] = calls.as_slice() else {
        panic!("{calls:?}")
    };
    match how {
        Answer::None => members[*caller].call_failed(now, call.id, NoAnswer::Broken, shared),
        Answer::Refusal => {
            let refusal = answer(400, r#"{"error":"invalid_request"}"#);
            members[*caller].answered(now, call.id, refusal, shared)
        }
    };
    *caller
}

enum Answer {
    None,
    Refusal,
}

/// Envoy's main thread reaches no internal listener, and would go on failing as the owner.
#[test]
fn who_has_reached_nobody_lets_the_others_go_first() {
    // With a valid token in hand, and where requests wait for the first.
    for holds_a_token in [true, false] {
        let (shared, mut members) = (OneKey::default(), members(2));
        let mut now = START;
        if holds_a_token {
            first_token(&mut members, &shared, 3600);
            now = due(&shared);
        }
        let first = fails(&mut members, now, &shared, &Answer::None);
        now = due(&shared);
        assert_eq!(round(&mut members[first..=first], now, &shared).len(), 0);
        let second = fails(&mut members, now, &shared, &Answer::Refusal);
        assert_ne!(first, second);

        // The other has reached somebody, if with no luck, and goes on.
        now = due(&shared);
        assert_eq!(round(&mut members[first..=first], now, &shared).len(), 0);
        assert_eq!(fails(&mut members, now, &shared, &Answer::None), second);
        // Now both have reached nobody, and the reason lies with neither.
        now = due(&shared);
        assert_eq!(fails(&mut members, now, &shared, &Answer::None), first);
    }
}

#[test]
fn who_has_reached_nobody_and_is_alone_tries_again_a_little_later() {
    let (shared, mut members) = (OneKey::default(), members(1));
    fails(&mut members, START, &shared, &Answer::None);
    let now = due(&shared);
    assert_eq!(round(&mut members, now, &shared).len(), 0);
    assert_eq!(round(&mut members, seconds(now, 2), &shared).len(), 1);
}

#[test]
fn when_the_owner_is_gone_another_takes_over_and_the_valid_token_is_served_meanwhile() {
    let (shared, mut members) = (OneKey::default(), members(3));
    let owner = first_token(&mut members, &shared, 3600);
    members.remove(owner);
    let due = due(&shared);
    assert!(
        round(&mut members, due, &shared).is_empty(),
        "the owner's head start"
    );
    assert!(members.iter().all(|member| member.token(due).is_some()));
    let calls = round(&mut members, seconds(due, 3), &shared);
    assert_eq!(calls.len(), 1);
}

#[test]
fn an_owner_that_dies_in_mid_call_is_replaced_when_its_lease_ends() {
    let (shared, mut members) = (OneKey::default(), members(3));
    let calls = round(&mut members, START, &shared);
    members.remove(calls[0].0);
    assert!(round(&mut members, seconds(START, 5), &shared).is_empty());
    assert_eq!(round(&mut members, seconds(START, 7), &shared).len(), 1);
}

#[test]
fn what_comes_of_a_call_whose_lease_was_taken_over_is_void() {
    let (shared, mut members) = (OneKey::default(), members(2));
    let stalled = round(&mut members[..1], START, &shared).remove(0).1;
    let later = seconds(START, 7);
    let taken = round(&mut members[1..], later, &shared).remove(0).1;
    members[1].answered(later, taken.id, token("new", 3600), &shared);
    let outcome = members[0].answered(later, stalled.id, token("stale", 3600), &shared);
    assert!(outcome.events.is_empty());
    assert_eq!(
        members[0]
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
    let (shared, mut members) = (OneKey::default(), members(2));
    let dropped = round(&mut members[..1], START, &shared).remove(0).1;
    let policy = entra_token_core::slot::Policy {
        refresh_before_expiry_percent: 20,
        ..policy()
    };
    members[0].reconfigure(plan(), policy, START, &shared);
    let soon = later(START, Duration::from_millis(20));
    let calls = round(&mut members, soon, &shared);
    assert_eq!(calls.len(), 1);
    let outcome = members[0].answered(soon, dropped.id, token("stale", 3600), &shared);
    assert!(outcome.events.is_empty());
}

#[test]
fn a_call_whose_maker_is_gone_is_made_again_at_once_and_is_no_failure() {
    let (shared, mut members) = (OneKey::default(), members(2));
    let lost = round(&mut members[..1], START, &shared).remove(0).1;
    members[0].abandoned(START, lost.id, &shared);
    assert_eq!(shared.record().state.failures, 0);
    let soon = later(START, Duration::from_millis(20));
    let again = round(&mut members[1..], soon, &shared).remove(0).1;
    // It comes too late for the other's call to be taken for the lost one.
    members[0].abandoned(soon, lost.id, &shared);
    members[1].answered(soon, again.id, token("t", 3600), &shared);
    assert!(members[1].token(soon).is_some());
}

#[test]
fn the_same_configuration_again_drops_nothing() {
    let (shared, mut members) = (OneKey::default(), members(1));
    let call = round(&mut members, START, &shared).remove(0).1;
    members[0].reconfigure(plan(), policy(), START, &shared);
    members[0].answered(START, call.id, token("t", 3600), &shared);
    assert!(members[0].token(START).is_some());
}

#[test]
fn a_record_of_another_version_counts_as_absent() {
    let (shared, mut members) = (OneKey::default(), members(1));
    first_token(&mut members, &shared, 3600);
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
            last_failure: Some(Failure {
                code: FailureCode::Throttled,
                message: "m".into(),
                step: Step::Token,
                by_proxy: true,
                renewal: true,
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
        b"\x03\x01\x02\x01\x03\x01s\x04\x05\x06\x07\x08\x01\x09throttled\x01m\x01\x01\x01\x01\x01\x01t\x01\x01c\x00\x01\x01w\x01\x00\x01\x09";
    assert_eq!(body, expected);
    assert_eq!(Record::decode(&bytes), Some(record));
}

#[test]
fn all_vms_wait_out_a_back_off_together() {
    let (shared, mut members) = (OneKey::default(), members(4));
    let mut now = START;
    for failures in 1..=5 {
        let calls = round(&mut members, now, &shared);
        assert_eq!(calls.len(), 1);
        let (n, call) = &calls[0];
        members[*n].answered(now, call.id, answer(500, ""), &shared);
        assert_eq!(shared.record().state.failures, failures);
        let wait = shared.record().state.next_attempt.since(now.mono);
        assert!(round(&mut members, later(now, wait / 2), &shared).is_empty());
        now = later(now, wait);
        // Whoever comes next goes on counting where the last one stopped.
        members.rotate_left(1);
    }
}

#[test]
fn a_call_that_could_not_be_made_is_a_failure_that_all_see() {
    let (shared, mut members) = (OneKey::default(), members(2));
    let (n, call) = round(&mut members, START, &shared).remove(0);
    let outcome = members[n].call_failed(START, call.id, NoAnswer::NoCluster, &shared);
    assert!(matches!(outcome.events[..], [Event::Failed { .. }]));
    assert_eq!(shared.record().state.failures, 1);
}

#[test]
fn a_damaged_or_foreign_record_counts_as_absent() {
    let (shared, mut members) = (OneKey::default(), members(2));
    first_token(&mut members, &shared, 3600);
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
    assert!(round(&mut members, seconds(START, 1), &shared).is_empty());
    assert!(members[0].token(seconds(START, 1)).is_some());
    let mut newcomer = [Member::new(OwnerId(99), plan(), policy())];
    assert_eq!(round(&mut newcomer, seconds(START, 1), &shared).len(), 1);
}

#[test]
fn a_target_that_refuses_the_token_makes_one_vm_fetch_the_next_without_delay() {
    let (shared, mut members) = (OneKey::default(), members(4));
    let owner = first_token(&mut members, &shared, 3600);
    let now = seconds(START, 60);
    let refused = shared.record().state.generation();
    for member in &mut members {
        assert_eq!(member.refused(now, refused, &shared), Refusal::Refreshing);
    }
    // Whoever has waiting requests need not wait for the last owner's tick.
    members.rotate_left(owner + 1);
    let soon = later(now, Duration::from_millis(20));
    let calls = round(&mut members, soon, &shared);
    assert_eq!(calls.len(), 1);
    let (n, call) = &calls[0];
    for member in &mut members {
        assert_eq!(member.refused(soon, refused, &shared), Refusal::Refreshing);
    }
    members[*n].answered(soon, call.id, token("t2", 3600), &shared);
    for member in &mut members {
        assert_eq!(member.refused(soon, refused, &shared), Refusal::Outdated);
    }
}

#[test]
fn that_a_target_accepts_the_token_is_known_to_all_vms() {
    let (shared, mut members) = (OneKey::default(), members(3));
    first_token(&mut members, &shared, 3600);
    let now = seconds(START, 1);
    let generation = shared.record().state.generation();
    members[2].accepted(now, generation, &shared);
    let written = shared.0.borrow().as_ref().map(|(_, cas)| *cas);
    members[1].accepted(now, generation, &shared);
    assert_eq!(written, shared.0.borrow().as_ref().map(|(_, cas)| *cas));
    assert!(shared.record().state.accepted);
}
