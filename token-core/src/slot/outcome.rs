//! How the outcome of a call changes the state.

use super::call::InFlight;
use super::{Event, Output, Slot};
use crate::failure::{Failure, NoAnswer, Step};
use crate::http::Response;
use crate::reply::{self, Expiry, Reply, ReplyError};
use crate::schedule;
use crate::state::State;
use crate::time::millis;
use crate::{Now, Token};

impl Slot {
    /// Handles a call that ended without a response.
    pub(super) fn unanswered(&mut self, now: Now, call: &InFlight, why: NoAnswer) {
        let is_local = call.step == Step::Credential && self.plan.has_local_credential();
        let failure = Failure::no_answer(why, &call.endpoint, is_local);
        self.failed(now, call, failure);
    }

    /// Handles the response to a call.
    pub(super) fn answered(&mut self, now: Now, call: &InFlight, response: &Response) {
        match call.step {
            Step::Credential => match self.plan.credential(response, now) {
                Ok(credential) => {
                    self.state.certificate = self.plan.signing_certificate(response, now);
                    self.request_token(now, Some(&credential));
                }
                Err(failure) => self.failed(now, call, failure),
            },
            Step::Token => self.token_response(now, call, response),
        }
    }

    fn token_response(&mut self, now: Now, call: &InFlight, response: &Response) {
        if response.status != 200 {
            let sent = call.credential.as_ref();
            return self.failed(now, call, Failure::from_response(response, now, sent));
        }
        let parsed =
            reply::parse(&response.body.0).and_then(|reply| Ok((reply.expiry(call.sent)?, reply)));
        match parsed.map(|(expiry, reply)| (self.not_prolonged(expiry, &reply), reply)) {
            Ok((expiry, _)) if expiry.mono <= now.mono => {
                self.failed(
                    now,
                    call,
                    Failure::malformed_reply(&ReplyError::OverOnArrival),
                );
            }
            Ok((expiry, reply)) => self.acquired(now, &expiry, reply),
            Err(error) => self.failed(now, call, Failure::malformed_reply(&error)),
        }
    }

    /// The expiry of a reply's token. If the slot already has this token, its expiry never moves to
    /// a later time: a cache that repeats an old reply must not prolong the token.
    fn not_prolonged(&self, expiry: Expiry, reply: &Reply) -> Expiry {
        match &self.state.token {
            Some(held) if held.secret == reply.secret && held.expires_mono < expiry.mono => {
                Expiry {
                    mono: held.expires_mono,
                    wall: expiry.wall.before(expiry.mono.since(held.expires_mono)),
                    ..expiry
                }
            }
            _ => expiry,
        }
    }

    fn acquired(&mut self, now: Now, expiry: &Expiry, reply: Reply) {
        if let Some(skew) = expiry.clock_skew {
            self.report(Event::ClockSkew(skew));
        }
        if expiry.lifetime_ignored {
            self.report(Event::LifetimeIgnored);
        }
        let percent = self.policy.refresh_before_expiry_percent;
        let held = self.state.token.take();
        let repeated = held
            .as_ref()
            .is_some_and(|held| held.secret == reply.secret);
        let (token, wait) = match held {
            // IMDS caches tokens: the same token is not a new generation.
            Some(held) if repeated => {
                let token = Token {
                    expires_mono: expiry.mono,
                    expires_wall: expiry.wall,
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
                    expires_mono: expiry.mono,
                    expires_wall: expiry.wall,
                    lifetime_ms: millis(expiry.lifetime),
                };
                self.report(Event::Acquired {
                    generation: token.generation,
                    lifetime: expiry.lifetime,
                    after_failures: self.state.failures,
                });
                let refresh_in = reply.refresh_in;
                let wait =
                    schedule::refresh_after(expiry.lifetime, refresh_in, percent, &mut self.rng);
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
            certificate: self.state.certificate,
        };
    }

    fn failed(&mut self, now: Now, call: &InFlight, failure: Failure) {
        let mut failure = failure.with_call(call.step, call.endpoint.forward_proxy.as_deref());
        if let Some(id) = &call.client_request_id {
            failure.trace = Box::new(failure.trace.or_sent(id, now.wall));
        }
        failure.had_valid_token = self.token(now).is_some();
        self.state.failures = self.state.failures.saturating_add(1);
        self.state.failing_since.get_or_insert(now.wall);
        let retry_in = if failure.permanent {
            schedule::permanent_backoff(&mut self.rng)
        } else {
            schedule::backoff(self.state.failures, failure.retry_after, &mut self.rng)
        };
        self.state.next_attempt = now.mono.after(retry_in);
        let last = self.state.last_failure.replace(failure.clone());
        let is_new = last.is_none_or(|last| !failure.repeats(&last));
        self.report(Event::Failed {
            failure,
            attempt: self.state.failures,
            retry_in,
            is_new,
        });
    }

    fn report(&mut self, event: Event) {
        self.outputs.push_back(Output::Report(event));
    }
}
