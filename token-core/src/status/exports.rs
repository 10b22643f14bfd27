//! The state of the exports of one signal, as `/status` shows it.

use serde::Serialize;

use crate::calendar;
use crate::config::Export;
use crate::telemetry_exports::{Failing, Signal, SignalExports, consequence};

/// The state of the exports of one signal.
#[derive(Debug, Serialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ExportStatus {
    /// What is exported.
    pub signal: Signal,
    /// The address of the collector.
    pub collector: String,
    /// When an export was last delivered, in RFC 3339; `None` if none has been.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivered: Option<String>,
    /// The failures, if exports fail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failing: Option<FailingStatus>,
}

/// That exports fail.
#[derive(Debug, Serialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct FailingStatus {
    /// Since when, in RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// How many exports have failed since then.
    pub exports: u64,
    /// Why the last one failed.
    pub reason: String,
    /// What this means for requests and for the telemetry.
    pub consequence: String,
}

impl ExportStatus {
    pub(super) fn of(export: &Export, known: &SignalExports) -> Self {
        Self {
            signal: export.signal,
            collector: export.collector.to_string(),
            delivered: known.delivered().and_then(calendar::rfc3339),
            failing: known
                .failing()
                .map(|failing| FailingStatus::of(failing, export.signal)),
        }
    }
}

impl FailingStatus {
    fn of(failing: &Failing, signal: Signal) -> Self {
        Self {
            since: calendar::rfc3339(failing.since),
            exports: failing.exports,
            reason: failing.reason.clone(),
            consequence: format!("Requests are not affected; {}", consequence(signal)),
        }
    }
}
