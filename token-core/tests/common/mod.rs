//! What the tests share: a plan, replies of an endpoint, and a clock to move by hand.
#![allow(dead_code, reason = "every test file uses its own part")]

use core::time::Duration;

use entra_token_core::http::{Body, Endpoint, Response};
use entra_token_core::identity::{ManagedIdentity, Plan};
use entra_token_core::slot::{CallId, Event, Input, Output, Policy, Slot};
use entra_token_core::{Mono, Now, Wall};

/// Some moment, with both clocks far from zero.
pub(crate) const START: Now = Now {
    mono: Mono(5_000_000),
    wall: Wall(1_790_000_000_000),
};

pub(crate) const CALL_TIMEOUT: Duration = Duration::from_secs(4);

pub(crate) fn plan() -> Plan {
    Plan {
        endpoint: Endpoint {
            cluster: "imds".into(),
            authority: "169.254.169.254".into(),
        },
        identity: ManagedIdentity::SystemAssigned,
        audience: "https://monitor.azure.com".parse().expect("an audience"),
    }
}

pub(crate) fn policy() -> Policy {
    Policy {
        refresh_before_expiry_percent: 10,
        call_timeout: CALL_TIMEOUT,
    }
}

pub(crate) fn slot() -> Slot {
    Slot::new(plan(), policy(), 7)
}

/// `START` after some seconds on both clocks.
pub(crate) fn at(seconds: f64) -> Now {
    later(START, Duration::from_secs_f64(seconds))
}

pub(crate) fn later(now: Now, wait: Duration) -> Now {
    Now {
        mono: now.mono.after(wait),
        wall: now.wall.after(wait),
    }
}

pub(crate) fn answer(status: u16, body: &str) -> Response {
    Response {
        status,
        retry_after: None,
        body: Body(body.as_bytes().to_vec()),
    }
}

/// A reply as IMDS sends it.
pub(crate) fn token(secret: &str, expires_in: u64) -> Response {
    answer(
        200,
        &format!(
            r#"{{"access_token":"{secret}","expires_in":"{expires_in}","token_type":"Bearer"}}"#
        ),
    )
}

pub(crate) fn outputs(slot: &mut Slot) -> Vec<Output> {
    std::iter::from_fn(|| slot.poll_output()).collect()
}

pub(crate) fn events(outputs: &[Output]) -> Vec<&Event> {
    outputs
        .iter()
        .filter_map(|output| match output {
            Output::Report(event) => Some(event),
            _ => None,
        })
        .collect()
}

/// Ticks at `now` and returns the call that comes of it.
pub(crate) fn call(slot: &mut Slot, now: Now) -> CallId {
    slot.handle(now, Input::Tick);
    match outputs(slot).as_slice() {
        [Output::Call { id, .. }] => *id,
        other => panic!("expected one call, got {other:?}"),
    }
}

/// Ticks at `now` and answers the call that comes of it at once.
pub(crate) fn exchange(slot: &mut Slot, now: Now, response: Response) -> Vec<Output> {
    let id = call(slot, now);
    slot.handle(now, Input::HttpResponse(id, response));
    outputs(slot)
}
