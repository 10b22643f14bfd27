//! One request: its token at once, after a wait, or an answer that makes the client retry.

use std::rc::Rc;

use entra_token_core::Now;
use entra_token_core::cluster::AllowedClusters;
use entra_token_core::status::{self, NoToken, Unavailable};
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::{Action, MapType};

use crate::host;
use crate::parked::Waiting;
use crate::root::{Active, ActiveTarget, HURRIED_TICK};
use crate::vm::Keeper;

const AUTHORIZATION: &str = "authorization";

/// One request's context.
pub(crate) struct Request {
    id: u32,
    active: Rc<Active>,
    /// Where it waits or has waited.
    parked_at: Option<Rc<Keeper>>,
}

impl Request {
    pub(crate) fn new(id: u32, active: Rc<Active>) -> Self {
        Self {
            id,
            active,
            parked_at: None,
        }
    }

    /// Waits for the token, if one more may.
    fn park(&mut self, index: usize, target: &ActiveTarget<'_>, now: Now) -> Action {
        if target.keeper.held_count() >= target.spec.hold.max_requests {
            return refuse(target, NoToken::TooManyHeld, now);
        }
        target.keeper.park(Waiting {
            context: self.id,
            active: Rc::clone(&self.active),
            target: index,
            deadline: now.mono.after(target.spec.hold.timeout),
        });
        target.metrics.held.count();
        self.parked_at = Some(Rc::clone(target.keeper));
        // Should this fail, the idle tick still releases the request.
        let _ = host::set_tick_period(HURRIED_TICK);
        Action::Pause
    }
}

impl Context for Request {}

impl HttpContext for Request {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        let active = Rc::clone(&self.active);
        let index = host::header(MapType::HttpRequestHeaders, ":authority")
            .and_then(|authority| active.plugin.hosts.find(&authority));
        let Some((index, target)) = index.and_then(|i| Some((i, active.target(i)?))) else {
            return Action::Continue;
        };
        if !may_carry_token(&target.spec.clusters) {
            target.metrics.passed.count();
            return Action::Continue;
        }
        if let Some(set) = target.keeper.with_header(set_authorization) {
            return authorized(&target, set);
        }
        let now = host::now();
        target.keeper.refresh(now);
        match target.keeper.with_header(set_authorization) {
            Some(set) => authorized(&target, set),
            None => self.park(index, &target, now),
        }
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        if let Some(keeper) = &self.parked_at {
            keeper.unpark(self.id);
        }
    }
}

/// Lets the effective context's parked request go on with the token, or answers it.
pub(crate) fn release(waiting: &Waiting, now: Now) {
    let Some(target) = waiting.active.target(waiting.target) else {
        return;
    };
    match target.keeper.with_header(set_authorization) {
        Some(Ok(())) => {
            target.metrics.authorized.count();
            // A stream that ended meanwhile needs nothing more.
            let _ = host::resume_request();
        }
        Some(Err(_)) => {
            refuse(&target, NoToken::NotSet, now);
        }
        None => {
            refuse(&target, NoToken::HeldTooLong, now);
        }
    }
}

fn set_authorization(value: &str) -> host::Result<()> {
    host::replace_request_header(AUTHORIZATION, value)
}

fn authorized(target: &ActiveTarget<'_>, set: host::Result<()>) -> Action {
    match set {
        Ok(()) => {
            target.metrics.authorized.count();
            Action::Continue
        }
        Err(_) => refuse(target, NoToken::NotSet, host::now()),
    }
}

/// Whether Envoy sends the request to a cluster that may have the token. One that cannot be
/// told may not.
fn may_carry_token(clusters: &AllowedClusters) -> bool {
    *clusters == AllowedClusters::Any
        || host::property(&["xds", "cluster_name"]).is_some_and(|cluster| clusters.allow(&cluster))
}

/// 503 with `Retry-After`: Prometheus keeps its samples and comes back.
fn refuse(target: &ActiveTarget<'_>, why: NoToken, now: Now) -> Action {
    target.metrics.unavailable.count();
    let member = target.keeper.member();
    let answer = Unavailable::new(why, target.identity, member.slot().state(), now);
    let retry_after = answer.retry_after.to_string();
    let headers = [
        ("content-type", "application/json"),
        ("retry-after", retry_after.as_str()),
    ];
    // Should this fail, the request stays paused and Envoy's own time-outs end it.
    let _ = host::respond(503, "entra_auth_no_token", &headers, &status::json(&answer));
    Action::Pause
}
