//! One request. It gets its token at once or after a wait, or the client gets a response that makes it
//! retry. The target's response tells whether the token was accepted.

use std::rc::Rc;

use entra_token_core::config::{AuthErrorsRetryable, Placement};
use entra_token_core::state::Refusal;
use entra_token_core::status::{NoToken, Unavailable};
use entra_token_core::target_responses::Refused;
use entra_token_core::{Generation, Now};
use proxy_wasm::types::{Action, MapType};

use crate::active::{Active, ActiveTarget, Mode};
use crate::clusters::Permission;
use crate::exports::{Export, Exports};
use crate::local_slot::HURRIED_TICK;
use crate::parked::Waiting;
use crate::responses::{send_identity_refused, send_unavailable};
use crate::{host, status};

const AUTHORIZATION: &str = "authorization";

/// Prometheus sends this header with every remote-write request, and no other client does.
const REMOTE_WRITE: &str = "x-prometheus-remote-write-version";

/// `Retry-After`, in seconds, when a fresh token will help.
const RETRY_AFTER_REFRESH: &str = "1";

/// `Retry-After`, in seconds, when a person must act.
const RETRY_AFTER_DENIAL: &str = "30";

/// The context of one request; in upstream placement, of one try of it.
pub(crate) struct Request {
    id: u32,
    active: Rc<Active>,
    /// The index of its target, as soon as it has a token or waits for one.
    target: Option<usize>,
    /// The generation of the token that it carries; 0 for none.
    sent: Generation,
    /// Whether it waits or has waited.
    was_parked: bool,
    /// Whether the target has answered this try with 401; in upstream placement.
    was_refused: bool,
    /// Whether Prometheus sent it. This is read from the request's headers in downstream placement, if the
    /// configuration depends on it: the headers cannot be read any more when the response comes.
    is_remote_write: bool,
    /// What it exports, until the outcome is known.
    export: Option<Export>,
}

impl Request {
    pub(crate) fn new(id: u32, active: Rc<Active>) -> Self {
        Self {
            id,
            active,
            target: None,
            sent: Generation::default(),
            was_parked: false,
            was_refused: false,
            is_remote_write: false,
            export: None,
        }
    }

    pub(crate) fn on_request_headers(&mut self) -> Action {
        let active = Rc::clone(&self.active);
        match &active.mode {
            Mode::Authorize => {}
            Mode::Status(_) => return status::answer_for_proxy(&active),
            Mode::Exports(_) => {
                self.export = Export::of_request(&active.plugin);
                return Action::Continue;
            }
            Mode::Explain(invalid) => return invalid.answer(),
        }
        let Some((index, target)) = addressed(&active) else {
            return Action::Continue;
        };
        match target.clusters.permission(&target.spec.clusters) {
            Permission::Token => {}
            Permission::Untouched => {
                target.metrics.passed.count();
                return Action::Continue;
            }
            Permission::ClearText => {
                target.metrics.unavailable.count();
                return send_unavailable(&Unavailable::without_tls());
            }
        }
        #[cfg(feature = "traps")]
        crate::trap::spring(MapType::HttpRequestHeaders);
        self.target = Some(index);
        match active.plugin.placement {
            Placement::Upstream => match refused_authorization() {
                Some(value) => self.retry(&target, &value),
                None => self.send(&target),
            },
            Placement::Downstream => {
                self.is_remote_write = target.spec.auth_errors_retryable
                    == AuthErrorsRetryable::RemoteWrite
                    && host::header_bytes(MapType::HttpRequestHeaders, REMOTE_WRITE).is_some();
                self.send(&target)
            }
        }
    }

    /// Envoy calls this while the headers are paused only if the plugin's configuration has
    /// `allow_on_headers_stop_iteration`.
    pub(crate) fn on_request_body(&self) -> Action {
        match self.waits_at() {
            Some(target) if target.slot.is_parked(self.id) => Action::Pause,
            _ => Action::Continue,
        }
    }

    pub(crate) fn on_response_headers(&mut self) -> Action {
        let active = Rc::clone(&self.active);
        let Some(target) = self.judged(&active) else {
            if let Some((export, exports)) = self.take_export(&active) {
                self.export = export.on_response_headers(exports);
            }
            return Action::Continue;
        };
        let status = host::header_bytes(MapType::HttpResponseHeaders, ":status");
        let Some(status) = status.and_then(|bytes| status_code(&bytes)) else {
            return Action::Continue;
        };
        match active.plugin.placement {
            // If Envoy retries, this callback alone has the status of the failed try.
            Placement::Upstream => self.on_response_of_try(&target, status),
            Placement::Downstream => {
                // Envoy's own responses come here, too.
                let is_targets = status < 400 || was_answered();
                if is_targets {
                    target.counts.responded(status);
                }
                match status {
                    200..=299 => target.slot.accepted(self.sent),
                    401 => self.judge(&target, Refused::Unauthorized, is_targets),
                    403 => self.judge(&target, Refused::Forbidden, is_targets),
                    _ => {}
                }
            }
        }
        Action::Continue
    }

