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

#[cfg(test)]
mod tests {
    #[cfg(all(target_family = "wasm", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::page;
    use crate::status::{Process, Status, Verdict, json};
    use crate::telemetry_exports::{Outcome, Tally};
    use crate::{Mono, Now, Wall};

    const START: Wall = Wall(1_790_000_000_000);

    #[test]
    fn exports_that_fail_are_shown_with_their_consequence_and_do_not_change_the_verdict() {
        let config = |signal, collector: &str| Export {
            signal,
            collector: collector.parse().expect("an authority"),
        };
        let metrics = config(Signal::Metrics, "otel:4317");
        let traces = config(Signal::Traces, "traces.example");
        let logs = config(Signal::Logs, "otel:4317");
        let saw = |outcomes: &[Outcome]| {
            let mut exports = SignalExports::default();
            for outcome in outcomes {
                let mut tally = Tally::default();
                tally.ended(outcome.clone());
                let _ = exports.add(&tally, START);
            }
            exports
        };
        let failed = Outcome::Failed("<refused> by the collector".into());
        let now = Now {
            mono: Mono(0),
            wall: START,
        };
        let status = Status::of(&[], &[], &Process::default(), now).with_exports(&[
            (&metrics, saw(&[Outcome::Delivered])),
            (&traces, saw(&[failed.clone(), failed])),
            (&logs, saw(&[])),
        ]);
        assert_eq!(status.verdict, Verdict::Serving);
        let json: serde_json::Value = serde_json::from_slice(&json(&status)).expect("JSON");
        assert_eq!(
            json["exports"],
            serde_json::json!([
                {
                    "signal": "metrics",
                    "collector": "otel:4317",
                    "delivered": "2026-09-21T14:13:20Z",
                },
                {
                    "signal": "traces",
                    "collector": "traces.example",
                    "failing": {
                        "since": "2026-09-21T14:13:20Z",
                        "exports": 2,
                        "reason": "<refused> by the collector",
                        "consequence": "Requests are not affected; the spans of this time are lost.",
                    },
                },
                { "signal": "logs", "collector": "otel:4317" },
            ])
        );
        let page = page::render(&status);
        for text in [
            "<h2>Telemetry</h2>",
            "traces: <span class=\"warn\">exports fail</span>",
            "&lt;refused&gt; by the collector",
            "logs: <span class=\"\">no export yet</span>",
        ] {
            assert!(page.contains(text), "{text}: {page}");
        }
    }
}
