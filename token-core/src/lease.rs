//! How the VMs of one process agree on which of them calls for a token.
//!
//! Each VM has a [`LeaseParticipant`] for each slot, and steps it on each tick. A participant that finds the
//! slot due tries to take the slot's lease in shared data by compare-and-swap. The one that gets the lease
//! makes the call and writes the result into the slot's record, where the others read it. The record is
//! authoritative: a participant that has lost its lease drops its call.

use core::time::Duration;

use crate::failure::NoAnswer;
use crate::http::{Endpoint, Request, Response};
use crate::identity::Plan;
use crate::record::{Lease, OwnerId, Record, SlotKey};
pub use crate::shared_data::{Cas, SharedData};
use crate::slot::{CallId, Event, Input, Output, Policy, Slot};
use crate::state::{Refusal, State};
use crate::{Generation, Mono, Now, Token};

/// A call to dispatch. [`LeaseParticipant::answered`] or [`LeaseParticipant::call_failed`] takes its outcome.
#[derive(Clone, Debug)]
pub struct Call {
    /// The id by which the caller reports the outcome.
    pub id: CallId,
    /// Where to send it.
    pub endpoint: Endpoint,
    /// What to send.
    pub request: Request,
    /// How long to wait for the response.
    pub timeout: Duration,
}

/// The outcome of a step.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The call to dispatch, if any.
    pub call: Option<Call>,
    /// What to log.
    pub events: Vec<Event>,
}

/// Which of Envoy's threads a VM runs on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Thread {
    /// Not known yet.
    #[default]
    Unknown,
    /// The main thread, which serves no requests and cannot connect to internal listeners.
    Main,
    /// A worker thread.
    Worker,
}

/// How long a lease lasts unless its holder renews it: how long the others wait for a holder that has died.
pub const LEASE: Duration = Duration::from_secs(6);

/// How often the holder renews the lease: at every idle tick.
const RENEW_EVERY: Duration = Duration::from_secs(1);

/// How often a write is tried when other VMs change the record at the same time.
const WRITE_ATTEMPTS: usize = 16;

/// One VM as a participant in the lease of one slot.
#[derive(Debug)]
pub struct LeaseParticipant {
    me: OwnerId,
    key: SlotKey,
    slot: Slot,
    thread: Thread,
    /// The end of the lease under which this VM made its last call.
    held_until: Mono,
    /// When this VM renews that lease.
    renew_at: Mono,
    /// The lease, as last read.
    lease: Lease,
    /// The version of the record that equals the state of `slot`; none if `slot` has changed since.
    seen: Option<Cas>,
}

impl LeaseParticipant {
    /// A participant that has read nothing yet. `me` must be different in every VM.
    #[must_use]
    pub fn new(me: OwnerId, plan: Plan, policy: Policy) -> Self {
        Self {
            me,
            key: SlotKey::of(&plan),
            thread: Thread::default(),
            slot: Slot::new(plan, policy, me.0),
            held_until: Mono::default(),
            renew_at: Mono::default(),
            lease: Lease::default(),
            seen: None,
        }
    }

    /// Sets the VM's thread. If the slot's calls go through an internal listener, only a worker makes them.
    pub fn runs_on(&mut self, thread: Thread) {
        self.thread = thread;
    }

    /// Whether this VM can make the slot's calls.
    fn may_call(&self) -> bool {
        self.thread == Thread::Worker || !self.slot.plan().via_internal_listener
    }

    /// The state machine, to be changed.
    fn machine(&mut self) -> &mut Slot {
        self.seen = None;
        &mut self.slot
    }

    /// Applies a new configuration of the same slot. If it differs, a call in flight is dropped, and its lease
    /// is released so that the next call need not wait for the lease's end.
    pub fn reconfigure(&mut self, plan: Plan, policy: Policy, now: Now, shared: &impl SharedData) {
        if self.slot.is_configured_as(&plan, policy) {
            return;
        }
        let was_calling = self.slot.is_calling();
        self.machine().reconfigure(plan, policy, now);
        if was_calling {
            self.release(now, shared);
        }
    }

    /// The token, if it may be sent at `now`, as of the last step.
    #[must_use]
    pub fn token(&self, now: Now) -> Option<&Token> {
        self.slot.token(now)
    }