    pub(crate) fn on_response_trailers(&mut self) -> Action {
        let active = Rc::clone(&self.active);
        if let Some((export, exports)) = self.take_export(&active) {
            export.on_response_trailers(exports);
        }
        Action::Continue
    }

    fn on_response_of_try(&mut self, target: &ActiveTarget<'_>, status: u16) {
        target.counts.responded(status);
        match status {
            200..=299 => target.slot.accepted(self.sent),
            401 => {
                target.slot.sees_refused(self.sent);
                self.was_refused = true;
            }
            403 => target.denied(Refused::Forbidden, host::now()),
            _ => {}
        }
    }

    pub(crate) fn on_done(mut self) {
        if let (Some(export), Mode::Exports(exports)) = (self.export.take(), &self.active.mode) {
            export.on_done(exports);
        }
        if let Some(target) = self.waits_at() {
            target.slot.unpark(self.id);
        }
        // A further try would judge the 401, but a request with a long body has none. Envoy has the response code
        // of the last try alone.
        if self.was_refused
            && host::number_property("response\0code") == Some(401)
            && let Some(target) = self.judged(&self.active)
        {
            let now = host::now();
            if target.slot.refused_generation(self.sent, now) == Refusal::Final {
                target.denied(Refused::Unauthorized, now);
            }
        }
    }

    /// Puts the token on the request, or parks the request.
    fn send(&mut self, target: &ActiveTarget<'_>) -> Action {
        if let Some(action) = self.try_send(target) {
            return action;
        }
        let now = host::now();
        target.slot.refresh(now);
        self.try_send(target)
            .unwrap_or_else(|| self.park(target, Generation::default(), now))
    }

    fn try_send(&mut self, target: &ActiveTarget<'_>) -> Option<Action> {
        let header = target.slot.header()?;
        if host::replace_request_header(AUTHORIZATION, &header.value).is_err() {
            return Some(refuse(target, NoToken::NotSet, host::now()));
        }
        self.sent = header.generation;
        target.metrics.authorized.count();
        Some(Action::Continue)
    }

    /// Handles Envoy's next try after the target refused the token in `value`.
    fn retry(&mut self, target: &ActiveTarget<'_>, value: &str) -> Action {
        let now = host::now();
        match target.slot.refused(value, now) {
            (refused, Refusal::Refreshing) => self.park(target, refused, now),
            (_, Refusal::Outdated) => {
                target.metrics.unauthorized_refreshed.count();
                self.send(target)
            }
            (refused, Refusal::Final) if target.slot.has_seen_refused(refused) => {
                target.denied(Refused::Unauthorized, now);
                send_identity_refused()
            }
            // Envoy tells that the target answered some try, but not which one. The last try, with a token that
            // the target has not accepted yet, may have ended without a response.
            (_, Refusal::Final) => self.send(target),
        }
    }

    /// Parks the request until there is a token newer than `refused`, unless too many are parked.
    fn park(&mut self, target: &ActiveTarget<'_>, refused: Generation, now: Now) -> Action {
        if target.slot.held_count() >= target.spec.hold.max_requests {
            return refuse(target, NoToken::TooManyHeld, now);
        }
        target.slot.park(Waiting {
            context: self.id,
            refused,
            deadline: now.mono.after(target.spec.hold.timeout),
        });
        target.metrics.held.count();
        self.was_parked = true;
        // Only for the first one: setting the period restarts it, so a steady stream of requests would put
        // the tick off for ever.
        if target.slot.held_count() == 1 {
            // If this fails, the idle tick releases the request.
            let _ = host::set_tick_period(HURRIED_TICK);
        }
        Action::Pause
    }

