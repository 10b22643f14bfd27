//! How the exports of telemetry end, and since when those of a signal fail.
//!
//! Envoy exports telemetry by OTLP through a listener of its own, where the filter sees each export and its
//! response. Each VM counts them in a [`Tally`]. At its tick it adds the tally to the [`SignalExports`] in shared
//! data, which all VMs of the process share. What is logged follows from that record, so people are told once and
//! not by each VM.

mod outcome;
mod signal;

use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::shared_data::SharedRecord;
use crate::{Wall, calendar};

pub use outcome::Outcome;
pub use signal::{Protocol, Signal};

/// How long after a warning about a signal the next one may follow. A collector that fails now and then must not
/// fill the log.
pub const WARNING_INTERVAL: Duration = Duration::from_secs(300);

/// The exports of one signal that one VM has seen since its last tick.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    delivered: u64,
    failed: u64,
    /// Why the last one failed.
    reason: String,
}

impl Tally {
    /// Counts an export.
    pub fn ended(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Delivered => self.delivered = self.delivered.saturating_add(1),
            Outcome::Failed(reason) => {
                self.failed = self.failed.saturating_add(1);
                self.reason = reason;
            }
        }
    }

    /// Whether there is nothing to add.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.delivered == 0 && self.failed == 0
    }
}

/// That the exports of a signal fail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failing {
    /// When the first of these failures was seen.
    pub since: Wall,
    /// How many exports have failed since then.
    pub exports: u64,
    /// Why the last one failed.
    pub reason: String,
    /// Whether people have been told.
    is_told: bool,
}

/// What people are to be told about the exports of a signal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Exports fail. A warning.
    Failing(Failing),
    /// After these failures exports are delivered again.
    Recovered(Failing),
}

impl Notice {
    /// The line for the log. `collector` is the address to which this signal is exported.
    #[must_use]
    pub fn message(&self, signal: Signal, collector: &str) -> String {
        match self {
            Self::Failing(failing) => format!(
                "telemetry: the export of {signal} to {collector} fails: {}. Requests are not affected; {}",
                failing.reason,
                consequence(signal)
            ),
            Self::Recovered(failing) => format!(
                "telemetry: the export of {signal} to {collector} works again; failed exports since {}: {}",
                calendar::rfc3339(failing.since).unwrap_or_default(),
                failing.exports
            ),
        }
    }
}

/// What is lost while the exports of a signal fail.
#[must_use]
pub fn consequence(signal: Signal) -> &'static str {
    match signal {
        Signal::Metrics => {
            "cumulative metrics are complete again with the next export, and delta metrics lack this time."
        }
        Signal::Traces => "the spans of this time are lost.",
        Signal::Logs => "the log records of this time are lost.",
    }
}

/// How the exports of one signal end, as all VMs of the process know it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignalExports {
    /// When an export was last delivered.
    delivered: Option<Wall>,
    failing: Option<Failing>,
    /// When people were last told that exports fail.
    warned: Option<Wall>,
}

impl SignalExports {
    /// The key of a signal's record in shared data.
    #[must_use]
    pub fn key(signal: Signal) -> String {
        format!("entra-auth/v1/exports/{signal}")
    }

    /// Adds what a VM has seen until `now`. The VM whose change is written gives the notice.
    #[must_use]
    pub fn add(&mut self, tally: &Tally, now: Wall) -> Option<Notice> {
        // A clock that was set back must not silence anybody.
        self.warned = self.warned.map(|at| at.min(now));
        if tally.delivered > 0 {
            self.delivered = Some(now);
        }
        if tally.failed == 0 {
            // Without an export nothing says that the next one will be delivered.
            let over = self.failing.take_if(|_| tally.delivered > 0)?;
            return over.is_told.then_some(Notice::Recovered(over));
        }
        let failing = self.failing.get_or_insert_with(|| Failing {
            since: now,
            exports: 0,
            reason: String::new(),
            is_told: false,
        });
        failing.since = failing.since.min(now);
        failing.exports = failing.exports.saturating_add(tally.failed);
        failing.reason.clone_from(&tally.reason);
        let may_warn = self
            .warned
            .is_none_or(|at| now.since(at) >= WARNING_INTERVAL);
        if failing.is_told || !may_warn {
            return None;
        }
        failing.is_told = true;
        self.warned = Some(now);
        Some(Notice::Failing(failing.clone()))
    }

