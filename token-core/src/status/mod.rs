//! The proxy's own responses: `/ready`, `/status`, and the response to a request for which there is no token.

mod certificate;
mod exports;
mod slot;
mod target;
mod unavailable;
mod verdict;

use serde::Serialize;

use crate::config::{Export, SlotSpec, TargetSpec};
use crate::failure::Failure;
use crate::state::State;
use crate::target_responses::TargetResponses;
use crate::telemetry_exports::SignalExports;
use crate::{Mono, Now, calendar};

pub use certificate::{CertificateStatus, last_certificate};
pub use exports::{ExportStatus, FailingStatus};
pub use slot::{LastError, SlotStatus, Subject, TokenState, meanwhile};
pub use target::{RecentResponses, RefusalStatus, TargetStatus, refusal_warning};
pub use unavailable::{IDENTITY_REFUSED, NoToken, Unavailable};
pub use verdict::Verdict;
pub(crate) use verdict::span;

/// The path at which the status listener answers with [`Ready`]. The proxy port forwards its own
/// `/ready` to this path, because its clients are not trusted with details.
pub const READY_WITHOUT_DETAILS: &str = "/ready/without-details";

/// Facts about the process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// This product's version.
    pub version: &'static str,
    /// Envoy's version; `None` if Envoy does not provide it.
    pub envoy: Option<String>,
    /// When the filter started in this process.
    pub started: Option<Mono>,
}

/// The body of `/status`: whether the proxy is ready, and the state of every slot and target.
#[derive(Debug, Serialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// Whether requests can be authorised.
    pub ready: bool,
    /// The state of the proxy in one word.
    pub verdict: Verdict,
    /// The same in one sentence, with the consequence for requests.
    pub summary: String,
    /// The time of this response, in RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// This product's version.
    pub version: &'static str,
    /// Envoy's version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub envoy_version: Option<String>,
    /// The seconds since the filter started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uptime_seconds: Option<u64>,
    /// The state of each slot.
    pub slots: Vec<SlotStatus>,
    /// The state of each target.
    pub targets: Vec<TargetStatus>,
    /// The state of each export of telemetry.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exports: Vec<ExportStatus>,
    /// See [`Ready::code`].
    #[serde(skip)]
    failure: Option<String>,
}

/// Whether the proxy is ready, without details of identities, tenants, audiences or endpoints.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Ready {
    /// Whether requests can be authorised.
    pub ready: bool,
    /// The code of the failure because of which the proxy is not ready; `None` if it is ready or if
    /// nothing has failed yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// Whether requests can be authorised, and if not, why.
#[derive(Clone, Copy, Debug)]
pub struct Readiness<'a> {
    /// Whether requests can be authorised.
    pub ready: bool,
    /// The failure because of which they cannot; `None` if nothing has failed yet.
    pub failure: Option<&'a Failure>,
}

/// Whether any slot is required. If so, the proxy's readiness depends on the required ones alone.
fn any_required(slots: &[(&SlotSpec, &State)]) -> bool {
    slots.iter().any(|(spec, _)| spec.required == Some(true))
}

impl SlotSpec {
    /// Whether the proxy's readiness depends on this slot.
    fn counts_for_readiness(&self, any_required: bool) -> bool {
        self.required.unwrap_or(!any_required)
    }
}

impl<'a> Readiness<'a> {
    /// The readiness of all slots at `now`.
    ///
    /// If some slots are required, the proxy is ready when all of these have a valid token. Otherwise
    /// it is ready when any slot that is not excluded has one, so that one broken identity does not
    /// take the others down.
    #[must_use]
    pub fn of(slots: &[(&SlotSpec, &'a State)], now: Now) -> Self {
        let any_required = any_required(slots);
        let counted = || {
            let counted = slots
                .iter()
                .filter(move |(spec, _)| spec.counts_for_readiness(any_required));
            counted.map(|(_, state)| *state)
        };
        let is_valid = |state: &State| state.token.as_ref().is_some_and(|it| it.is_valid(now));
        let ready = if any_required {
            counted().all(is_valid)
        } else {
            counted().next().is_none() || counted().any(is_valid)
        };
        let mut failures = counted()
            .filter(|state| !ready && !is_valid(state))
            .filter_map(|state| state.last_failure.as_ref());
        Self {
            ready,
            failure: failures.next(),
        }
    }
}

impl Status {
    /// The status at `now`. The index of a target's slot is that in `slots`.
    #[must_use]
    pub fn of(
        slots: &[(&SlotSpec, &State)],
        targets: &[(&TargetSpec, TargetResponses)],
        process: &Process,
        now: Now,
    ) -> Self {
        let any_required = any_required(slots);
        let statuses: Vec<_> = slots
            .iter()
            .map(|(spec, state)| {
                let certificate = last_certificate(slots, &spec.identity);
                SlotStatus::of(spec, state, certificate, any_required, now)
            })
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
        let time = calendar::rfc3339(now.wall);
        Self {
            ready,
            verdict,
            summary: verdict.summary(&statuses, &targets, time.as_deref()),
            time,
            version: process.version,
            envoy_version: process.envoy.clone(),
            uptime_seconds: process
                .started
                .map(|started| now.mono.since(started).as_secs()),
            slots: statuses,
            targets,
            exports: Vec::new(),
            failure: failure.map(|failure| failure.code.to_string()),
        }
    }

    /// Adds how the exports of telemetry end. They do not count for the verdict, because requests do not depend on
    /// them.
    #[must_use]
    pub fn with_exports(mut self, exports: &[(&Export, SignalExports)]) -> Self {
        let exports = exports.iter();
        self.exports = exports
            .map(|(export, known)| ExportStatus::of(export, known))
            .collect();
        self
    }

    /// The part that untrusted clients may see.
    #[must_use]
    pub fn without_details(&self) -> Ready {
        Ready {
            ready: self.ready,
            code: self.failure.clone(),
        }
    }
}

/// Serializes a response body, which cannot fail for the types of this module.
#[must_use]
pub fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}
