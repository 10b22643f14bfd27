//! One VM's part in a slot: its view of the shared record, the lease, and the machine it runs
//! while the lease is its own.
//!
//! Every VM of the process has a participant for every slot and polls it on each tick. Whoever finds
//! the slot due and wins the lease by compare-and-swap runs the call; the others see its result
//! in the record. The record is the truth: a participant whose lease was taken over drops its call.

use core::time::Duration;

use crate::failure::NoAnswer;
use crate::http::{Endpoint, Request, Response};
use crate::identity::Plan;
use crate::record::{Lease, OwnerId, Record, SlotKey};
use crate::slot::{CallId, Event, Input, Output, Policy, Slot};
use crate::state::{Refusal, State};
use crate::{Generation, Mono, Now, Token};

/// Version of a value in shared data, as the host gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cas(pub u32);

/// Envoy's shared data, or a stand-in for it.
pub trait SharedData {
    /// The value and its version; `None` when there is none.
    fn read(&self, key: &str) -> Option<(Vec<u8>, Cas)>;

    /// Writes if the value still has the version `expected` (`None`: if it does not exist).
    /// Says whether it was written.
    fn write(&self, key: &str, value: &[u8], expected: Option<Cas>) -> bool;
}

/// A call that the caller must carry out and bring back by [`LeaseParticipant::answered`] or
/// [`LeaseParticipant::call_failed`].
#[derive(Clone, Debug)]
pub struct Call {
    /// To be given back with the answer.
    pub id: CallId,
    /// Where to.
    pub endpoint: Endpoint,
    /// What to send.
    pub request: Request,
    /// How long to wait.
    pub timeout: Duration,
}

/// What came of a step.
#[derive(Debug, Default)]
pub struct Outcome {
    /// At most one call to carry out.
    pub call: Option<Call>,
    /// What to tell people.
    pub events: Vec<Event>,
}

/// Which of Envoy's threads a VM runs on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Thread {
    /// Not known, yet.
    #[default]
    Unknown,
    /// The main thread, which serves no requests and reaches no internal listener.
    Main,
    /// A worker.
    Worker,
}

/// How long a lease lasts. Its holder renews it while the call is out, so that this bounds not the
/// call, but how long a holder that has died is waited for.
pub const LEASE: Duration = Duration::from_secs(6);

/// How often its holder renews it: at every tick of a context that has nothing else to do.
const RENEW_EVERY: Duration = Duration::from_secs(1);

/// A write is tried again this often when others touch the record meanwhile.
const WRITE_ATTEMPTS: usize = 16;

/// A VM's part in one slot.
#[derive(Debug)]
pub struct LeaseParticipant {
    me: OwnerId,
    key: SlotKey,
    slot: Slot,
    thread: Thread,
    /// The end of the lease under which the call in flight here runs.
    held_until: Mono,
    /// When that lease is renewed.
    renew_at: Mono,
    /// As read last.
    lease: Lease,
    /// The version of the record that the machine's state is that of; none when the machine has
    /// gone on since.
    seen: Option<Cas>,
}

impl LeaseParticipant {
    /// A participant that has seen nothing yet. `me` must differ from every other VM's.
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

    /// Takes in which thread this is. Only a worker takes a slot whose calls lead through an
    /// internal listener.
    pub fn runs_on(&mut self, thread: Thread) {
        self.thread = thread;
    }

    /// Whether the calls of this slot can be made from here.
    fn may_call(&self) -> bool {
        self.thread == Thread::Worker || !self.slot.plan().via_internal_listener
    }

    /// The machine, to be changed.
    fn machine(&mut self) -> &mut Slot {
        self.seen = None;
        &mut self.slot
    }

    /// Takes a new configuration of the same slot. A call in flight under another one is dropped,
    /// and its lease given back so that the next call need not wait for its end.
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

    /// The token, if it may be sent at `now`; as of the last step.
    #[must_use]
    pub fn token(&self, now: Now) -> Option<&Token> {
        self.slot.token(now)
    }

    /// The machine, for those who report on it.
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
        // A holder whose call has failed may be the reason, so after a failure everybody may try.
        let urgent = self.token(now).is_none() || state.is_forced() || state.failures > 0;
        self.lease.opens_to(self.me, due, urgent)
    }

    /// Takes in what others have published, and does nothing else.
    pub fn refresh(&mut self, shared: &impl SharedData) {
        self.sync(shared);
    }

    /// Looks at the record, and starts or gives up a call as it says.
    pub fn step(&mut self, now: Now, shared: &impl SharedData) -> Outcome {
        self.slot.begin_at(now.mono);
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

    /// Takes the lease of the record that was read, unless another has been quicker.
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

    /// Goes on holding the lease while a call is out. What others have told the record meanwhile
    /// stays in it; and a lease that another has taken stays theirs, so that the call is void.
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

    /// The endpoint answered.
    pub fn answered(
        &mut self,
        now: Now,
        id: CallId,
        response: Response,
        shared: &impl SharedData,
    ) -> Outcome {
        self.finish(now, Input::HttpResponse(id, response), shared)
    }

    /// There will be no answer.
    pub fn call_failed(
        &mut self,
        now: Now,
        id: CallId,
        why: NoAnswer,
        shared: &impl SharedData,
    ) -> Outcome {
        self.finish(now, Input::CallFailed(id, why), shared)
    }

    /// Whoever carried out the call is gone, and with it the answer. The lease is given back, so
    /// that the next call need not wait for its end.
    pub fn abandoned(&mut self, now: Now, id: CallId, shared: &impl SharedData) {
        self.sync(shared);
        if self.machine().abandon(id, now) {
            self.release(now, shared);
        }
    }

    /// The target accepted the token of this generation.
    pub fn accepted(&mut self, now: Now, generation: Generation, shared: &impl SharedData) {
        self.tell(now, &Input::Accepted(generation), shared);
    }

    /// The target refused the token of this generation: what becomes of the request?
    pub fn refused(
        &mut self,
        now: Now,
        generation: Generation,
        shared: &impl SharedData,
    ) -> Refusal {
        self.tell(now, &Input::Unauthorized(generation), shared);
        self.refusal(now, generation)
    }

    /// What becomes of a request whose token of this generation was refused, as of the last
    /// step.
    #[must_use]
    pub fn refusal(&self, now: Now, generation: Generation) -> Refusal {
        match self.slot.state().refusal(generation, now) {
            // A call of any VM is in flight.
            Refusal::Final if self.lease.until > now.mono => Refusal::Refreshing,
            refusal => refusal,
        }
    }

    /// Hands an input to the machine that changes the state without a call, and shares what
    /// came of it.
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

    /// Reads the record. The machine's own state stands while its call is in flight under a
    /// lease that is still its own; in every other case the record's does.
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

    /// Writes the machine's state if its call has ended, which also ends the lease.
    fn publish(&mut self, now: Now, was_calling: bool, shared: &impl SharedData) -> Outcome {
        let outcome = self.drain();
        if self.slot.is_calling() || !was_calling {
            return outcome;
        }
        if self.release(now, shared) {
            outcome
        } else {
            // Somebody took the slot over: what came of our call is void.
            self.sync(shared);
            Outcome::default()
        }
    }

    /// Writes the machine's state and the end of the lease, if the lease is still our own.
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

    /// Whether this is the lease under which our last call was made.
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
