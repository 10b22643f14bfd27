//! The life of one token as a sans-I/O state machine.
//!
//! A [`Slot`] knows no clock, network or storage. Inputs come with the time; outputs are taken
//! by [`Slot::poll_output`] until there are none, and then [`Slot::next_wakeup`] says when to
//! come back: always later than the time of the last input.
//!
//! What it must never do: have two calls in flight, let a late or foreign answer change
//! anything, withdraw a valid token because a refresh failed, or return an expired one.

use core::time::Duration;
use std::collections::VecDeque;

use fastrand::Rng;
use uuid::Builder;

use crate::failure::{Failure, NoAnswer, Step};
use crate::http::{Endpoint, Request, Response};
use crate::identity::Plan;
use crate::reply::{self, Ends, Reply, ReplyError};
use crate::schedule;
use crate::state::State;
use crate::time::millis;
use crate::{Generation, Mono, Now, Secret, Token};

/// What is done with a token once there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The share of a token's life before its end at which the next one is asked for; 1–99.
    pub refresh_before_expiry_percent: u8,
    /// How long a call may take.
    pub call_timeout: Duration,
}

/// How long after the call's own time-out the machine still waits for whoever carries it out.
pub const CALL_GRACE: Duration = Duration::from_secs(1);

/// Names one call; an answer to any other is ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallId(pub u64);

/// What the outside tells the machine.
#[derive(Clone, Debug)]
pub enum Input {
    /// Time has passed.
    Tick,
    /// The endpoint answered.
    HttpResponse(CallId, Response),
    /// There will be no answer.
    CallFailed(CallId, NoAnswer),
    /// The target accepted the token of this generation.
    Accepted(Generation),
    /// The target refused the token of this generation.
    Unauthorized(Generation),
}

/// What the machine wants done.
#[derive(Clone, Debug)]
pub enum Output {
    /// Send this request; bring the answer back under the same id.
    Call {
        /// To be given back with the answer.
        id: CallId,
        /// Where to.
        endpoint: Endpoint,
        /// What to send.
        request: Request,
        /// How long to wait.
        timeout: Duration,
    },
    /// The slot has this token now. Boxed: a token is large and rare.
    Publish(Box<Token>),
    /// Tell people.
    Report(Event),
}

/// What people are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A new generation was obtained.
    Acquired {
        /// Of the new token.
        generation: Generation,
        /// Life left when it was asked for.
        lifetime: Duration,
        /// How many attempts had failed before.
        after_failures: u32,
    },
    /// The endpoint returned the token that is already held.
    Unchanged {
        /// How many attempts had failed before.
        after_failures: u32,
    },
    /// This machine's wall clock and the endpoint disagree by so much.
    ClockOff(Duration),
    /// The endpoint gave a lifetime that cannot be, zero or less, beside an end that can.
    LifetimeIgnored,
    /// An attempt failed.
    Failed {
        /// Why.
        failure: Failure,
        /// Failures in a row, this one included.
        attempt: u32,
        /// When the next attempt comes.
        retry_in: Duration,
        /// Whether there is news: the attempt before, of whichever VM, failed in another way or
        /// not at all, or the token that was in hand then has ended.
        is_news: bool,
    },
}

#[derive(Debug)]
struct InFlight {
    id: CallId,
    sent: Now,
    deadline: Mono,
    wants: Step,
    client_request_id: Option<String>,
    endpoint: Endpoint,
    /// What the token is asked for with, so that no message shows it.
    credential: Option<Secret>,
}

/// The machine for one token.
#[derive(Debug)]
pub struct Slot {
    plan: Plan,
    policy: Policy,
    state: State,
    in_flight: Option<InFlight>,
    /// When this configuration came into use here.
    began: Option<Mono>,
    next_call: u64,
    rng: Rng,
    outputs: VecDeque<Output>,
}

impl Slot {
    /// A slot without a token, due at once. The seed spreads waits over a fleet.
    #[must_use]
    pub fn new(plan: Plan, policy: Policy, seed: u64) -> Self {
        Self {
            plan,
            policy,
            state: State::default(),
            in_flight: None,
            began: None,
            next_call: 0,
            rng: Rng::with_seed(seed),
            outputs: VecDeque::new(),
        }
    }

    /// Says when this configuration came into use here, unless that has been said; the first input
    /// says it, too.
    pub(crate) fn begin_at(&mut self, at: Mono) -> Mono {
        *self.began.get_or_insert(at)
    }

