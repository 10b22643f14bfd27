//! The lifecycle of one token as a sans-I/O state machine.
//!
//! A [`Slot`] has no clock, network or storage. The caller passes an [`Input`] and the current time
//! to [`Slot::handle`], takes all [`Output`]s by [`Slot::poll_output`], and calls again at
//! [`Slot::next_wakeup`], which is always later than the last input.
//!
//! Invariants: at most one call is in flight; a late response, or the response to another call,
//! changes nothing; a failed refresh does not remove a valid token; an expired token is never
//! returned.

mod call;
mod io;
mod outcome;

use std::collections::VecDeque;

use fastrand::Rng;

pub use io::{CALL_GRACE, CallId, Event, Input, Output, Policy};

use crate::failure::NoAnswer;
use crate::identity::Plan;
use crate::schedule;
use crate::state::State;
use crate::{Mono, Now, Token};
use call::InFlight;

/// The state machine of one token.
#[derive(Debug)]
pub struct Slot {
    plan: Plan,
    policy: Policy,
    state: State,
    in_flight: Option<InFlight>,
    /// When this configuration came into use in this VM.
    started: Option<Mono>,
    next_call: u64,
    rng: Rng,
    outputs: VecDeque<Output>,
}

impl Slot {
    /// A slot without a token, which is due at once. The jitter of all waits comes from `seed`.
    #[must_use]
    pub fn new(plan: Plan, policy: Policy, seed: u64) -> Self {
        Self {
            plan,
            policy,
            state: State::default(),
            in_flight: None,
            started: None,
            next_call: 0,
            rng: Rng::with_seed(seed),
            outputs: VecDeque::new(),
        }
    }

    /// Sets the time at which this configuration came into use, unless it is set already, and
    /// returns it. The first input sets it, too.
    pub(crate) fn start_at(&mut self, at: Mono) -> Mono {
        *self.started.get_or_insert(at)
    }

    /// Handles one event.
    pub fn handle(&mut self, now: Now, input: Input) {
        let started = self.start_at(now.mono);
        match input {
            Input::Tick => self.tick(now),
            Input::HttpResponse(id, response) => {
                if let Some(call) = self.finish(id, now) {
                    self.answered(now, &call, &response);
                }
            }
            Input::CallFailed(id, why) => {
                if let Some(call) = self.finish(id, now) {
                    // After a failure that counts there is no grace: all VMs share one back-off.
                    let may_be_startup = self.state.failures == 0;
                    if may_be_startup && now.mono.since(started) < schedule::startup_grace(&why) {
                        self.state.next_attempt = now.mono.after(schedule::STARTUP_RETRY);
                    } else {
                        self.unanswered(now, &call, why);
                    }
                }
            }
            Input::Accepted(generation) => self.state.accept(generation),
            // The call in flight may bring a new token.
            Input::Unauthorized(_) if self.is_calling() => {}
            Input::Unauthorized(generation) => self.state.refuse(generation, now),
        }
    }

    /// The next action; `None` if there is none.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When the next [`Input::Tick`] is needed, unless [`Slot::is_due`] is true earlier.
    #[must_use]
    pub fn next_wakeup(&self) -> Mono {
        self.in_flight
            .as_ref()
            .map_or(self.state.next_attempt, |call| call.deadline)
    }

    /// Whether an [`Input::Tick`] at `now` would start a call or give one up.
    ///
    /// A jump of the wall clock can end a token early, which [`Slot::next_wakeup`] cannot foresee.
    /// Then the slot is due at once.
    #[must_use]
    pub fn is_due(&self, now: Now) -> bool {
        let clock_jumped = || {
            let token = self.state.token.as_ref();
            self.state.failures == 0
                && token.is_some_and(|token| token.is_over_by_wall_clock_only(now))
        };
        now.mono >= self.next_wakeup() || (!self.is_calling() && clock_jumped())
    }

    /// The token, if it may be sent at `now`.
    #[must_use]
    pub fn token(&self, now: Now) -> Option<&Token> {
        self.state
            .token
            .as_ref()
            .filter(|token| token.is_valid(now))
    }

    /// The state that the VMs of the process share.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Adopts the state that another VM published. A call in flight here is dropped, because the
    /// publisher owns the slot.
    pub fn observe(&mut self, state: State) {
        self.in_flight = None;
        self.outputs.clear();
        self.state = state;
    }

    /// Applies a new configuration of the same slot. A call in flight is dropped. The token is kept:
    /// a plan that yields another token belongs to another slot.
    pub fn reconfigure(&mut self, plan: Plan, policy: Policy, now: Now) {
        if let Some(call) = &self.in_flight {
            self.abandon(call.id, now);
        }
        self.outputs.clear();
        self.started = None;
        self.plan = plan;
        self.policy = policy;
    }

    /// Drops the call in flight if it has this id, because its caller is gone. This does not count
    /// as a failure, and the next call is due at once. Returns whether the call was dropped.
    pub fn abandon(&mut self, id: CallId, now: Now) -> bool {
        let dropped = self.in_flight.take_if(|call| call.id == id).is_some();
        if dropped {
            self.state.next_attempt = Mono(now.mono.0.saturating_add(1));
        }
        dropped
    }

    /// How the slot acquires its token.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Whether this is the configuration in use.
    #[must_use]
    pub fn is_configured_as(&self, plan: &Plan, policy: Policy) -> bool {
        self.plan == *plan && self.policy == policy
    }

    /// Whether a call of this VM is in flight.
    #[must_use]
    pub fn is_calling(&self) -> bool {
        self.in_flight.is_some()
    }

    fn tick(&mut self, now: Now) {
        if !self.is_due(now) {
            return;
        }
        match self.in_flight.take() {
            Some(call) => self.unanswered(now, &call, NoAnswer::TimedOut),
            None => self.begin(now),
        }
    }
}