    /// The state machine, for reports.
    #[must_use]
    pub fn slot(&self) -> &Slot {
        &self.slot
    }

    /// When to step next, as of the last step.
    #[must_use]
    pub fn next_wakeup(&self, now: Now) -> Mono {
        let wakeup = self.slot.next_wakeup();
        if self.slot.is_calling() {
            return wakeup.min(self.renew_at);
        }
        if !self.may_call() {
            return Mono(u64::MAX);
        }
        let due = if self.slot.is_due(now) {
            wakeup.min(now.mono)
        } else {
            wakeup
        };
        let state = self.slot.state();
        // The failure may be the last owner's own, so after a failure every participant may try.
        let urgent = self.token(now).is_none() || state.is_forced() || state.failures > 0;
        self.lease.opens_to(self.me, due, urgent)
    }

    /// Reads what others have published, and does nothing else.
    pub fn refresh(&mut self, shared: &impl SharedData) {
        self.sync(shared);
    }

    /// Reads the record; then starts a call, goes on with one or gives it up.
    pub fn step(&mut self, now: Now, shared: &impl SharedData) -> Outcome {
        self.slot.start_at(now.mono);
        let cas = self.sync(shared);
        if self.slot.is_calling() {
            self.machine().handle(now, Input::Tick);
            let outcome = self.publish(now, true, shared);
            self.renew(now, shared);
            return outcome;
        }
        if now.mono < self.next_wakeup(now) {
            return Outcome::default();
        }
        if !self.take_lease(now, cas, shared) {
            return Outcome::default();
        }
        self.machine().handle(now, Input::Tick);
        self.drain()
    }

    /// Takes the lease, unless another VM has changed the record since it was read.
    fn take_lease(&mut self, now: Now, read: Option<Cas>, shared: &impl SharedData) -> bool {
        let state = self.slot.state().clone();
        self.write_lease(now, state, read, shared)
    }

    fn write_lease(
        &mut self,
        now: Now,
        state: State,
        read: Option<Cas>,
        shared: &impl SharedData,
    ) -> bool {
        let lease = Lease {
            owner: self.me,
            until: now.mono.after(LEASE),
        };
        if !shared.write(self.key.as_str(), &Record { lease, state }.encode(), read) {
            return false;
        }
        self.lease = lease;
        self.held_until = lease.until;
        self.renew_at = now.mono.after(RENEW_EVERY);
        true
    }

    /// Renews the lease during a call. This keeps what others have written into the record meanwhile. If
    /// another VM has taken the lease, nothing is written, and the result of the call will be dropped.
    fn renew(&mut self, now: Now, shared: &impl SharedData) {
        if !self.slot.is_calling() || now.mono < self.renew_at {
            return;
        }
        self.renew_at = now.mono.after(RENEW_EVERY);
        let Some((bytes, cas)) = shared.read(self.key.as_str()) else {
            return;
        };
        let state = match Record::decode(&bytes) {
            Some(record) if !self.holds(record.lease) => return,
            Some(record) => record.state,
            None => self.slot.state().clone(),
        };
        self.write_lease(now, state, Some(cas), shared);
    }

    /// Handles the endpoint's response.
    pub fn answered(
        &mut self,
        now: Now,
        id: CallId,
        response: Response,
        shared: &impl SharedData,
    ) -> Outcome {
        self.finish(now, Input::HttpResponse(id, response), shared)
    }

    /// Handles the failure of a call that gets no response.
    pub fn call_failed(
        &mut self,
        now: Now,
        id: CallId,
        why: NoAnswer,
        shared: &impl SharedData,
    ) -> Outcome {
        self.finish(now, Input::CallFailed(id, why), shared)
    }

    /// Gives up a call whose context is gone, and releases the lease, so that the next call need not wait.
    pub fn abandoned(&mut self, now: Now, id: CallId, shared: &impl SharedData) {
        self.sync(shared);
        if self.machine().abandon(id, now) {
            self.release(now, shared);
        }
    }

    /// Notes that the target accepted the token of this generation.
    pub fn accepted(&mut self, now: Now, generation: Generation, shared: &impl SharedData) {
        self.tell(now, &Input::Accepted(generation), shared);
    }

