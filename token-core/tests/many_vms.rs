//! Many VMs of one Envoy process and one slot: they agree through the shared record alone.

mod common;

use core::time::Duration;
use std::cell::RefCell;

use common::{START, answer, later, plan, policy, token};
use entra_token_core::Now;
use entra_token_core::failure::NoAnswer;
use entra_token_core::member::{Call, Cas, Member, SharedData};
use entra_token_core::record::{OwnerId, Record, SlotKey};
use entra_token_core::slot::Event;
use entra_token_core::state::Refusal;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
#[cfg(all(target_family = "wasm", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

/// One key of Envoy's shared data, with its compare-and-swap.
#[derive(Default)]
struct OneKey(RefCell<Option<(Vec<u8>, u32)>>);

impl SharedData for OneKey {
    fn read(&self, _: &str) -> Option<(Vec<u8>, Cas)> {
        self.0
            .borrow()
            .as_ref()
            .map(|(value, cas)| (value.clone(), Cas(*cas)))
    }

    fn write(&self, _: &str, value: &[u8], expected: Option<Cas>) -> bool {
        let mut stored = self.0.borrow_mut();
        if stored.as_ref().map(|(_, cas)| Cas(*cas)) != expected {
            return false;
        }
        let cas = stored.as_ref().map_or(1, |(_, cas)| cas + 1);
        *stored = Some((value.to_vec(), cas));
        true
    }
}

impl OneKey {
    fn record(&self) -> Record {
        let stored = self.0.borrow();
        stored
            .as_ref()
            .and_then(|(bytes, _)| Record::decode(bytes))
            .unwrap_or_default()
    }

    fn damage(&self, byte: usize) {
        if let Some((bytes, _)) = self.0.borrow_mut().as_mut() {
            let byte = byte % bytes.len().max(1);
            if let Some(byte) = bytes.get_mut(byte) {
                *byte ^= 0x40;
            }
        }
    }
}

fn members(count: u64) -> Vec<Member> {
    (1..=count)
        .map(|id| Member::new(OwnerId(id), plan(), policy()))
        .collect()
}

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

#[test]
fn slots_that_differ_in_anything_that_changes_the_token_have_different_keys() {
    let base = plan();
    let mut others = vec![base.clone(); 4];
    others[0].audience = "https://prometheus.monitor.azure.com"
        .parse()
        .expect("an audience");
    others[1].identity = entra_token_core::identity::ManagedIdentity::ClientId("a".into());
    others[2].identity = entra_token_core::identity::ManagedIdentity::ObjectId("a".into());
    others[3].endpoint.authority = "127.0.0.1".into();
    let mut keys: Vec<_> = others.iter().map(SlotKey::of).collect();
    keys.push(SlotKey::of(&base));
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 5);
    assert!(
        keys.iter()
            .all(|key| key.as_str().starts_with("entra-auth/v1/"))
    );
}

/// What happens in the world around several VMs.
#[derive(Clone, Debug)]
enum Step {
    Wait(u64),
    Tick(usize),
    /// The endpoint answers the call that is longest in flight.
    Answer {
        lifetime: u64,
        ok: bool,
    },
    /// A VM traps: its call and its memory are gone.
    Die(usize),
    Damage(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => prop_oneof![0..3_000_u64, 0..100_000_u64].prop_map(Step::Wait),
        10 => (0..6_usize).prop_map(Step::Tick),
        4 => (1..120_u64, any::<bool>()).prop_map(|(lifetime, ok)| Step::Answer { lifetime, ok }),
        1 => (0..6_usize).prop_map(Step::Die),
        1 => (0..400_usize).prop_map(Step::Damage),
    ];
    proptest::collection::vec(step, 1..120)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        rng_seed: RngSeed::Fixed(0x5eed),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// The time-out of Envoy ends every call 4 s after it was sent, so a call counts as in
    /// flight for that long.
    #[test]
    fn at_most_one_call_of_the_process_is_in_flight(steps in steps()) {
        let (shared, mut now, mut next_id, mut secret) = (OneKey::default(), START, 100, 0);
        let mut members = members(6);
        let mut calls: Vec<(OwnerId, usize, Call, Now)> = Vec::new();
        let mut ids: Vec<OwnerId> = (1..=6).map(OwnerId).collect();
        let mut damaged = false;
        for step in steps {
            match step {
                Step::Wait(ms) => now = later(now, Duration::from_millis(ms)),
                Step::Tick(n) => {
                    if let Some(call) = members[n].step(now, &shared).call {
                        calls.push((ids[n], n, call, now));
                    }
                }
                Step::Answer { lifetime, ok } => {
                    if !calls.is_empty() {
                        let (id, n, call, sent) = calls.remove(0);
                        let alive = ids[n] == id;
                        let in_time = now.mono.since(sent.mono) < common::CALL_TIMEOUT;
                        secret += 1;
                        let reply = match (ok, in_time) {
                            (true, true) => token(&format!("t{secret}"), lifetime),
                            _ => answer(504, ""),
                        };
                        if alive {
                            members[n].answered(now, call.id, reply, &shared);
                        }
                    }
                }
                Step::Die(n) => {
                    next_id += 1;
                    ids[n] = OwnerId(next_id);
                    members[n] = Member::new(OwnerId(next_id), plan(), policy());
                }
                Step::Damage(byte) => {
                    shared.damage(byte);
                    damaged = true;
                }
            }
            let open = calls.iter().filter(|(_, _, _, sent)| now.mono.since(sent.mono) < common::CALL_TIMEOUT);
            prop_assert!(damaged || open.count() <= 1);
            for member in &members {
                if let Some(token) = member.token(now) {
                    prop_assert!(now.mono < token.expires_mono);
                }
            }
        }
    }
}
