//! How the exports of telemetry end, and since when those of a signal fail.
//!
//! Envoy exports telemetry by OTLP through a listener of its own, where the filter sees each export and its
//! response. Each VM counts them in a [`Tally`]. At its tick it adds the tally to the [`SignalExports`] in shared
//! data, which all VMs of the process share. What is logged follows from that record, so people are told once and
//! not by each VM.
//!
//! Sources: the OTLP specification 1.9, <https://opentelemetry.io/docs/specs/otlp/>; the details of Envoy's own
//! responses, `source/common/stream_info/` and
//! <https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/http/http_conn_man/response_code_details>.

use core::fmt;
use core::time::Duration;

use deserr::Deserr;
use serde::{Deserialize, Serialize};

use crate::sealed;
use crate::shared_data::SharedRecord;
use crate::{Wall, calendar};

/// How long after a warning about a signal the next one may follow. A collector that fails now and then must not
/// fill the log.
pub const WARNING_INTERVAL: Duration = Duration::from_secs(300);

/// The longest reason, in characters; longer ones are cut.
const MAX_REASON: usize = 200;

const VERSION: u8 = 1;

/// What is exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Deserr)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[deserr(rename_all = camelCase)]
pub enum Signal {
    /// Metrics.
    Metrics,
    /// Spans.
    Traces,
    /// The records of the access log.
    Logs,
}

impl Signal {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Metrics, Self::Traces, Self::Logs];

    /// Its name: in metrics, in messages, and in the path of an OTLP/HTTP endpoint.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Metrics => "metrics",
            Self::Traces => "traces",
            Self::Logs => "logs",
        }
    }

    /// The path by which this signal is exported: by HTTP that of "OTLP/HTTP request" in the specification, by gRPC
    /// that of its service (`opentelemetry/proto/collector/*/v1/*_service.proto`).
    #[must_use]
    pub const fn path(self, protocol: Protocol) -> &'static str {
        match (protocol, self) {
            (Protocol::HttpProtobuf, Self::Metrics) => "/v1/metrics",
            (Protocol::HttpProtobuf, Self::Traces) => "/v1/traces",
            (Protocol::HttpProtobuf, Self::Logs) => "/v1/logs",
            (Protocol::Grpc, Self::Metrics) => {
                "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
            }
            (Protocol::Grpc, Self::Traces) => {
                "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
            }
            (Protocol::Grpc, Self::Logs) => {
                "/opentelemetry.proto.collector.logs.v1.LogsService/Export"
            }
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The transport of OTLP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// gRPC, by HTTP/2.
    Grpc,
    /// A POST request with a binary protobuf body.
    HttpProtobuf,
}

impl Protocol {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Grpc, Self::HttpProtobuf];

    /// Its name in `OTEL_EXPORTER_OTLP_PROTOCOL`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::HttpProtobuf => "http/protobuf",
        }
    }

    /// The protocol of a request with this path to export this signal; `None` if it is no export of the signal.
    #[must_use]
    pub fn of(signal: Signal, path: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|protocol| signal.path(*protocol) == path)
    }
}

/// How an export ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The collector took it.
    Delivered,
    /// The collector did not take it, for this reason.
    Failed(String),
}

impl Outcome {
    /// The outcome that the headers of a response tell; `None` if its trailers will tell it. `details` are Envoy's
    /// response code details.
    #[must_use]
    pub fn of_headers(
        protocol: Protocol,
        status: Option<u16>,
        grpc_status: Option<&str>,
        details: &str,
    ) -> Option<Self> {
        if details != "via_upstream" {
            return Some(Self::Failed(no_response(details)));
        }
        match (protocol, status, grpc_status) {
            (Protocol::HttpProtobuf, Some(200..=299), _) => Some(Self::Delivered),
            (Protocol::Grpc, Some(200), None) => None,
            (Protocol::Grpc, Some(200), Some(grpc_status)) => {
                Some(Self::of_grpc_status(grpc_status))
            }
            (_, Some(status), _) => Some(Self::Failed(format!("the collector answers {status}"))),
            (_, None, _) => Some(Self::without_response()),
        }
    }

