//! Telemetry by OTLP ([OpenTelemetry protocol](https://opentelemetry.io/docs/specs/otlp/)).
//!
//! Envoy's exporters do not send to the collectors themselves, but to a Unix socket of this Envoy. The
//! listener on it forwards to the collectors:
//!
//! ```text
//! stats sink (main thread) ─┐                                  ┌─ route `metrics` ─▶ cluster `collector`
//! tracer (workers)         ─┼─▶ cluster ──▶ listener on       ─┼─ route `traces`  ─▶ …
//! access logger (workers)  ─┘  `telemetry`  `telemetry.sock`   └─ route `logs`    ─▶ …
//! ```
//!
//! So every export has a timeout and bounded retries, whatever the exporter has itself, and there is one
//! place that sees how each export ends
//! ([decision 21](../../../../docs/decisions/0021-otlp-through-a-pipe.md)). An internal listener would not
//! do: Envoy's main thread, which sends the metrics, cannot connect to one.
//!
//! Nothing of this is in the bootstrap if the settings export nothing.

mod collectors;
mod headers;
mod listener;
pub(super) mod logs;
pub(super) mod metrics;
pub(super) mod old_names;
mod sampling;
pub(super) mod traces;

use std::path::{Path, PathBuf};
use std::time::Duration;

use entra_token_core::config;
use serde_json::{Map, Value, json};

use super::{parsed, typed};
use crate::settings::Settings;
use crate::settings::telemetry::signal::Signal;
use crate::settings::telemetry::{Exporter, Protocol};

pub(super) use collectors::{remotes, trust_stores};
pub use headers::variables as export_headers;

/// The cluster through which Envoy's exporters reach the listener of this name.
const NAME: &str = "telemetry";

/// The path of the exporters' socket; `None` if nothing is exported.
#[must_use]
pub fn socket(settings: &Settings, run_dir: &Path) -> Option<PathBuf> {
    let mut exporters = settings.telemetry.exporters();
    exporters.next().map(|_| run_dir.join("telemetry.sock"))
}

/// What is exported where, for the filter that counts the exports and for `/status`.
pub(super) fn exports(settings: &Settings) -> Vec<config::Export> {
    let exporters = settings.telemetry.exporters();
    exporters
        .map(|(signal, exporter)| config::Export {
            signal,
            collector: parsed(&exporter.endpoint.authority()),
        })
        .collect()
}

/// The listener for the exporters, if anything is exported.
pub(super) fn listener(settings: &Settings, run_dir: &Path) -> Option<Value> {
    Some(listener::listener(settings, &socket(settings, run_dir)?))
}

/// The clusters of the exporters and of the collectors, if anything is exported.
pub(super) fn clusters(settings: &Settings, run_dir: &Path) -> Vec<Value> {
    let Some(socket) = socket(settings, run_dir) else {
        return Vec::new();
    };
    let mut clusters = vec![listener::cluster(settings, &socket)];
    clusters.extend(collectors::clusters(settings));
    clusters
}

/// How long after an event the last exporter has sent it: what a drain waits for after the last request.
#[must_use]
pub fn flushed_after(settings: &Settings) -> Duration {
    let telemetry = &settings.telemetry;
    let metrics = telemetry.metrics.as_ref().map(|of| of.interval);
    let traces = telemetry.traces.as_ref().map(|_| traces::FLUSH_INTERVAL);
    let logs = telemetry.logs.as_ref().map(|_| logs::FLUSH_INTERVAL);
    let longest = [metrics, traces, logs].into_iter().flatten().max();
    longest.map_or(Duration::ZERO, |interval| interval + SENDING)
}

/// How long a flush takes with a healthy collector.
const SENDING: Duration = Duration::from_secs(1);

/// The field of an exporter's configuration that says where it sends to: the local cluster, in the
/// collector's protocol. Its own timeout, which not every exporter has, is longer than that of the route,
/// so that the route's answer always comes first.
fn service(signal: Signal, exporter: &Exporter) -> Value {
    let timeout = seconds(listener::longest(exporter));
    match exporter.protocol {
        Protocol::Grpc => json!({ "grpc_service": {
            "envoy_grpc": { "cluster_name": NAME },
            "timeout": timeout,
        } }),
        Protocol::HttpProtobuf => json!({ "http_service": { "http_uri": {
            "uri": format!("http://{NAME}{}", signal.path(exporter.protocol)),
            "cluster": NAME,
            "timeout": timeout,
        } } }),
    }
}

/// The attributes of the resource, for the exporters of metrics and traces. Envoy's own detector does not
/// percent-decode `OTEL_RESOURCE_ATTRIBUTES`.
fn resource_detectors(settings: &Settings) -> Value {
    let attributes: Map<String, Value> = settings
        .telemetry
        .resource
        .iter()
        .map(|(key, value)| (key.clone(), json!(value)))
        .collect();
    json!([typed(
        "envoy.tracers.opentelemetry.resource_detectors.static_config",
        "envoy.extensions.tracers.opentelemetry.resource_detectors.v3.StaticConfigResourceDetectorConfig",
        json!({ "attributes": attributes }),
    )])
}

/// A duration as Envoy's configuration has it.
fn seconds(duration: Duration) -> String {
    format!("{}s", duration.as_secs_f64())
}