    /// Notes that the target refused the token of this generation, and returns what to do with the request.
    pub fn refused(
        &mut self,
        now: Now,
        generation: Generation,
        shared: &impl SharedData,
    ) -> Refusal {
        self.tell(now, &Input::Unauthorized(generation), shared);
        self.refusal(now, generation)
    }

    /// What to do with a request whose token of this generation was refused, as of the last step.
    #[must_use]
    pub fn refusal(&self, now: Now, generation: Generation) -> Refusal {
        match self.slot.state().refusal(generation, now) {
            // Some VM's call is in flight.
            Refusal::Final if self.lease.until > now.mono => Refusal::Refreshing,
            refusal => refusal,
        }
    }

    /// Applies an input that changes the state without a call, and writes the new state to the record.
    fn tell(&mut self, now: Now, input: &Input, shared: &impl SharedData) {
        for _ in 0..WRITE_ATTEMPTS {
            let cas = self.sync(shared);
            let before = self.slot.state().clone();
            self.machine().handle(now, input.clone());
            if *self.slot.state() == before
                || shared.write(self.key.as_str(), &self.record(self.lease).encode(), cas)
            {
                return;
            }
        }
    }

    fn finish(&mut self, now: Now, input: Input, shared: &impl SharedData) -> Outcome {
        self.sync(shared);
        let was_calling = self.slot.is_calling();
        self.machine().handle(now, input);
        self.publish(now, was_calling, shared)
    }

    /// Reads the record and adopts its state. While a call of this VM is in flight under its own lease, this
    /// VM's state is the newer one and stays.
    fn sync(&mut self, shared: &impl SharedData) -> Option<Cas> {
        let (bytes, cas) = shared.read(self.key.as_str())?;
        if self.seen == Some(cas) {
            return Some(cas);
        }
        let Some(record) = Record::decode(&bytes) else {
            return Some(cas);
        };
        let calling_by_right = self.slot.is_calling() && self.holds(record.lease);
        if !calling_by_right {
            self.slot.observe(record.state);
            self.seen = Some(cas);
        }
        self.lease = record.lease;
        Some(cas)
    }

    /// Writes the state and releases the lease, if a call has ended.
    fn publish(&mut self, now: Now, was_calling: bool, shared: &impl SharedData) -> Outcome {
        let outcome = self.drain();
        if self.slot.is_calling() || !was_calling {
            return outcome;
        }
        if self.release(now, shared) {
            outcome
        } else {
            // Another VM has taken the lease over: the result of this call is dropped.
            self.sync(shared);
            Outcome::default()
        }
    }

    /// Writes the state and the end of the lease, if this VM still holds the lease.
    fn release(&mut self, now: Now, shared: &impl SharedData) -> bool {
        let released = Lease {
            owner: self.me,
            until: now.mono,
        };
        for _ in 0..WRITE_ATTEMPTS {
            let (expected, is_ours) = match shared.read(self.key.as_str()) {
                None => (None, true),
                Some((bytes, cas)) => {
                    let lease = Record::decode(&bytes).map(|record| record.lease);
                    (Some(cas), lease.is_none_or(|lease| self.holds(lease)))
                }
            };
            if !is_ours {
                return false;
            }
            let record = self.record(released).encode();
            if shared.write(self.key.as_str(), &record, expected) {
                self.lease = released;
                return true;
            }
        }
        false
    }

    /// Whether this is the lease under which this VM made its last call.
    fn holds(&self, lease: Lease) -> bool {
        lease.owner == self.me && lease.until == self.held_until
    }

    fn record(&self, lease: Lease) -> Record {
        Record {
            lease,
            state: self.slot.state().clone(),
        }
    }

    fn drain(&mut self) -> Outcome {
        let mut outcome = Outcome::default();
        while let Some(output) = self.slot.poll_output() {
            match output {
                Output::Call {
                    id,
                    endpoint,
                    request,
                    timeout,
                } => {
                    outcome.call = Some(Call {
                        id,
                        endpoint,
                        request,
                        timeout,
                    });
                }
                Output::Report(event) => outcome.events.push(event),
                // The record carries the token; `publish` writes it.
                Output::Publish(_) => {}
            }
        }
        outcome
    }
}