    /// Takes in one event.
    pub fn handle(&mut self, now: Now, input: Input) {
        let began = self.begin_at(now.mono);
        match input {
            Input::Tick => self.tick(now),
            Input::HttpResponse(id, response) => {
                if let Some(call) = self.finish(id, now) {
                    self.answered(now, &call, &response);
                }
            }
            Input::CallFailed(id, why) => {
                if let Some(call) = self.finish(id, now) {
                    // Once it has failed, all VMs go by one back-off.
                    let is_new = self.state.failures == 0;
                    if is_new && now.mono.since(began) < schedule::grace(&why) {
                        self.state.next_attempt = now.mono.after(schedule::NEXT_LOOK);
                    } else {
                        self.unanswered(now, &call, why);
                    }
                }
            }
            Input::Accepted(generation) => {
                self.state.accept(generation);
            }
            // The answer that is on its way may heal it.
            Input::Unauthorized(_) if self.is_calling() => {}
            Input::Unauthorized(generation) => self.state.refuse(generation, now),
        }
    }

    /// The next thing to do; `None` when all is done.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When a [`Input::Tick`] is wanted next, unless [`Slot::is_due`] says earlier that it is.
    #[must_use]
    pub fn next_wakeup(&self) -> Mono {
        self.in_flight
            .as_ref()
            .map_or(self.state.next_attempt, |call| call.deadline)
    }

    /// Whether a [`Input::Tick`] at `now` would make a call or give one up. A token that the
    /// wall clock ended before its time is asked for again at once: no timer foresees that.
    #[must_use]
    pub fn is_due(&self, now: Now) -> bool {
        let stranded = || {
            let token = self.state.token.as_ref();
            self.state.failures == 0 && token.is_some_and(|token| token.is_stranded(now))
        };
        now.mono >= self.next_wakeup() || (!self.is_calling() && stranded())
    }

    /// The token, if it may be sent at `now`.
    #[must_use]
    pub fn token(&self, now: Now) -> Option<&Token> {
        self.state
            .token
            .as_ref()
            .filter(|token| token.is_valid(now))
    }

    /// What the other VMs of the process should know.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Takes over what another VM published. A call in flight here is dropped: whoever
    /// published owns the slot.
    pub fn observe(&mut self, state: State) {
        self.in_flight = None;
        self.outputs.clear();
        self.state = state;
    }

    /// Takes a new configuration; a call in flight is dropped, and a token is kept (the plan
    /// that made it differs only in what does not change the token, or it would be another
    /// slot).
    pub fn reconfigure(&mut self, plan: Plan, policy: Policy, now: Now) {
        if let Some(call) = &self.in_flight {
            self.abandon(call.id, now);
        }
        self.outputs.clear();
        self.began = None;
        self.plan = plan;
        self.policy = policy;
    }

    /// Drops the call in flight if it is this one: whoever carries it out is gone. That is no
    /// failure of the endpoint's, and the next call is due at once. Says whether it was this one.
    pub fn abandon(&mut self, id: CallId, now: Now) -> bool {
        let dropped = self.in_flight.take_if(|call| call.id == id).is_some();
        if dropped {
            self.state.next_attempt = Mono(now.mono.0.saturating_add(1));
        }
        dropped
    }

    /// How the token is got.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Whether a configuration is the one in force.
    #[must_use]
    pub fn is_configured_as(&self, plan: &Plan, policy: Policy) -> bool {
        self.plan == *plan && self.policy == policy
    }

    /// Whether a call is in flight here.
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

    fn begin(&mut self, now: Now) {
        let first = self.plan.credential_call();
        match first.map(|(endpoint, request)| (endpoint.clone(), request)) {
            Some(first) => self.call(now, Step::Credential, first),
            None => self.ask_for_token(now, None),
        }
    }

    fn ask_for_token(&mut self, now: Now, credential: Option<&Secret>) {
        let trace = Builder::from_random_bytes(self.rng.u128(..).to_be_bytes()).into_uuid();
        let (endpoint, request) = self.plan.token_call(credential, trace.to_string());
        let call = (endpoint.clone(), request);
        self.call(now, Step::Token, call);
        if let Some(call) = &mut self.in_flight {
            call.credential = credential.cloned();
        }
    }

    fn call(&mut self, now: Now, wants: Step, (endpoint, request): (Endpoint, Request)) {
        let id = CallId(self.next_call);
        self.next_call = self.next_call.wrapping_add(1);
        let timeout = self.policy.call_timeout;
        self.in_flight = Some(InFlight {
            id,
            sent: now,
            deadline: now.mono.after(timeout + CALL_GRACE),
            wants,
            client_request_id: request.client_request_id().map(str::to_owned),
            endpoint: endpoint.clone(),
            credential: None,
        });
        self.outputs.push_back(Output::Call {
            id,
            endpoint,
            request,
            timeout,
        });
    }

    /// Ends the call in flight if it is this one and not overdue.
    fn finish(&mut self, id: CallId, now: Now) -> Option<InFlight> {
        self.in_flight
            .take_if(|call| call.id == id && now.mono < call.deadline)
    }