    /// The failures, if exports fail: until one is delivered.
    #[must_use]
    pub fn failing(&self) -> Option<&Failing> {
        self.failing.as_ref()
    }

    /// When an export was last delivered.
    #[must_use]
    pub fn delivered(&self) -> Option<Wall> {
        self.delivered
    }
}

impl SharedRecord for SignalExports {
    const VERSION: u8 = 1;
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_family = "wasm", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    const START: Wall = Wall(1_800_000_000_000);

    fn at(seconds: u64) -> Wall {
        START.after(Duration::from_secs(seconds))
    }

    fn saw(delivered: u64, failed: u64) -> Tally {
        let mut tally = Tally::default();
        for _ in 0..delivered {
            tally.ended(Outcome::Delivered);
        }
        for _ in 0..failed {
            tally.ended(Outcome::Failed("it is down".into()));
        }
        tally
    }

    #[test]
    fn people_are_told_once_that_exports_fail_and_once_that_they_work_again() {
        let mut exports = SignalExports::default();
        assert_eq!(exports.add(&saw(1, 0), at(0)), None);
        let Some(Notice::Failing(failing)) = exports.add(&saw(0, 2), at(10)) else {
            panic!("no warning")
        };
        assert_eq!((failing.since, failing.exports), (at(10), 2));
        assert_eq!(exports.add(&saw(0, 3), at(20)), None);
        // A delivered one among failed ones heals nothing.
        assert_eq!(exports.add(&saw(1, 1), at(30)), None);
        assert_eq!(exports.add(&Tally::default(), at(4000)), None);
        assert_eq!(exports.failing().map(|it| it.exports), Some(6));
        let Some(Notice::Recovered(failing)) = exports.add(&saw(1, 0), at(4010)) else {
            panic!("nothing is told")
        };
        assert_eq!((failing.since, failing.exports), (at(10), 6));
        assert_eq!(exports.failing(), None);
        assert_eq!(exports.delivered(), Some(at(4010)));
    }

    #[test]
    fn a_collector_that_fails_now_and_then_is_told_of_every_five_minutes() {
        let mut exports = SignalExports::default();
        let mut notices = 0;
        for second in 0..900 {
            let tally = if second % 2 == 0 {
                saw(0, 1)
            } else {
                saw(1, 0)
            };
            notices += usize::from(exports.add(&tally, at(second)).is_some());
        }
        assert_eq!(notices, 6, "three warnings, three recoveries");
    }

    #[test]
    fn failures_that_last_are_told_once_the_interval_is_over() {
        let mut exports = SignalExports::default();
        assert!(exports.add(&saw(0, 1), at(0)).is_some());
        assert!(exports.add(&saw(1, 0), at(1)).is_some());
        assert_eq!(exports.add(&saw(0, 1), at(2)), None);
        assert_eq!(exports.add(&saw(0, 1), at(299)), None);
        let Some(Notice::Failing(failing)) = exports.add(&saw(0, 1), at(300)) else {
            panic!("no warning")
        };
        assert_eq!((failing.since, failing.exports), (at(2), 3));
    }

    #[test]
    fn a_clock_that_is_set_back_silences_nothing_for_longer() {
        let mut exports = SignalExports::default();
        assert!(exports.add(&saw(0, 1), at(9000)).is_some());
        assert!(exports.add(&saw(1, 0), at(0)).is_some());
        assert!(exports.add(&saw(0, 1), at(300)).is_some());
    }

    #[test]
    fn the_record_is_read_back_and_small() {
        let mut exports = SignalExports::default();
        let mut tally = Tally::default();
        tally.ended(Outcome::of_grpc_status(&"x".repeat(999)));
        let _ = exports.add(&tally, at(0));
        let bytes = exports.encode();
        assert!(bytes.len() < 512, "{} bytes", bytes.len());
        assert_eq!(SignalExports::decode(&bytes), Some(exports));
    }
}
