//! The plugin's metrics. Labels are part of the name, in the form that Istio uses
//! (`label=.=value;.;`) and that the bootstrap's `stats_tags` take out again.

use std::cell::{Cell, OnceCell};

use entra_token_core::Audience;
use entra_token_core::slot::Event;
use entra_token_core::state::State;
use proxy_wasm::types::MetricType;

use crate::host::Metric;

pub(crate) fn define(kind: MetricType, name: &str, labels: &[(&str, &str)]) -> Metric {
    Metric::define(kind, &full_name(name, labels))
}

fn full_name(name: &str, labels: &[(&str, &str)]) -> String {
    let labels: String = labels
        .iter()
        .map(|(label, value)| format!("{label}=.={value};.;"))
        .collect();
    format!("{labels}entra_auth_{name}")
}

/// A counter that costs a request an addition in this VM; a tick carries it to Envoy.
pub(crate) struct Counter {
    metric: Metric,
    pending: Cell<i64>,
}

impl Counter {
    pub(crate) fn new(name: &str, labels: &[(&str, &str)]) -> Self {
        Self {
            metric: define(MetricType::Counter, name, labels),
            pending: Cell::new(0),
        }
    }

    pub(crate) fn count(&self) {
        self.pending.set(self.pending.get().saturating_add(1));
    }

    /// Hands the count to Envoy. Returns what has been counted since the last time.
    pub(crate) fn flush(&self) -> u64 {
        let pending = self.pending.take();
        if pending > 0 {
            self.metric.add(pending);
        }
        pending.unsigned_abs()
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        self.flush();
    }
}

/// What became of the requests of one target; in upstream placement, of each try of Envoy's.
pub(crate) struct RequestMetrics {
    /// Went on with the token, at once or after a wait.
    pub(crate) authorized: Counter,
    /// Of these, those that had to wait for it.
    pub(crate) held: Counter,
    /// Of these, those that the target had refused with an older token.
    pub(crate) unauthorized_refreshed: Counter,
    /// Was answered 503.
    pub(crate) unavailable: Counter,
    /// Went on untouched: the cluster may not have the token.
    pub(crate) passed: Counter,
}

impl RequestMetrics {
    pub(crate) fn new(target: &str) -> Self {
        let counter = |outcome| {
            Counter::new(
                "requests_total",
                &[("target", target), ("outcome", outcome)],
            )
        };
        Self {
            authorized: counter("authorized"),
            held: counter("held"),
            unauthorized_refreshed: counter("unauthorized_refreshed"),
            unavailable: counter("unavailable"),
            passed: counter("passed"),
        }
    }

    pub(crate) fn flush(&self) {
        for counter in [
            &self.authorized,
            &self.held,
            &self.unauthorized_refreshed,
            &self.unavailable,
            &self.passed,
        ] {
            counter.flush();
        }
    }
}

/// The state of one identity's token.
pub(crate) struct TokenMetrics {
    succeeded: Metric,
    failed: Metric,
    expiry: Metric,
    last_success: Metric,
    failures: Metric,
    /// Its labels, and the gauge itself once an attempt has failed: there is none before.
    failing_since: (String, OnceCell<Metric>),
    /// Whether anything was shown.
    shown: Cell<bool>,
}

impl TokenMetrics {
    pub(crate) fn new(identity: &str, audience: &Audience) -> Self {
        let token = [("identity", identity), ("audience", audience.resource())];
        let gauge = |name| define(MetricType::Gauge, name, &token);
        let requests = |result| {
            let [identity, audience] = token;
            let labels = [identity, audience, ("result", result)];
            define(MetricType::Counter, "token_requests_total", &labels)
        };
        Self {
            succeeded: requests("success"),
            failed: requests("failure"),
            expiry: gauge("token_expiry_timestamp_seconds"),
            last_success: gauge("token_last_success_timestamp_seconds"),
            failures: gauge("token_refresh_failures_consecutive"),
            failing_since: (
                full_name("token_failing_since_timestamp_seconds", &token),
                OnceCell::new(),
            ),
            shown: Cell::default(),
        }
    }

    /// Counts what the VM that called the endpoint saw.
    pub(crate) fn event(&self, event: &Event, wall_seconds: u64) {
        match event {
            Event::Acquired { .. } | Event::Unchanged { .. } => {
                self.succeeded.add(1);
                self.last_success.set(wall_seconds);
            }
            Event::Failed { .. } => self.failed.add(1),
            Event::ClockSkew(_) | Event::LifetimeIgnored => {}
        }
    }

    /// Shows the shared state. All VMs write the same values, so the last write is right; and
    /// again at every tick, because what an update replaces ends later, and with a 0.
    pub(crate) fn show(&self, state: &State) {
        let expiry = state
            .token
            .as_ref()
            .map_or(0, |token| token.expires_wall.0 / 1000);
        self.expiry.set(expiry);
        self.failures.set(u64::from(state.failures));
        self.show_failing_since(state.failing_since.map_or(0, |since| since.0 / 1000));
        self.shown.set(true);
    }
}

impl TokenMetrics {
    /// Envoy has no way to take a gauge away again: after the failures it shows 0.
    fn show_failing_since(&self, seconds: u64) {
        let (name, gauge) = &self.failing_since;
        if seconds > 0 {
            gauge.get_or_init(|| Metric::define(MetricType::Gauge, name));
        }
        if let Some(gauge) = gauge.get() {
            gauge.set(seconds);
        }
    }
}

impl Drop for TokenMetrics {
    /// No configuration names the token any more: 0 means none. What has shown nothing takes
    /// nothing back: the temporary VM that tries a configuration must not wipe the gauges of
    /// those in use.
    fn drop(&mut self) {
        if self.shown.get() {
            self.expiry.set(0);
            self.failures.set(0);
            self.show_failing_since(0);
        }
    }
}

/// How many requests wait for a token, in the whole process: each VM adds its own changes.
pub(crate) struct HeldGauge {
    metric: Metric,
}

impl HeldGauge {
    pub(crate) fn new() -> Self {
        Self {
            metric: define(MetricType::Gauge, "held_requests", &[]),
        }
    }

    pub(crate) fn change(&self, by: i64) {
        self.metric.add(by);
    }
}

/// How many mistakes the newest configuration has, in use or refused, by the plugin's name: two of ours
/// may stand side by side in one proxy.
pub(crate) struct ConfigErrorsGauge {
    metric: Metric,
}

impl ConfigErrorsGauge {
    pub(crate) fn new(plugin: &str) -> Self {
        Self {
            metric: define(
                MetricType::Gauge,
                "configuration_mistakes",
                &[("plugin", plugin)],
            ),
        }
    }

    pub(crate) fn set(&self, errors: u32) {
        self.metric.set(errors.into());
    }
}

/// Shows the version of this product: the value is always 1.
pub(crate) fn show_build_info() {
    let version = [("version", env!("CARGO_PKG_VERSION"))];
    define(MetricType::Gauge, "build_info", &version).set(1);
}

/// Whether requests can be authorised.
pub(crate) struct ReadyGauge {
    metric: Metric,
}

impl ReadyGauge {
    pub(crate) fn new() -> Self {
        Self {
            metric: define(MetricType::Gauge, "ready", &[]),
        }
    }

    pub(crate) fn set(&self, is_ready: bool) {
        self.metric.set(is_ready.into());
    }
}
