//! What the tests share: a plan, replies of an endpoint, a clock to move by hand, and the shared
//! data of a process.
#![allow(dead_code, reason = "every test file uses its own part")]

pub(crate) mod seed;

use core::time::Duration;
use std::cell::RefCell;

use entra_token_core::config::{self, Plugin, SlotSpec};
use entra_token_core::http::{Body, Endpoint, Response};
use entra_token_core::identity::{ManagedIdentity, MetadataService, Plan, Source};
use entra_token_core::lease::{Cas, LeaseParticipant, SharedData};
use entra_token_core::record::{OwnerId, Record};
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
        source: Source::Managed(MetadataService::Imds {
            endpoint: Endpoint {
                cluster: "imds".into(),
                authority: "169.254.169.254".into(),
                forward_proxy: None,
            },
            identity: ManagedIdentity::SystemAssigned,
        }),
        audience: "https://monitor.azure.com".parse().expect("an audience"),
        via_internal_listener: false,
    }
}

/// The slot of a managed identity, as a configuration says it.
pub(crate) fn spec() -> SlotSpec {
    plugin().slots[0].clone()
}

/// A plugin with one identity and one target.
pub(crate) fn plugin() -> Plugin {
    let json = r#"{"identities":[{"name":"default","type":"userAssigned","imds":{"cluster":"imds"},
            "clientId":"00000000-0000-0000-0000-000000000001"}],
        "targets":[{"hosts":["a"],"identity":"default","audience":"https://monitor.azure.com"}]}"#;
    let config = config::read(json.as_bytes()).expect("a configuration");
    config::compile(&config).expect("a configuration")
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
        certificate_not_after: None,
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
    only_call(&outputs(slot))
}

/// The only output, which is a call.
pub(crate) fn only_call(outputs: &[Output]) -> CallId {
    match outputs {
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

/// One key of Envoy's shared data, with its compare-and-swap.
#[derive(Default)]
pub(crate) struct OneKey(pub(crate) RefCell<Option<(Vec<u8>, u32)>>);

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
    pub(crate) fn record(&self) -> Record {
        let stored = self.0.borrow();
        stored
            .as_ref()
            .and_then(|(bytes, _)| Record::decode(bytes))
            .unwrap_or_default()
    }

    pub(crate) fn damage(&self, byte: usize) {
        if let Some((bytes, _)) = self.0.borrow_mut().as_mut() {
            let byte = byte % bytes.len().max(1);
            if let Some(byte) = bytes.get_mut(byte) {
                *byte ^= 0x40;
            }
        }
    }
}

pub(crate) fn participants(count: u64) -> Vec<LeaseParticipant> {
    (1..=count)
        .map(|id| LeaseParticipant::new(OwnerId(id), plan(), policy()))
        .collect()
}

/// When the slot wants to be woken, in seconds from `START`.
pub(crate) fn wakeup(slot: &Slot) -> f64 {
    slot.next_wakeup().since(START.mono).as_secs_f64()
}

/// The code of the one failure that was reported, and whether it is permanent.
pub(crate) fn failure(outputs: &[Output]) -> (String, bool) {
    match events(outputs).as_slice() {
        [Event::Failed { failure, .. }] => (failure.code.to_string(), failure.permanent),
        other => panic!("expected one failure, got {other:?}"),
    }
}
