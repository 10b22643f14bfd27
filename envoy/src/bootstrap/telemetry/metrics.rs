//! Metrics by OTLP: Envoy's stats sink, which sends what the list names under the names of `/metrics`.
//!
//! The sink sends at each flush of Envoy's statistics, so the export interval is the flush interval, also
//! for what Envoy updates only then: the histograms of `/metrics` and `envoy_server_*`.

use serde_json::{Value, json};

use super::{resource_detectors, seconds, service};
use crate::bootstrap::{typed, with};
use crate::settings::Settings;
use crate::settings::telemetry::signal::Signal;
use crate::settings::telemetry::{Metrics, Temporality};

/// Our own metrics, as on `/metrics`. Their full names have labels before the name, see `bootstrap::stats`.
const OURS: [&str; 13] = [
    "entra_auth_build_info",
    "entra_auth_certificate_expiry_timestamp_seconds",
    "entra_auth_configuration_mistakes",
    "entra_auth_held_requests",
    "entra_auth_ready",
    "entra_auth_requests_total",
    "entra_auth_target_responses_total",
    "entra_auth_telemetry_exports_total",
    "entra_auth_token_expiry_timestamp_seconds",
    "entra_auth_token_failing_since_timestamp_seconds",
    "entra_auth_token_last_success_timestamp_seconds",
    "entra_auth_token_refresh_failures_consecutive",
    "entra_auth_token_requests_total",
];

/// Envoy's metrics of the proxy's ports, without `envoy_http_`.
const OF_CLIENTS: [&str; 7] = [
    "downstream_cx_active",
    "downstream_cx_rx_bytes_total",
    "downstream_cx_tx_bytes_total",
    "downstream_rq_active",
    "downstream_rq_time",
    "downstream_rq_total",
    "downstream_rq_xx",
];

/// Envoy's metrics of the clusters of targets and token endpoints, without `envoy_cluster_`.
const OF_CLUSTERS: [&str; 13] = [
    "upstream_cx_active",
    "upstream_cx_connect_fail",
    "upstream_cx_connect_timeout",
    "upstream_cx_rx_bytes_total",
    "upstream_cx_tx_bytes_total",
    "upstream_rq_active",
    "upstream_rq_pending_overflow",
    "upstream_rq_retry",
    "upstream_rq_time",
    "upstream_rq_timeout",
    "upstream_rq_total",
    "upstream_rq_tx_reset",
    "upstream_rq_xx",
];

/// Envoy's metrics of the process, without `envoy_server_`.
const OF_SERVER: [&str; 4] = [
    "memory_allocated",
    "memory_heap_size",
    "memory_physical_size",
    "uptime",
];

/// The most data points in one request: about 1 MB, while collectors take 4 MiB by gRPC.
const POINTS_AT_ONCE: u32 = 4000;

/// The clusters without metrics by OTLP, which lead to Envoy itself.
const INSIDE: &str = r"cluster\.(admin|status|telemetry|credential-files)\..*";

/// The fields of the bootstrap; none if no metrics are exported.
pub(in crate::bootstrap) fn fields(settings: &Settings) -> Value {
    let Some(metrics) = &settings.telemetry.metrics else {
        return json!({});
    };
    json!({
        "stats_sinks": [sink(metrics, settings)],
        "stats_flush_interval": seconds(metrics.interval),
    })
}

fn sink(metrics: &Metrics, settings: &Settings) -> Value {
    let delta = metrics.temporality == Temporality::Delta;
    let config = json!({
        "resource_detectors": resource_detectors(settings),
        "max_data_points_per_request": POINTS_AT_ONCE,
        "report_counters_as_deltas": delta,
        "report_histograms_as_deltas": delta,
        "custom_metric_conversions": {
            "matcher_list": { "matchers": conversions(metrics) },
            "on_no_match": { "action": drop() },
        },
    });
    typed(
        "envoy.stat_sinks.open_telemetry",
        "envoy.extensions.stat_sinks.open_telemetry.v3.SinkConfig",
        with(config, service(Signal::Metrics, &metrics.exporter)),
    )
}

/// The rules for statistics, by their full names. The first match counts; a rule with [`drop`] discards the statistic.
fn conversions(metrics: &Metrics) -> Vec<Value> {
    let mut rules = vec![matcher(INSIDE, &drop())];
    let mut add = |regex: String, name: String| rules.push(matcher(&regex, &renamed(&name)));
    for name in OURS {
        add(format!(r"wasmcustom\.(.*;\.;)?{name}"), name.to_owned());
    }
    if metrics.old_names {
        for name in super::old_names::ALL {
            add(format!(r"wasmcustom\.{name}\..*"), name.to_owned());
        }
    }
    for name in OF_CLIENTS {
        let statistic = of_class(name);
        add(
            format!(r"http\.proxy\.{statistic}"),
            format!("envoy_http_{name}"),
        );
    }
    for name in OF_CLUSTERS {
        let statistic = of_class(name);
        add(
            format!(r"cluster\.[^.]+\.{statistic}"),
            format!("envoy_cluster_{name}"),
        );
    }
    for name in OF_SERVER {
        add(format!(r"server\.{name}"), format!("envoy_server_{name}"));
    }
    rules
}

/// The expression for the names of a metric's statistics: `/metrics` has the class of statuses as label.
fn of_class(name: &str) -> String {
    match name.strip_suffix("_xx") {
        Some(name) => format!("{name}_[1-5]xx"),
        None => name.to_owned(),
    }
}

fn matcher(regex: &str, action: &Value) -> Value {
    let name = typed(
        "name",
        "envoy.extensions.matching.common_inputs.stats.v3.StatFullNameMatchInput",
        json!({}),
    );
    json!({
        "predicate": { "single_predicate": {
            "input": name,
            "value_match": { "safe_regex": { "google_re2": {}, "regex": regex } },
        } },
        "on_match": { "action": action },
    })
}

fn renamed(name: &str) -> Value {
    typed(
        "otlp_metric_conversion",
        "envoy.extensions.stat_sinks.open_telemetry.v3.SinkConfig.ConversionAction",
        json!({ "metric_name": name }),
    )
}

fn drop() -> Value {
    typed(
        "otlp_metric_drop_action",
        "envoy.extensions.stat_sinks.open_telemetry.v3.SinkConfig.DropAction",
        json!({}),
    )
}
