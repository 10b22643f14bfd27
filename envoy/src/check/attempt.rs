//! One token for one slot: token-core's own machine, driven as the filter drives it, with the
//! launcher's Envoy to carry out its calls.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use entra_token_core::config::SlotSpec;
use entra_token_core::failure::{Failure, NoAnswer};
use entra_token_core::http::{Body, Endpoint, Request, Response};
use entra_token_core::local_reply;
use entra_token_core::slot::{CALL_GRACE, Event, Input, Output, Slot};
use entra_token_core::{Mono, Now, Token, Wall};
use http::header::{HOST, RETRY_AFTER};

use crate::admin::Admin;
use crate::bootstrap::check;
use crate::unix_http;

/// The filter reads no longer reply.
const MAX_REPLY_BYTES: usize = 64 * 1024;

/// Both clocks, as the machine wants them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    start: Instant,
}

impl Clock {
    pub(super) fn start() -> Self {
        Self {
            start: Instant::now(),
        }
    }

    pub(super) fn now(self) -> Now {
        let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        let wall = SystemTime::now().duration_since(UNIX_EPOCH);
        Now {
            mono: Mono(millis(self.start.elapsed())),
            wall: Wall(millis(wall.unwrap_or_default())),
        }
    }
}

/// A token that came.
#[derive(Debug)]
pub(super) struct Acquired {
    pub(super) token: Token,
    /// By how much this machine's clock and the endpoint's differ, when they do.
    pub(super) clock_skew: Option<Duration>,
}

/// Why none came.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) failure: Failure,
    /// Who was asked last.
    pub(super) endpoint: Endpoint,
    /// What Envoy says where it answered itself.
    pub(super) reason: Option<String>,
}

/// How to get tokens: where Envoy listens, until when, and when not to try again.
pub(super) struct Attempts<'a> {
    pub(super) socket: PathBuf,
    pub(super) admin: Admin,
    pub(super) clock: Clock,
    pub(super) deadline: Mono,
    /// Whether another attempt may bring another answer.
    pub(super) may_pass: &'a (dyn Fn(&Failure) -> bool + Sync),
    /// Tells of a failure that is not the last, with the wait until the next attempt.
    pub(super) tell: &'a (dyn Fn(&SlotSpec, &Failure, Duration) + Sync),
}

impl Attempts<'_> {
    /// Lets the machine go on until its first token, or until waiting is of no use.
    pub(super) fn get(&self, spec: &SlotSpec) -> Result<Acquired, Box<Failed>> {
        let mut slot = Slot::new(spec.plan.clone(), spec.policy, random());
        let mut clock_skew = None;
        let mut asked = None;
        loop {
            slot.handle(self.clock.now(), Input::Tick);
            while let Some(output) = slot.poll_output() {
                match output {
                    Output::Call {
                        id,
                        endpoint,
                        request,
                        timeout,
                    } => {
                        let (answer, reason) = self.carry_out(&endpoint, request, timeout);
                        asked = Some((endpoint, reason));
                        let input = match answer {
                            Ok(response) => Input::HttpResponse(id, response),
                            Err(why) => Input::CallFailed(id, why),
                        };
                        slot.handle(self.clock.now(), input);
                    }
                    Output::Publish(token) => {
                        let token = *token;
                        return Ok(Acquired { token, clock_skew });
                    }
                    Output::Report(Event::ClockSkew(by)) => clock_skew = Some(by),
                    Output::Report(
                        Event::Acquired { .. } | Event::Unchanged { .. } | Event::LifetimeIgnored,
                    ) => {}
                    Output::Report(Event::Failed {
                        failure,
                        retry_in,
                        is_new,
                        ..
                    }) => {
                        let in_time = self.clock.now().mono.after(retry_in) < self.deadline;
                        if in_time && (self.may_pass)(&failure) {
                            if is_new {
                                (self.tell)(spec, &failure, retry_in);
                            }
                            continue;
                        }
                        let (endpoint, reason) = asked.unwrap_or_else(|| {
                            unreachable!("the machine reports a failure of a call that it made")
                        });
                        let reason = reason.map(|reason| self.with_tls(reason, &endpoint.cluster));
                        return Err(Box::new(Failed {
                            failure,
                            endpoint,
                            reason,
                        }));
                    }
                }
            }
            thread::sleep(slot.next_wakeup().since(self.clock.now().mono));
        }
    }

    /// Envoy's reason with the certificates that it did not trust. Where a name has several
    /// addresses, its reason is that of the last one alone, which may be of a family that nobody
    /// can reach from here.
    fn with_tls(&self, reason: String, cluster: &str) -> String {
        let filter = format!(r"^cluster\.{cluster}\.ssl\.fail_verify");
        let stats = self.admin.stats(&filter).unwrap_or_default();
        stats
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .fold(reason, |reason, (name, count)| {
                format!("{reason}; {name}: {count}")
            })
    }

    /// The answer to one call, and what Envoy says where the answer is its own.
    fn carry_out(
        &self,
        endpoint: &Endpoint,
        request: Request,
        timeout: Duration,
    ) -> (Result<Response, NoAnswer>, Option<String>) {
        let mut message = http::Request::builder()
            .method(request.method)
            .uri(request.path)
            .header(HOST, &endpoint.authority)
            .header(check::CLUSTER, &endpoint.cluster);
        for (name, value) in request.headers {
            message = message.header(name, value);
        }
        // Envoy ends the call itself at its time-out.
        let within = timeout + CALL_GRACE;
        let answer = message
            .body(request.body.0)
            .map_err(io::Error::other)
            .and_then(|message| unix_http::send(&self.socket, message, within, MAX_REPLY_BYTES));
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                return (Err(NoAnswer::TimedOut), None);
            }
            Err(_) => return (Err(NoAnswer::Broken), None),
        };
        let header = |name: &str| {
            let value = answer.headers().get(name)?;
            value.to_str().ok().map(str::to_owned)
        };
        let reason = header(check::REASON);
        if reason.is_some() {
            let why = local_reply::classify(answer.status().as_u16(), answer.body());
            return (Err(why), reason);
        }
        let response = Response {
            status: answer.status().as_u16(),
            retry_after: header(RETRY_AFTER.as_str()),
            body: Body(answer.into_body()),
        };
        (Ok(response), reason)
    }
}

/// The standard library's hash seeds are as random as a jitter and the id of a request need.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
