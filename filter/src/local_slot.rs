//! The state of a slot in one VM, which all contexts of the VM share.
//!
//! Envoy runs one VM per thread, even with several plugin configurations. After an update the old root
//! context lives on until its last request ends, and both root contexts tick. So the state of a token
//! belongs to its slot, not to a root context.

use core::time::Duration;
use std::cell::{Cell, Ref, RefCell};
use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::rc::{Rc, Weak};

use entra_token_core::config::{SlotSpec, Terms};
use entra_token_core::failure::NoAnswer;
use entra_token_core::http::Response;
use entra_token_core::lease::{Call, LeaseParticipant, Outcome};
use entra_token_core::record::{OwnerId, SlotKey};
use entra_token_core::slot::{CallId, Event};
use entra_token_core::state::Refusal;
use entra_token_core::status::meanwhile;
use entra_token_core::{Audience, Generation, Mono, Now, Wall};

use crate::host::{self, Shared};
use crate::memo::is_same;
use crate::metrics::{HeldGauge, TokenMetrics};
use crate::parked::{Parked, Waiting};
use crate::thread;

/// How often a VM looks at shared data while requests wait in it. Nothing else wakes it when another VM
/// gets the token.
pub(crate) const HURRIED_TICK: Duration = Duration::from_millis(20);

/// RFC 6750 §2.1, with the space that follows it.
const SCHEME: &str = "Bearer ";

/// The ready-made value of `authorization`.
pub(crate) struct Header {
    /// The header's value.
    pub(crate) value: String,
    /// The generation of the token in it.
    pub(crate) generation: Generation,
    /// When the token ends, by the wall clock; the last tick took both clocks into account.
    until: Wall,
}

impl Header {
    fn carries(&self, secret: &str) -> bool {
        let sent = self.value.strip_prefix(SCHEME).unwrap_or_default();
        is_same(sent.as_bytes(), secret.as_bytes())
    }
}

/// The state of a slot in this VM.
pub(crate) struct LocalSlot {
    identity: String,
    audience: Audience,
    terms: RefCell<Terms>,
    participant: RefCell<LeaseParticipant>,
    header: RefCell<Option<Header>>,
    parked: RefCell<Parked>,
    held: HeldGauge,
    metrics: TokenMetrics,
    /// Whether the log has said that this machine's clock is wrong.
    clock_is_off: Cell<bool>,
    /// Whether the log has said that the endpoint sends impossible lifetimes.
    lifetime_is_ignored: Cell<bool>,
    /// The newest generation that a target was seen to refuse with 401.
    seen_refused: Cell<Generation>,
    /// Until when shared data is read at every [`HURRIED_TICK`], because the target has refused the current
    /// token and another VM may get the next one.
    looked_for_until: Cell<Mono>,
}

/// For how long a VM looks for a newer token after a refusal. A call for a token seldom takes longer.
const LOOKED_FOR: Duration = Duration::from_secs(5);

thread_local! {
    /// The slots by their key and by the identity's name, which is in logs and metrics. The root contexts own
    /// the slots: a slot that no configuration names any more is dropped with its last root context.
    static LOCAL_SLOTS: RefCell<HashMap<(SlotKey, String), Weak<LocalSlot>>> = RefCell::default();
}

/// Returns the state of this slot, with the new configuration applied, or creates it.
pub(crate) fn get_or_create(spec: &SlotSpec) -> Rc<LocalSlot> {
    let (plan, policy) = (spec.plan.clone(), spec.policy);
    LOCAL_SLOTS.with_borrow_mut(|slots| {
        slots.retain(|_, slot| slot.strong_count() > 0);
        let name = (spec.key.clone(), spec.identity.clone());
        if let Some(slot) = slots.get(&name).and_then(Weak::upgrade) {
            let mut participant = slot.participant.borrow_mut();
            participant.reconfigure(plan, policy, host::now(), &Shared);
            drop(participant);
            slot.terms.replace(spec.terms.clone());
            return slot;
        }
        let slot = Rc::new(LocalSlot {
            identity: spec.identity.clone(),
            audience: spec.plan.audience.clone(),
            terms: RefCell::new(spec.terms.clone()),
            participant: RefCell::new(LeaseParticipant::new(random_owner(), plan, policy)),
            header: RefCell::default(),
            parked: RefCell::default(),
            held: HeldGauge::new(),
            metrics: TokenMetrics::new(&spec.identity, &spec.plan.audience),
            clock_is_off: Cell::new(false),
            lifetime_is_ignored: Cell::new(false),
            seen_refused: Cell::default(),
            looked_for_until: Cell::default(),
        });
        slots.insert(name, Rc::downgrade(&slot));
        slot
    })
}