    /// Lets the parked request, whose context is the effective one, go on with the token, or answers it.
    pub(crate) fn release(&mut self, waiting: &Waiting, now: Now) {
        let active = Rc::clone(&self.active);
        let Some(target) = self.target.and_then(|index| active.target(index)) else {
            return;
        };
        let Some(header) = target.slot.header() else {
            refuse(&target, NoToken::HeldTooLong, now);
            return;
        };
        // The refused token must not be sent again while a newer one may still come.
        if header.generation == waiting.refused
            && target.slot.participant().refusal(now, waiting.refused) == Refusal::Refreshing
        {
            refuse(&target, NoToken::HeldTooLong, now);
            return;
        }
        if header.generation == waiting.refused && target.slot.has_seen_refused(waiting.refused) {
            target.denied(Refused::Unauthorized, now);
            send_identity_refused();
            return;
        }
        if host::replace_request_header(AUTHORIZATION, &header.value).is_err() {
            refuse(&target, NoToken::NotSet, now);
            return;
        }
        self.sent = header.generation;
        target.metrics.authorized.count();
        if waiting.refused != Generation::default() && header.generation > waiting.refused {
            target.metrics.unauthorized_refreshed.count();
        }
        drop(header);
        // If the stream has ended meanwhile, there is nothing to resume.
        let _ = host::resume_request();
    }

    /// What this request exports, if the outcome is not known yet.
    fn take_export<'a>(&mut self, active: &'a Active) -> Option<(Export, &'a Exports)> {
        let export = self.export.take()?;
        match &active.mode {
            Mode::Exports(exports) => Some((export, exports)),
            Mode::Authorize | Mode::Status(_) | Mode::Explain(_) => None,
        }
    }

    /// The target whose token this request waits for, or has waited for.
    fn waits_at(&self) -> Option<ActiveTarget<'_>> {
        self.active.target(self.target.filter(|_| self.was_parked)?)
    }

    /// The target to which this request carries a token.
    fn judged<'a>(&self, active: &'a Active) -> Option<ActiveTarget<'a>> {
        let target = self.target.filter(|_| self.sent != Generation::default());
        active.target(target?)
    }

    /// Turns a 401 or 403 into 503 if the client should retry, also if it is Envoy's own: Prometheus would drop the
    /// batch. Only the target's own is told as a refusal of the identity.
    fn judge(&self, target: &ActiveTarget<'_>, refused: Refused, is_targets: bool) {
        let refusal = match refused {
            Refused::Unauthorized => target.slot.refused_generation(self.sent, host::now()),
            Refused::Forbidden => Refusal::Final,
        };
        let healing = refusal != Refusal::Final;
        let retryable = target.spec.auth_errors_retryable;
        let retryable = healing || retryable.applies_to(self.is_remote_write);
        if healing {
            target.metrics.unauthorized_refreshed.count();
        } else if is_targets {
            target.denied(refused, host::now());
        }
        if retryable {
            let wait = if healing {
                RETRY_AFTER_REFRESH
            } else {
                RETRY_AFTER_DENIAL
            };
            // If one of these fails, the client sees the target's own response.
            let _ = host::replace_response_header(":status", "503")
                .and_then(|()| host::replace_response_header("retry-after", wait));
        }
    }
}

/// Reads `:status`, which has three digits (RFC 9110 §15).
fn status_code(bytes: &[u8]) -> Option<u16> {
    let [
        hundreds @ b'1'..=b'9',
        tens @ b'0'..=b'9',
        ones @ b'0'..=b'9',
    ] = *bytes
    else {
        return None;
    };
    let digit = |digit: u8| u16::from(digit - b'0');
    Some(digit(hundreds) * 100 + digit(tens) * 10 + digit(ones))
}

/// The target that a request is for.
fn addressed(active: &Active) -> Option<(usize, ActiveTarget<'_>)> {
    let index = match active.plugin.hosts.for_every_request() {
        Some(index) => index,
        None => active.find(&host::header_bytes(
            MapType::HttpRequestHeaders,
            ":authority",
        )?)?,
    };
    Some((index, active.target(index)?))
}

/// The value of `authorization` that the target refused in an earlier try. A first try has none, because the
/// route removes the client's own.
fn refused_authorization() -> Option<String> {
    host::header(MapType::HttpRequestHeaders, AUTHORIZATION).filter(|_| was_answered())
}

/// Whether the target has answered an earlier try. Envoy retries an answered try only if it was 401; a retry
/// after a failed connection says nothing about the token.
fn was_answered() -> bool {
    host::property("response\0code_details").is_some_and(|details| *details == *b"via_upstream")
}

/// Answers 503 with `Retry-After`, so that Prometheus keeps its samples and retries.
#[cold]
fn refuse(target: &ActiveTarget<'_>, why: NoToken, now: Now) -> Action {
    target.metrics.unavailable.count();
    let participant = target.slot.participant();
    let answer = Unavailable::new(why, participant.slot().state(), now);
    send_unavailable(&answer)
}
