//! What all contexts of one VM share: a keeper for every slot.
//!
//! Envoy runs one VM per thread, whatever the number of plugin configurations; after an update
//! the old root context lives on until its last request ends, and both tick. So everything
//! about a token is kept by slot, not by root context.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::rc::Rc;

use entra_token_core::config::SlotSpec;
use entra_token_core::failure::NoAnswer;
use entra_token_core::http::Response;
use entra_token_core::member::{Call, Member, Outcome};
use entra_token_core::record::{OwnerId, SlotKey};
use entra_token_core::slot::{CallId, Event};
use entra_token_core::{Mono, Now, Wall};

use crate::host::{self, Shared};
use crate::metrics::{HeldGauge, TokenMetrics};
use crate::parked::{Parked, Waiting};

/// RFC 6750 §2.1, with the space that follows it.
const SCHEME: &str = "Bearer ";

/// The ready-made value of `authorization`.
struct Header {
    value: String,
    /// The end of the token as both clocks saw it at the last tick.
    until: Wall,
}

/// One slot in this VM.
pub(crate) struct Keeper {
    identity: String,
    audience: String,
    member: RefCell<Member>,
    header: RefCell<Option<Header>>,
    parked: RefCell<Parked>,
    held: HeldGauge,
    metrics: TokenMetrics,
    /// The failure that was logged last; the same again is not news.
    reported: RefCell<Option<String>>,
    clock_reported: Cell<bool>,
}

thread_local! {
    static KEEPERS: RefCell<HashMap<SlotKey, Rc<Keeper>>> = RefCell::default();
    /// WASI's randomness, by way of the standard library's hash seeds.
    static ME: OwnerId = OwnerId(RandomState::new().build_hasher().finish());
}

/// The keeper of a slot in this VM; made if there is none, else told of the configuration.
pub(crate) fn keeper(spec: &SlotSpec) -> Rc<Keeper> {
    let (plan, policy) = (spec.plan.clone(), spec.policy);
    KEEPERS.with_borrow_mut(|keepers| match keepers.get(&spec.key) {
        Some(keeper) => {
            keeper
                .member
                .borrow_mut()
                .reconfigure(plan, policy, host::now());
            Rc::clone(keeper)
        }
        None => {
            let me = ME.with(|me| *me);
            let keeper = Rc::new(Keeper {
                identity: spec.identity.clone(),
                audience: spec.plan.audience.to_string(),
                member: RefCell::new(Member::new(me, plan, policy)),
                header: RefCell::default(),
                parked: RefCell::default(),
                held: HeldGauge::new(),
                metrics: TokenMetrics::new(&spec.identity),
                reported: RefCell::default(),
                clock_reported: Cell::new(false),
            });
            keepers.insert(spec.key.clone(), Rc::clone(&keeper));
            keeper
        }
    })
}

impl Keeper {
    /// Gives the value of `authorization` to `send` if there is a token that may be sent now.
    pub(crate) fn with_header<T>(&self, send: impl FnOnce(&str) -> T) -> Option<T> {
        let header = self.header.borrow();
        let header = header
            .as_ref()
            .filter(|header| host::wall() < header.until)?;
        Some(send(&header.value))
    }

    /// Looks whether another VM has published a token meanwhile.
    pub(crate) fn refresh(&self, now: Now) {
        self.member.borrow_mut().refresh(&Shared);
        self.renew_header(now);
    }

    /// Lets time pass; the call that comes of it, if any, must be dispatched.
    pub(crate) fn step(&self, now: Now) -> Option<Call> {
        let outcome = self.member.borrow_mut().step(now, &Shared);
        self.settle(now, outcome)
    }

    pub(crate) fn answered(&self, now: Now, id: CallId, response: Response) {
        let outcome = self
            .member
            .borrow_mut()
            .answered(now, id, response, &Shared);
        self.settle(now, outcome);
    }

    pub(crate) fn call_failed(&self, now: Now, id: CallId, why: NoAnswer) {
        let outcome = self.member.borrow_mut().call_failed(now, id, why, &Shared);
        self.settle(now, outcome);
    }

    pub(crate) fn next_wakeup(&self, now: Now) -> Mono {
        self.member.borrow().next_wakeup(now)
    }

    /// Reads the member, as of the last step or refresh.
    pub(crate) fn member(&self) -> std::cell::Ref<'_, Member> {
        self.member.borrow()
    }

    pub(crate) fn held_count(&self) -> usize {
        self.parked.borrow().len()
    }

    pub(crate) fn park(&self, waiting: Waiting) {
        self.parked.borrow_mut().add(waiting);
        self.held.change(1);
    }

    /// Forgets a parked request that is gone.
    pub(crate) fn unpark(&self, context: u32) {
        if self.parked.borrow_mut().remove(context) {
            self.held.change(-1);
        }
    }

    /// Takes out the parked requests that need wait no longer: all if there is a token, else
    /// those whose time is up.
    pub(crate) fn take_released(&self, now: Now) -> Vec<Waiting> {
        let mut parked = self.parked.borrow_mut();
        let released = match self.with_header(|_| ()) {
            Some(()) => parked.take_all(),
            None => parked.take_overdue(now),
        };
        match i64::try_from(released.len()) {
            Ok(0) | Err(_) => {}
            Ok(count) => self.held.change(-count),
        }
        released
    }

    fn settle(&self, now: Now, outcome: Outcome) -> Option<Call> {
        for event in &outcome.events {
            self.metrics.event(event, now.wall.0 / 1000);
            self.report(event);
        }
        self.renew_header(now);
        outcome.call
    }

    fn renew_header(&self, now: Now) {
        let member = self.member.borrow();
        self.metrics.show(member.slot().state());
        let mut header = self.header.borrow_mut();
        let Some(token) = member.token(now) else {
            *header = None;
            return;
        };
        let until = token.sendable_until(now);
        let secret = token.secret.expose();
        match header.as_mut() {
            Some(header) if header.value.strip_prefix(SCHEME) == Some(secret) => {
                header.until = until;
            }
            _ => {
                *header = Some(Header {
                    value: format!("{SCHEME}{secret}"),
                    until,
                });
            }
        }
    }

    /// Tells people once per change: an outage must not flood the log.
    fn report(&self, event: &Event) {
        let (identity, audience) = (&self.identity, &self.audience);
        match event {
            Event::Acquired {
                generation,
                lifetime,
                after_failures,
            } => {
                let lifetime = lifetime.as_secs();
                let number = generation.0;
                log::info!(
                    "identity `{identity}`: token {number} for {audience}, good for {lifetime} s"
                );
                if *after_failures > 0 {
                    log::warn!(
                        "identity `{identity}`: works again after {after_failures} failed attempts"
                    );
                }
                self.reported.take();
                self.clock_reported.set(false);
            }
            Event::Unchanged => {
                self.reported.take();
            }
            Event::ClockOff(by) => {
                if !self.clock_reported.replace(true) {
                    let by = by.as_secs();
                    log::warn!(
                        "identity `{identity}`: this machine's clock and the token endpoint's differ by {by} s; set the clock"
                    );
                }
            }
            Event::Failed {
                failure, retry_in, ..
            } => {
                let said = failure.to_string();
                if self.reported.borrow().as_ref() != Some(&said) {
                    let seconds = retry_in.as_secs_f32();
                    log::warn!(
                        "identity `{identity}`: no token for {audience}: {said} (next attempt in {seconds:.1} s)"
                    );
                    *self.reported.borrow_mut() = Some(said);
                }
            }
        }
    }
}
