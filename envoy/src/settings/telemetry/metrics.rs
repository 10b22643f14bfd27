//! How metrics are exported: how often, as what, and under which names.

use std::time::Duration;

use entra_auth_settings_input::choices::{on_or_off, unknown};
use entra_auth_settings_input::{Problem, quoted};

use super::exporter::Exporter;
use crate::settings::{Reader, choices};

const INTERVAL: &str = "OTEL_METRIC_EXPORT_INTERVAL";
const TEMPORALITY: &str = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";
const OLD_NAMES: &str = "OLD_METRIC_NAMES";

/// The specification's.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(60);

/// More often would cost more than it tells.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(100);

/// Envoy's `stats_flush_interval` is below 300 s (`envoy.config.bootstrap.v3.Bootstrap`).
const LONGEST_INTERVAL: Duration = Duration::from_millis(299_999);

/// How metrics are sent.
#[derive(Debug, Clone)]
pub struct Metrics {
    /// Where they go.
    pub exporter: Exporter,
    /// How often, from 100 ms to 299.999 s.
    pub interval: Duration,
    /// What the value of a counter or histogram is.
    pub temporality: Temporality,
    /// Whether aad-auth-proxy's metrics are among them.
    pub old_names: bool,
}

/// What the value of a counter or histogram is
/// (<https://opentelemetry.io/docs/specs/otel/metrics/data-model/#temporality>).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Temporality {
    /// The sum since the start.
    Cumulative,
    /// The sum since the last export.
    Delta,
}

/// How often metrics are sent, and whether a variable says so.
#[derive(Debug, Clone, Copy)]
pub(super) struct Interval {
    pub(super) value: Duration,
    is_set: bool,
}

impl Reader<'_> {
    /// The interval. By default it is the specification's 60 s, but at most half of the drain: Envoy sends
    /// nothing when it ends, so the last values must go out while it drains.
    pub(super) fn metric_interval(&mut self, drain: Duration) -> Interval {
        let Some(value) = self.variables.value(INTERVAL) else {
            // A drain of less than two seconds has no room for one.
            let half = drain / 2;
            let value = match half >= Duration::from_secs(1) {
                true => half.min(DEFAULT_INTERVAL),
                false => DEFAULT_INTERVAL,
            };
            return Interval {
                value,
                is_set: false,
            };
        };
        let shortest = SHORTEST_INTERVAL.as_millis();
        let read = milliseconds(value).and_then(|interval| match interval >= SHORTEST_INTERVAL {
            true => Ok(interval),
            false => Err(Problem::new(
                format!("is {}, which is too often", quoted(value)),
                format!("Give {shortest} milliseconds or more."),
            )),
        });
        let interval = self.note(INTERVAL, read).unwrap_or(DEFAULT_INTERVAL);
        if interval > LONGEST_INTERVAL {
            self.warnings.push(format!(
                "{INTERVAL} is longer than Envoy can wait: metrics are sent every {} milliseconds",
                LONGEST_INTERVAL.as_millis()
            ));
        }
        Interval {
            value: interval.min(LONGEST_INTERVAL),
            is_set: true,
        }
    }

    /// Warns of an interval that somebody has set and that may end after the drain.
    pub(super) fn warn_of_interval(&mut self, interval: Interval, drain: Duration) {
        if interval.is_set && interval.value > drain {
            self.warnings.push(format!(
                "{INTERVAL} is longer than DRAIN_SECONDS: the metrics since the last export are lost \
                 when the proxy ends"
            ));
        }
    }

    /// `lowmemory` prefers the delta for what is counted synchronously and for histograms, which is all
    /// that Envoy has; its gauges have no temporality. So it means the same as `delta`.
    pub(super) fn temporality(&mut self) -> Temporality {
        let temporality = self.or(TEMPORALITY, Temporality::Cumulative, |value| {
            match value.to_ascii_lowercase().as_str() {
                "cumulative" => Ok(Temporality::Cumulative),
                "delta" | "lowmemory" => Ok(Temporality::Delta),
                _ => Err(unknown(value, &["cumulative", "delta", "lowmemory"])),
            }
        });
        temporality.unwrap_or(Temporality::Cumulative)
    }

    pub(super) fn old_metric_names(&mut self) -> bool {
        self.or(OLD_NAMES, true, on_or_off).unwrap_or(true)
    }
}

/// The specification's type Duration: a whole number of milliseconds.
pub(super) fn milliseconds(value: &str) -> Result<Duration, Problem> {
    let number = choices::number(value, 0..=u64::from(u32::MAX));
    number.map(Duration::from_millis).map_err(|_| {
        Problem::which(
            value,
            "is no whole number of milliseconds",
            "Give ten seconds as 10000.",
        )
    })
}
