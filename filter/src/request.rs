//! One request: its token at once, after a wait, or an answer that makes the client retry; and
//! what the target thought of the token.

use std::rc::Rc;

use entra_token_core::config::{AuthErrorsRetryable, Placement};
use entra_token_core::state::Refusal;
use entra_token_core::status::{IDENTITY_REFUSED, NoToken, Unavailable, json};
use entra_token_core::{Generation, Now};
use proxy_wasm::types::{Action, MapType};

use crate::carriage::Carriage;
use crate::parked::Waiting;
use crate::root::{Active, ActiveTarget, Duty, HURRIED_TICK};
use crate::{host, status, streams};

const AUTHORIZATION: &str = "authorization";

/// Prometheus sends it with every remote-write request, and nobody else does.
const REMOTE_WRITE: &str = "x-prometheus-remote-write-version";

/// Seconds after which a client may send again what a fresh token will heal.
const RETRY_AFTER_REFRESH: &str = "1";

/// Seconds after which a client may send again what only a person can heal.
const RETRY_AFTER_DENIAL: &str = "30";

/// One request's context; in upstream placement one try of it.
pub(crate) struct Request {
    id: u32,
    active: Rc<Active>,
    /// Index of its target, once it has a token or waits for one.
    target: Option<usize>,
    /// Which token it got; 0 for none.
    sent: Generation,
    /// Whether it waits or has waited.
    was_parked: bool,
    /// Whether it is one of Prometheus', where that makes a difference in downstream placement:
    /// when the answer comes, the request's headers cannot be read any more.
    is_remote_write: bool,
}

impl Request {
    pub(crate) fn new(id: u32, active: Rc<Active>) -> Self {
        Self {
            id,
            active,
            target: None,
            sent: Generation::default(),
            was_parked: false,
            is_remote_write: false,
        }
    }

    pub(crate) fn on_request_headers(&mut self) -> Action {
        let active = Rc::clone(&self.active);
        match &active.duty {
            Duty::Authorize => {}
            Duty::Status => return status::answer_for_proxy(&active),
            Duty::Explain(misfit) => return misfit.answer(),
        }
        let Some((index, target)) = addressed(&active) else {
            return Action::Continue;
        };
        match target.clusters.carriage(&target.spec.clusters) {
            Carriage::Token => {}
            Carriage::Untouched => {
                target.metrics.passed.count();
                return Action::Continue;
            }
            Carriage::InClear => {
                target.metrics.unavailable.count();
                return send_unavailable(&Unavailable::without_tls());
            }
        }
        #[cfg(feature = "traps")]
        crate::trap::spring(MapType::HttpRequestHeaders);
        self.target = Some(index);
        match active.plugin.placement {
            Placement::Upstream => match refused_authorization() {
                Some(value) => self.retry(index, &target, &value),
                None => self.send(index, &target),
            },
            Placement::Downstream => {
                self.is_remote_write = target.spec.auth_errors_retryable
                    == AuthErrorsRetryable::RemoteWrite
                    && host::header_bytes(MapType::HttpRequestHeaders, REMOTE_WRITE).is_some();
                self.send(index, &target)
            }
        }
    }

    /// Envoy brings the body while the headers are paused only where the plugin's configuration
    /// has `allow_on_headers_stop_iteration`.
    pub(crate) fn on_request_body(&self) -> Action {
        match self.waits_at() {
            Some(target) if target.keeper.is_parked(self.id) => Action::Pause,
            _ => Action::Continue,
        }
    }

    pub(crate) fn on_response_headers(&mut self) -> Action {
        let Some(target) = self.judged() else {
            return Action::Continue;
        };
        let status = || host::read_header(MapType::HttpResponseHeaders, ":status", str::parse);
        if self.active.plugin.placement == Placement::Upstream {
            // Of a try that Envoy makes again nothing else tells the status.
            if target.keeper.is_unproven(self.sent) && status() == Some(Ok(401)) {
                target.keeper.sees_refused(self.sent);
            }
        } else if let Some(status) = status() {
            match status {
                Ok(status @ (401 | 403)) => self.judge(&target, status),
                Ok(200..=299) if target.keeper.wants_status(self.sent) => {
                    target.keeper.accepted(self.sent);
                }
                _ => {}
            }
        }
        Action::Continue
    }