/// Hands every parked request to `dismiss` and takes it off the gauge, because this VM dies. A slot that is
/// borrowed at the time of the panic is skipped: a second panic would end the panic hook.
pub(crate) fn dismiss_parked(dismiss: impl Fn(u32)) {
    // This fails only while the thread ends, when no request waits any more.
    let _ = LOCAL_SLOTS.try_with(|slots| {
        let Ok(slots) = slots.try_borrow() else {
            return;
        };
        for slot in slots.values().filter_map(Weak::upgrade) {
            if let Ok(parked) = slot.parked.try_borrow() {
                for context in parked.contexts() {
                    slot.held.change(-1);
                    dismiss(context);
                }
            }
        }
    });
}

/// A random id. The standard library takes the seeds of its hash maps from WASI's random numbers.
fn random_owner() -> OwnerId {
    OwnerId(RandomState::new().build_hasher().finish())
}

impl LocalSlot {
    /// The value of `authorization`, if there is a token that may be sent now.
    pub(crate) fn header(&self) -> Option<Ref<'_, Header>> {
        Ref::filter_map(self.header.borrow(), Option::as_ref)
            .ok()
            .filter(|header| host::wall() < header.until)
    }

    /// Reads the token that another VM may have published.
    pub(crate) fn refresh(&self, now: Now) {
        self.participant.borrow_mut().refresh(&Shared);
        self.renew_header(now);
    }

    /// Moves the slot to this time. The caller must dispatch the call that this returns.
    pub(crate) fn step(&self, now: Now) -> Option<Call> {
        let mut participant = self.participant.borrow_mut();
        participant.runs_on(thread::current());
        let outcome = participant.step(now, &Shared);
        drop(participant);
        self.settle(now, outcome)
    }

    /// Handles the response to a call. If the response was a credential, the caller must dispatch the call
    /// that is made with it.
    pub(crate) fn answered(&self, now: Now, id: CallId, response: Response) -> Option<Call> {
        let outcome = self
            .participant
            .borrow_mut()
            .answered(now, id, response, &Shared);
        self.settle(now, outcome)
    }

    pub(crate) fn call_failed(&self, now: Now, id: CallId, why: NoAnswer) {
        let outcome = self
            .participant
            .borrow_mut()
            .call_failed(now, id, why, &Shared);
        self.settle(now, outcome);
    }

    /// Gives up a call, because the root context that made it is dropped and Envoy cancels the call.
    pub(crate) fn abandoned(&self, now: Now, id: CallId) {
        self.participant.borrow_mut().abandoned(now, id, &Shared);
    }

    pub(crate) fn next_wakeup(&self, now: Now) -> Mono {
        self.participant.borrow().next_wakeup(now)
    }

    /// The participant, as of the last step or refresh.
    pub(crate) fn participant(&self) -> Ref<'_, LeaseParticipant> {
        self.participant.borrow()
    }

    pub(crate) fn held_count(&self) -> usize {
        self.parked.borrow().len()
    }

    /// Whether requests wait for a newer token, or the target has just refused the current one.
    pub(crate) fn awaits_newer(&self, now: Now) -> bool {
        self.held_count() > 0 || now.mono < self.looked_for_until.get()
    }

    pub(crate) fn is_parked(&self, context: u32) -> bool {
        self.parked.borrow().contains(context)
    }

    pub(crate) fn park(&self, waiting: Waiting) {
        thread::serves_requests();
        self.parked.borrow_mut().add(waiting);
        self.held.change(1);
    }

    /// Forgets a parked request whose client has gone.
    pub(crate) fn unpark(&self, context: u32) {
        self.take(context);
    }

    /// The contexts of at most `most` parked requests that need not wait any longer.
    pub(crate) fn released(&self, now: Now, most: usize) -> Vec<u32> {
        if self.held_count() == 0 {
            return Vec::new();
        }
        let has_token = self.header().is_some();
        let participant = self.participant.borrow();
        self.parked.borrow().over(now, most, |waiting| {
            has_token
                && (waiting.refused == Generation::default()
                    || participant.refusal(now, waiting.refused) != Refusal::Refreshing)
        })
    }

    /// Removes one parked request. The others stay parked, so that the panic hook finds them.
    pub(crate) fn take(&self, context: u32) -> Option<Waiting> {
        let waiting = self.parked.borrow_mut().take(context)?;
        self.held.change(-1);
        Some(waiting)
    }

    /// Whether this VM has seen the target refuse the token of this generation.
    pub(crate) fn has_seen_refused(&self, generation: Generation) -> bool {
        self.seen_refused.get() == generation
    }

    /// Notes that the target answered 401 to a try with the token of this generation.
    pub(crate) fn sees_refused(&self, generation: Generation) {
        let newest = self.seen_refused.get().max(generation);
        self.seen_refused.set(newest);
    }

    /// Notes that the target refused a request with this value of `authorization`. Returns the generation of
    /// that token and what to do with the request.
    pub(crate) fn refused(&self, value: &str, now: Now) -> (Generation, Refusal) {
        let generation = match self.header.borrow().as_ref() {
            Some(header) if header.value == value => header.generation,
            // A value that is not the newest one is an older one.
            _ => return (Generation::default(), Refusal::Outdated),
        };
        (generation, self.refused_generation(generation, now))
    }

    /// Notes that the target refused a request with the token of this generation.
    pub(crate) fn refused_generation(&self, generation: Generation, now: Now) -> Refusal {
        let refusal = self
            .participant
            .borrow_mut()
            .refused(now, generation, &Shared);
        self.renew_header(now);
        if refusal == Refusal::Refreshing {
            self.look_for_newer(now);
        }
        refusal
    }

    /// Reads shared data more often: nothing tells a VM that another one has published a token.
    fn look_for_newer(&self, now: Now) {
        // Only at the first refusal, because setting the period restarts it.
        if !self.awaits_newer(now) {
            // Should this fail, the idle tick still finds the token.
            let _ = host::set_tick_period(HURRIED_TICK);
        }
        self.looked_for_until.set(now.mono.after(LOOKED_FOR));
    }

    /// Notes that the target accepted the token of this generation.
    pub(crate) fn accepted(&self, generation: Generation) {
        let known = self.participant.borrow().slot().state().accepted;
        if !known {
            let mut participant = self.participant.borrow_mut();
            participant.accepted(host::now(), generation, &Shared);
        }
    }

    fn settle(&self, now: Now, outcome: Outcome) -> Option<Call> {
        for event in &outcome.events {
            self.metrics.event(event, now.wall.0 / 1000);
            self.report(event, now);
        }
        let got_token =
            |event: &Event| matches!(event, Event::Acquired { .. } | Event::Unchanged { .. });
        if outcome.events.iter().any(got_token) {
            let mut events = outcome.events.iter();
            let off = events.any(|event| matches!(event, Event::ClockSkew(_)));
            self.clock_is_off.set(off);
            let ignored = outcome.events.contains(&Event::LifetimeIgnored);
            self.lifetime_is_ignored.set(ignored);
        }
        self.renew_header(now);
        outcome.call
    }

    fn renew_header(&self, now: Now) {
        let participant = self.participant.borrow();
        self.metrics.show(participant.slot().state());
        let mut header = self.header.borrow_mut();
        let Some(token) = participant.token(now) else {
            *header = None;
            return;
        };
        let until = token.sendable_until(now);
        let secret = token.secret.expose();
        match header.as_mut() {
            Some(header) if header.carries(secret) => {
                header.until = until;
            }
            _ => {
                self.looked_for_until.set(Mono::default());
                *header = Some(Header {
                    value: format!("{SCHEME}{secret}"),
                    generation: token.generation,
                    until,
                });
            }
        }
    }

    /// Logs each change once: an outage must not flood the log.
    fn report(&self, event: &Event, now: Now) {
        let (identity, audience) = (&self.identity, &self.audience);
        match event {
            Event::Acquired {
                generation,
                lifetime,
                after_failures,
            } => {
                let (number, lifetime) = (generation.0, lifetime.as_secs());
                log::info!(
                    "identity `{identity}`: token {number} for {audience}, good for {lifetime} s"
                );
                self.report_recovery(*after_failures);
            }
            Event::Unchanged { after_failures } => self.report_recovery(*after_failures),
            Event::ClockSkew(by) if !self.clock_is_off.get() => {
                let by = by.as_secs();
                log::warn!(
                    "identity `{identity}`: this machine's clock and the token endpoint's differ by {by} s; set the clock"
                );
            }
            Event::Failed {
                failure,
                retry_in,
                is_new: true,
                ..
            } => {
                // As integers: the code that formats floats is larger than this whole file.
                let rounded = retry_in.saturating_add(Duration::from_millis(50));
                let (seconds, tenth) = (rounded.as_secs(), rounded.subsec_millis() / 100);
                let terms = self.terms.borrow();
                let why = terms.explain(failure);
                let participant = self.participant.borrow();
                let next = format!("(next attempt in {seconds}.{tenth} s)");
                match meanwhile(participant.token(now), now) {
                    Some(meanwhile) => log::warn!(
                        "identity `{identity}`: the token for {audience} could not be renewed; {meanwhile}: {why} {next}"
                    ),
                    None => {
                        log::warn!("identity `{identity}`: no token for {audience}: {why} {next}");
                    }
                }
            }
            Event::LifetimeIgnored if !self.lifetime_is_ignored.get() => {
                log::warn!(
                    "identity `{identity}`: the token endpoint gives a lifetime (`expires_in`) of zero or less beside an end (`expires_on`) to come; the end is believed"
                );
            }
            Event::ClockSkew(_) | Event::LifetimeIgnored | Event::Failed { .. } => {}
        }
    }

    fn report_recovery(&self, after_failures: u32) {
        if after_failures > 0 {
            let identity = &self.identity;
            log::warn!("identity `{identity}`: works again after {after_failures} failed attempts");
        }
    }
}