    /// The outcome that a response's `grpc-status` tells.
    #[must_use]
    pub fn of_grpc_status(grpc_status: &str) -> Self {
        match grpc_status {
            "0" => Self::Delivered,
            other => Self::Failed(format!(
                "the collector answers with gRPC status {}",
                printable(other)
            )),
        }
    }

    /// The outcome of an export that ended without a complete response.
    #[must_use]
    pub fn without_response() -> Self {
        Self::Failed("the export ended before the collector had answered".into())
    }
}

/// Why there is no response of the collector, by Envoy's response code details.
fn no_response(details: &str) -> String {
    let Some((_, reset)) = details.split_once("upstream_reset_before_response_started{") else {
        return match details {
            "no_healthy_upstream" => "the collector's name has no address".into(),
            "upstream_response_timeout" | "response_timeout" => {
                "the collector does not answer in time".into()
            }
            "" => "there is no response".into(),
            other => printable(other),
        };
    };
    // Envoy replaces each space of the reason, which follows the kind of reset.
    let reset = reset.trim_end_matches('}').replace('_', " ");
    printable(&reset.replace('|', ": "))
}

fn printable(text: &str) -> String {
    let printable = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(printable).take(MAX_REASON).collect()
}

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
                "telemetry: the export of {signal} to {collector} works again; {} exports have failed since {}",
                failing.exports,
                calendar::rfc3339(failing.since).unwrap_or_default()
            ),
        }
    }
}

/// What is lost while the exports of a signal fail.
#[must_use]
pub fn consequence(signal: Signal) -> &'static str {
    match signal {
        Signal::Metrics => "cumulative values are complete again with the next export.",
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
    fn encode(&self) -> Vec<u8> {
        sealed::encode(VERSION, self)
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        sealed::decode(VERSION, bytes)
    }
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
    fn each_response_has_its_outcome() {
        let failed = |reason: &str| Some(Outcome::Failed(reason.into()));
        let via = "via_upstream";
        for (protocol, status, grpc_status, details, outcome) in [
            (
                Protocol::HttpProtobuf,
                200,
                None,
                via,
                Some(Outcome::Delivered),
            ),
            (
                Protocol::HttpProtobuf,
                202,
                None,
                via,
                Some(Outcome::Delivered),
            ),
            (
                Protocol::HttpProtobuf,
                401,
                None,
                via,
                failed("the collector answers 401"),
            ),
            (
                Protocol::HttpProtobuf,
                302,
                None,
                via,
                failed("the collector answers 302"),
            ),
            (Protocol::Grpc, 200, None, via, None),
            (
                Protocol::Grpc,
                200,
                Some("0"),
                via,
                Some(Outcome::Delivered),
            ),
            (
                Protocol::Grpc,
                200,
                Some("16"),
                via,
                failed("the collector answers with gRPC status 16"),
            ),
            (
                Protocol::Grpc,
                404,
                None,
                via,
                failed("the collector answers 404"),
            ),
            // Envoy's own response to a gRPC request has status 200, too.
            (
                Protocol::Grpc,
                200,
                Some("14"),
                "upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}",
                failed("remote connection failure: delayed connect error: Connection refused"),
            ),
            (
                Protocol::HttpProtobuf,
                504,
                None,
                "upstream_response_timeout",
                failed("the collector does not answer in time"),
            ),
            (
                Protocol::HttpProtobuf,
                503,
                None,
                "no_healthy_upstream",
                failed("the collector's name has no address"),
            ),
        ] {
            let seen = Outcome::of_headers(protocol, Some(status), grpc_status, details);
            assert_eq!(seen, outcome, "{protocol:?} {status} {details}");
        }
    }

    #[test]
    fn a_reason_is_short_and_printable() {
        let long = format!("overloaded\u{1b}[31m{}", "é".repeat(999));
        let Outcome::Failed(reason) = Outcome::of_grpc_status(&long) else {
            panic!("delivered")
        };
        assert!(reason.chars().count() < 2 * MAX_REASON && !reason.contains('\u{1b}'));
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