    pub(crate) fn on_done(&self) {
        if let Some(target) = self.waits_at() {
            target.keeper.unpark(self.id);
        }
        if self.active.plugin.placement == Placement::Upstream
            && let Some(target) = self.judged()
            && target.keeper.wants_status(self.sent)
            && let Some(status) = host::number_property("response\0code")
        {
            match status {
                200..=299 => target.keeper.accepted(self.sent),
                // The next try judges it, too, but there may be none: a long body is sent once.
                401 => {
                    target.keeper.refused_generation(self.sent, host::now());
                }
                403 => target.keeper.denied(status, host::now().mono),
                _ => {}
            }
        }
    }

    /// Sends the token, or waits for it.
    fn send(&mut self, index: usize, target: &ActiveTarget<'_>) -> Action {
        if let Some(action) = self.try_send(target) {
            return action;
        }
        let now = host::now();
        target.keeper.refresh(now);
        self.try_send(target)
            .unwrap_or_else(|| self.park(index, target, Generation::default(), now))
    }

    fn try_send(&mut self, target: &ActiveTarget<'_>) -> Option<Action> {
        let header = target.keeper.header()?;
        if host::replace_request_header(AUTHORIZATION, &header.value).is_err() {
            return Some(refuse(target, NoToken::NotSet, host::now()));
        }
        self.sent = header.generation;
        target.metrics.authorized.count();
        Some(Action::Continue)
    }

    /// A further try of Envoy's after the target refused the token in `value`.
    fn retry(&mut self, index: usize, target: &ActiveTarget<'_>, value: &str) -> Action {
        let now = host::now();
        match target.keeper.refused(value, now) {
            (refused, Refusal::Refreshing) => self.park(index, target, refused, now),
            (_, Refusal::Outdated) => {
                target.metrics.unauthorized_refreshed.count();
                self.send(index, target)
            }
            (refused, Refusal::Final) if target.keeper.has_seen_refused(refused) => {
                target.keeper.denied(401, now.mono);
                refused_for_good()
            }
            // Envoy says of the whole request that a try was answered, not of which: the last one, with
            // a token that is not accepted yet, may have ended without an answer.
            (_, Refusal::Final) => self.send(index, target),
        }
    }

    /// Waits for a token newer than `refused`, if one more may.
    fn park(
        &mut self,
        index: usize,
        target: &ActiveTarget<'_>,
        refused: Generation,
        now: Now,
    ) -> Action {
        if target.keeper.held_count() >= target.spec.hold.max_requests {
            return refuse(target, NoToken::TooManyHeld, now);
        }
        target.keeper.park(Waiting {
            context: self.id,
            active: Rc::clone(&self.active),
            target: index,
            refused,
            deadline: now.mono.after(target.spec.hold.timeout),
        });
        target.metrics.held.count();
        self.was_parked = true;
        // Only for the first: setting the period starts it anew, and a steady stream of requests
        // would put the tick off for ever.
        if target.keeper.held_count() == 1 {
            // Should this fail, the idle tick still releases the request.
            let _ = host::set_tick_period(HURRIED_TICK);
        }
        Action::Pause
    }

    /// The target whose token this request waits for, or has waited for.
    fn waits_at(&self) -> Option<ActiveTarget<'_>> {
        self.active.target(self.target.filter(|_| self.was_parked)?)
    }

    /// The target that has seen this request's token.
    fn judged(&self) -> Option<ActiveTarget<'_>> {
        let target = self.target.filter(|_| self.sent != Generation::default());
        self.active.target(target?)
    }

    /// Turns a 401 or 403 into 503 where the client should come back.
    fn judge(&self, target: &ActiveTarget<'_>, status: u64) {
        let refusal = match status {
            401 => target.keeper.refused_generation(self.sent, host::now()),
            _ => Refusal::Final,
        };
        let healing = refusal != Refusal::Final;
        let retryable = target.spec.auth_errors_retryable;
        let retryable = healing || retryable.applies_to(self.is_remote_write);
        if healing {
            target.metrics.unauthorized_refreshed.count();
        } else {
            target.keeper.denied(status, host::now().mono);
        }
        if retryable {
            let wait = if healing {
                RETRY_AFTER_REFRESH
            } else {
                RETRY_AFTER_DENIAL
            };
            // Should one fail, the client sees the target's own answer.
            let _ = host::replace_response_header(":status", "503")
                .and_then(|()| host::replace_response_header("retry-after", wait));
        }
    }
}