    fn unanswered(&mut self, now: Now, call: &InFlight, why: NoAnswer) {
        let is_place = call.wants == Step::Credential && self.plan.has_local_credential();
        let failure = Failure::no_answer(why, &call.endpoint, is_place);
        self.failed(now, call, failure);
    }

    fn answered(&mut self, now: Now, call: &InFlight, response: &Response) {
        match call.wants {
            Step::Credential => match self.plan.credential(response, now) {
                Ok(credential) => self.ask_for_token(now, Some(&credential)),
                Err(failure) => self.failed(now, call, failure),
            },
            Step::Token => self.token_came(now, call, response),
        }
    }

    fn token_came(&mut self, now: Now, call: &InFlight, response: &Response) {
        if response.status != 200 {
            let sent = call.credential.as_ref();
            return self.failed(now, call, Failure::refused(response, now, sent));
        }
        let parsed =
            reply::parse(&response.body.0).and_then(|reply| Ok((reply.ends(call.sent)?, reply)));
        match parsed.map(|(ends, reply)| (self.not_prolonged(ends, &reply), reply)) {
            Ok((ends, _)) if ends.mono <= now.mono => {
                self.failed(now, call, Failure::malformed(&ReplyError::OverOnArrival));
            }
            Ok((ends, reply)) => self.acquired(now, &ends, reply),
            Err(error) => self.failed(now, call, Failure::malformed(&error)),
        }
    }

    /// The ends of a reply's token; of the one that is held already never later than they were:
    /// a cache that repeats its first reply must not prolong it.
    fn not_prolonged(&self, ends: Ends, reply: &Reply) -> Ends {
        match &self.state.token {
            Some(held) if held.secret == reply.secret && held.expires_mono < ends.mono => Ends {
                mono: held.expires_mono,
                wall: ends.wall.before(ends.mono.since(held.expires_mono)),
                ..ends
            },
            _ => ends,
        }
    }

    fn acquired(&mut self, now: Now, ends: &Ends, reply: Reply) {
        if let Some(off_by) = ends.clock_off_by {
            self.report(Event::ClockOff(off_by));
        }
        if ends.lifetime_ignored {
            self.report(Event::LifetimeIgnored);
        }
        let percent = self.policy.refresh_before_expiry_percent;
        let held = self.state.token.take();
        let repeated = held
            .as_ref()
            .is_some_and(|held| held.secret == reply.secret);
        let (token, wait) = match held {
            // IMDS caches: the same bytes are no newer generation, and are asked about again.
            Some(held) if repeated => {
                let token = Token {
                    expires_mono: ends.mono,
                    expires_wall: ends.wall,
                    ..held
                };
                self.report(Event::Unchanged {
                    after_failures: self.state.failures,
                });
                let wait = schedule::recheck_after(&token, now, percent, &mut self.rng);
                (token, wait)
            }
            held => {
                let token = Token {
                    generation: held.map(|held| held.generation).unwrap_or_default().next(),
                    secret: reply.secret,
                    expires_mono: ends.mono,
                    expires_wall: ends.wall,
                    lifetime_ms: millis(ends.lifetime),
                };
                self.report(Event::Acquired {
                    generation: token.generation,
                    lifetime: ends.lifetime,
                    after_failures: self.state.failures,
                });
                let refresh_in = reply.refresh_in;
                let wait =
                    schedule::refresh_after(ends.lifetime, refresh_in, percent, &mut self.rng);
                (token, wait)
            }
        };
        self.outputs
            .push_back(Output::Publish(Box::new(token.clone())));
        self.state = State {
            token: Some(token),
            next_attempt: now.mono.after(wait),
            failures: 0,
            failing_since: None,
            last_failure: None,
            accepted: repeated && self.state.accepted,
            repeated,
            forced_at: self.state.forced_at,
        };
    }

    fn failed(&mut self, now: Now, call: &InFlight, failure: Failure) {
        let mut failure = failure.of_call(call.wants, call.endpoint.forward_proxy.as_deref());
        if let Some(id) = &call.client_request_id {
            failure.trace = Box::new(failure.trace.or_sent(id, now.wall));
        }
        failure.renewal = self.token(now).is_some();
        self.state.failures = self.state.failures.saturating_add(1);
        self.state.failing_since.get_or_insert(now.wall);
        let retry_in = if failure.permanent {
            schedule::permanent_backoff(&mut self.rng)
        } else {
            schedule::backoff(self.state.failures, failure.retry_after, &mut self.rng)
        };
        self.state.next_attempt = now.mono.after(retry_in);
        let last = self.state.last_failure.replace(failure.clone());
        let is_news = last.is_none_or(|last| !failure.is_told_by(&last));
        self.report(Event::Failed {
            failure,
            attempt: self.state.failures,
            retry_in,
            is_news,
        });
    }

    fn report(&mut self, event: Event) {
        self.outputs.push_back(Output::Report(event));
    }
}
