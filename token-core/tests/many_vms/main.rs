//! Many VMs of one Envoy process and one slot: they agree through the shared record alone.

#[path = "../common/mod.rs"]
mod common;
mod failures;
mod leases;
mod records;
mod slow_calls;

use core::time::Duration;

use common::{OneKey, START, later, token};
use entra_token_core::Now;
use entra_token_core::lease::{Call, LeaseParticipant};

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