/// The target that a request is for.
fn addressed(active: &Active) -> Option<(usize, ActiveTarget<'_>)> {
    let index = match active.plugin.hosts.of_every_request() {
        Some(index) => index,
        None => active.find(&host::header_bytes(
            MapType::HttpRequestHeaders,
            ":authority",
        )?)?,
    };
    Some((index, active.target(index)?))
}

/// What a try was sent with that the target has refused; nothing of a first try, because the route
/// removes the client's.
fn refused_authorization() -> Option<String> {
    host::header(MapType::HttpRequestHeaders, AUTHORIZATION).filter(|_| was_answered())
}

/// Lets the effective context's parked request go on with the token, or answers it.
pub(crate) fn release(waiting: &Waiting, now: Now) {
    let Some(target) = waiting.active.target(waiting.target) else {
        return;
    };
    let Some(header) = target.keeper.header() else {
        refuse(&target, NoToken::HeldTooLong, now);
        return;
    };
    // The token that the target refused is no answer while a newer one may still come.
    if header.generation == waiting.refused
        && target.keeper.member().refusal(now, waiting.refused) == Refusal::Refreshing
    {
        refuse(&target, NoToken::HeldTooLong, now);
        return;
    }
    if header.generation == waiting.refused && target.keeper.has_seen_refused(waiting.refused) {
        target.keeper.denied(401, now.mono);
        refused_for_good();
        return;
    }
    if host::replace_request_header(AUTHORIZATION, &header.value).is_err() {
        refuse(&target, NoToken::NotSet, now);
        return;
    }
    streams::with(waiting.context, |request| request.sent = header.generation);
    target.metrics.authorized.count();
    if waiting.refused != Generation::default() && header.generation > waiting.refused {
        target.metrics.unauthorized_refreshed.count();
    }
    drop(header);
    // A stream that ended meanwhile needs nothing more.
    let _ = host::resume_request();
}

/// Whether the target has answered an earlier try, which Envoy retries only on 401; a retry
/// after a failed connection says nothing of the token.
fn was_answered() -> bool {
    host::property("response\0code_details").is_some_and(|details| *details == *b"via_upstream")
}

/// The target's 401 once more, in place of a further try: the target has refused this token, and
/// there is no newer one. The request does not go there twice with one and the same token.
#[cold]
fn refused_for_good() -> Action {
    let headers = [
        ("content-type", "application/json"),
        // RFC 9110 §15.5.2 wants one, RFC 6750 §3.1 has the word.
        ("www-authenticate", "Bearer error=\"invalid_token\""),
    ];
    // Should this fail, the request stays paused and Envoy's own time-outs end it.
    let _ = host::respond(
        401,
        host::REFUSED_TOKEN,
        &headers,
        IDENTITY_REFUSED.as_bytes(),
    );
    Action::Pause
}

/// 503 with `Retry-After`: Prometheus keeps its samples and comes back.
#[cold]
fn refuse(target: &ActiveTarget<'_>, why: NoToken, now: Now) -> Action {
    target.metrics.unavailable.count();
    let member = target.keeper.member();
    let answer = Unavailable::new(why, member.slot().state(), now);
    send_unavailable(&answer)
}

/// The same, for whatever reason the answer gives.
pub(crate) fn send_unavailable(answer: &Unavailable) -> Action {
    let retry_after = answer.retry_after.to_string();
    let headers = [
        ("content-type", "application/json"),
        ("retry-after", retry_after.as_str()),
    ];
    // Should this fail, the request stays paused and Envoy's own time-outs end it.
    let _ = host::respond(503, host::NO_TOKEN, &headers, &json(answer));
    Action::Pause
}
