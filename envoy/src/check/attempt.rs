//! Acquires one token for one slot: drives token-core's state machine as the filter does, and sends its
//! calls through the launcher's Envoy.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use entra_token_core::config::SlotSpec;
use entra_token_core::failure::{Failure, NoAnswer};
use entra_token_core::http::{Body, Endpoint, Request, Response};
use entra_token_core::identity::CERTIFICATE_NOT_AFTER;
use entra_token_core::local_reply;
use entra_token_core::slot::{CALL_GRACE, Event, Input, Output, Slot};
use entra_token_core::{Mono, Now, Token, Wall};
use http::header::{HOST, RETRY_AFTER};

use crate::admin::Admin;
use crate::bootstrap::check;
use crate::unix_http;

/// The longest reply, as in the filter.
const MAX_REPLY_BYTES: usize = 64 * 1024;

/// Reads both clocks. The monotonic clock counts from the start of the check.
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

/// An acquired token.
#[derive(Debug)]
pub(super) struct Acquired {
    pub(super) token: Token,
    /// By how much this machine's clock and the endpoint's differ, if they do.
    pub(super) clock_skew: Option<Duration>,
}

/// Why no token could be acquired.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) failure: Failure,
    /// The endpoint of the last call.
    pub(super) endpoint: Endpoint,
    /// The details of Envoy's local reply, if the last response was one.
    pub(super) reason: Option<String>,
}

/// The parameters of all attempts.
pub(super) struct Attempts<'a> {
    /// The socket on which Envoy accepts calls.
    pub(super) socket: PathBuf,
    pub(super) admin: Admin,
    pub(super) clock: Clock,
    /// No further attempt starts after this time.
    pub(super) deadline: Mono,
    /// Whether a retry after this failure may succeed.
    pub(super) should_retry: &'a (dyn Fn(&Failure) -> bool + Sync),
    /// Reports a failure that is retried, with the time until the next attempt.
    pub(super) on_retry: &'a (dyn Fn(&SlotSpec, &Failure, Duration) + Sync),
}

impl Attempts<'_> {
    /// Drives the state machine until it has a token or until a retry is useless.
    pub(super) fn acquire(&self, spec: &SlotSpec) -> Result<Acquired, Box<Failed>> {
        let mut slot = Slot::new(spec.plan.clone(), spec.policy, random());
        let mut clock_skew = None;
        let mut last_call = None;
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
                        let (answer, reason) = self.send(&endpoint, request, timeout);
                        last_call = Some((endpoint, reason));
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
                        if in_time && (self.should_retry)(&failure) {
                            if is_new {
                                (self.on_retry)(spec, &failure, retry_in);
                            }
                            continue;
                        }
                        let (endpoint, reason) =
                            last_call.unwrap_or_else(|| unreachable!("a failure follows a call"));
                        let reason = reason
                            .map(|reason| self.with_tls_statistics(reason, &endpoint.cluster));
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

    /// Adds to Envoy's reason the counters of certificates that were not trusted. If a name has several
    /// addresses, Envoy's reason is only that of the last one, which may be an unreachable IPv6 address.
    fn with_tls_statistics(&self, reason: String, cluster: &str) -> String {
        let filter = format!(r"^cluster\.{cluster}\.ssl\.fail_verify");
        let stats = self.admin.stats(&filter).unwrap_or_default();
        stats
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .fold(reason, |reason, (name, count)| {
                format!("{reason}; {name}: {count}")
            })
    }

    /// Sends one call. Returns its outcome and, if Envoy sent a local reply, that reply's details.
    fn send(
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
        // Envoy enforces the timeout itself.
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
            certificate_not_after: header(CERTIFICATE_NOT_AFTER),
            body: Body(answer.into_body()),
        };
        (Ok(response), reason)
    }
}

/// A random seed. The standard library's hash seeds are random enough for jitter and request ids.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
