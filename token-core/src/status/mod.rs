//! What the proxy says of itself: `/ready`, `/status`, and the answers to requests that cannot have their token.

mod slot;
mod target;
mod unavailable;
mod verdict;

use serde::Serialize;

use crate::config::{SlotSpec, TargetSpec};
use crate::failure::Failure;
use crate::state::State;
use crate::target_responses::TargetResponses;
use crate::{Now, Wall, calendar};

pub use slot::{Problem, SlotStatus, Subject, TokenState, meanwhile};
pub use target::{RecentResponses, RefusalStatus, TargetStatus, refusal_warning};
pub use unavailable::{IDENTITY_REFUSED, NoToken, Unavailable};
pub use verdict::Verdict;
pub(crate) use verdict::{span, time};

/// The path at which the status listener answers with [`Ready`]. The proxy's port asks there for its
/// `/ready`, because whoever reaches that port may be anybody.
pub const READY_WITHOUT_DETAILS: &str = "/ready/without-details";

/// What is known of the process that answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// This product's version.
    pub version: &'static str,
    /// Envoy's version; none where Envoy does not tell it.
    pub envoy: Option<String>,
    /// When the process began to get tokens.
    pub started: Option<Wall>,
}

/// Whether the proxy can do its job, and the state of every token and target.
#[derive(Debug, Serialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// Whether requests can be authorised.
    pub ready: bool,
    /// The state of the whole in one word.
    pub verdict: Verdict,
    /// The same in one sentence, with what it means for requests.
    pub summary: String,
    /// When this was told, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// This product's version.
    pub version: &'static str,
    /// Envoy's version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub envoy_version: Option<String>,
    /// How long the process has been running.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uptime_seconds: Option<u64>,
    /// One for each token.
    pub slots: Vec<SlotStatus>,
    /// One for each target.
    pub targets: Vec<TargetStatus>,
    /// The code of the failure that keeps the proxy from being ready, see [`Ready::code`].
    #[serde(skip)]
    failure: Option<String>,
}

/// Whether the proxy can do its job, without a word on identities, tenants, audiences or endpoints.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Ready {
    /// Whether requests can be authorised.
    pub ready: bool,
    /// The code of the failure that keeps them from it; none while nothing has failed yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// Whether requests can be authorised, and what keeps them from it.
#[derive(Clone, Copy, Debug)]
pub struct Readiness<'a> {
    /// Whether requests can be authorised.
    pub ready: bool,
    /// Why not; none while nothing has failed yet.
    pub failure: Option<&'a Failure>,
}

impl<'a> Readiness<'a> {
    /// Judges all slots at `now`. One broken identity must not take the others down, unless its token is required.
    #[must_use]
    pub fn of(slots: &[(&SlotSpec, &'a State)], now: Now) -> Self {
        let strict = slots.iter().any(|(spec, _)| spec.required == Some(true));
        let deciding = || {
            let deciding = slots
                .iter()
                .filter(move |(spec, _)| spec.required.unwrap_or(!strict));
            deciding.map(|(_, state)| *state)
        };
        let is_valid = |state: &State| state.token.as_ref().is_some_and(|it| it.is_valid(now));
        let ready = if strict {
            deciding().all(is_valid)
        } else {
            deciding().next().is_none() || deciding().any(is_valid)
        };
        let mut failures = deciding()
            .filter(|state| !ready && !is_valid(state))
            .filter_map(|state| state.last_failure.as_ref());
        Self {
            ready,
            failure: failures.next(),
        }
    }
}

impl Status {
    /// Judges all slots and targets at `now`. A target's index of its slot is that in `slots`.
    #[must_use]
    pub fn of(
        slots: &[(&SlotSpec, &State)],
        targets: &[(&TargetSpec, TargetResponses)],
        process: &Process,
        now: Now,
    ) -> Self {
        let statuses: Vec<_> = slots
            .iter()
            .map(|(spec, state)| SlotStatus::of(spec, state, now))
            .collect();
        let Readiness { ready, failure } = Readiness::of(slots, now);
        let targets: Vec<_> = targets
            .iter()
            .filter_map(|(target, responses)| {
                let (slot, state) = slots.get(target.slot)?;
                Some(TargetStatus::of(target, slot, state, responses, now))
            })
            .collect();
        let verdict = Verdict::of(ready, &statuses, &targets);
        Self {
            ready,
            verdict,
            summary: verdict.summary(&statuses, &targets),
            time: calendar::rfc3339(now.wall),
            version: process.version,
            envoy_version: process.envoy.clone(),
            uptime_seconds: process
                .started
                .map(|started| now.wall.since(started).as_secs()),
            slots: statuses,
            targets,
            failure: failure.map(|failure| failure.code.to_string()),
        }
    }

    /// What of it anybody may know.
    #[must_use]
    pub fn without_details(&self) -> Ready {
        Ready {
            ready: self.ready,
            code: self.failure.clone(),
        }
    }
}

/// The JSON text of one of these, which always has one.
#[must_use]
pub fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}
