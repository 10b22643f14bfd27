//! The listener for Envoy's exporters, on a Unix socket that only this user can open, and the cluster
//! through which they reach it. A route for each signal leads to its collector.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::{NAME, collectors, seconds};
use crate::bootstrap::{http, listener::CONNECTION_BUFFER, plugin, typed};
use crate::settings::Settings;
use crate::settings::telemetry::signal::Signal;
use crate::settings::telemetry::{Exporter, Protocol};

/// What of a request is kept for a retry, in bytes; a larger one is sent once. An export of 512 spans has
/// about 220 kB.
const KEPT_FOR_RETRY: u32 = 1 << 20;

/// The failures after which OTLP sends an export again
/// (<https://opentelemetry.io/docs/specs/otlp/#failures>): no connection, no response, and the codes that
/// say so. Envoy has no condition for ABORTED, OUT_OF_RANGE and DATA_LOSS. A collector that
/// says it is overloaded (429, RESOURCE_EXHAUSTED) is left alone until the next export.
const RETRYABLE: &str = "connect-failure,refused-stream,reset,retriable-status-codes,\
                         cancelled,deadline-exceeded,unavailable";
const RETRYABLE_STATUS: [u16; 3] = [502, 503, 504];
const RETRIES: u32 = 3;

pub(super) fn listener(settings: &Settings, socket: &Path) -> Value {
    let exporters = settings.telemetry.exporters();
    let routes: Vec<Value> = exporters
        .map(|(signal, exporter)| route(signal, exporter, settings))
        .collect();
    let virtual_host = json!({ "name": NAME, "domains": ["*"], "routes": routes });
    let filters = vec![without_envoys_headers(), plugin::exports(settings)];
    let manager = http::connection_manager(NAME, &[virtual_host], filters, json!({}));
    json!({
        "name": NAME,
        "address": { "pipe": { "path": socket, "mode": 0o600 } },
        // Else its metrics have the path, which is another one at each start.
        "stat_prefix": NAME,
        "per_connection_buffer_limit_bytes": CONNECTION_BUFFER,
        // These connections come from this Envoy, and telemetry is wanted most under overload and in a
        // drain.
        "bypass_overload_manager": true,
        "ignore_global_conn_limit": true,
        "drain_type": "MODIFY_ONLY",
        "filter_chains": [{ "filters": [manager] }],
    })
}

fn route(signal: Signal, exporter: &Exporter, settings: &Settings) -> Value {
    let mut route = json!({
        "cluster": collectors::name(exporter, settings),
        "host_rewrite_literal": exporter.endpoint.authority(),
        "timeout": seconds(exporter.timeout),
        "retry_policy": {
            "retry_on": RETRYABLE,
            "retriable_status_codes": RETRYABLE_STATUS,
            "num_retries": RETRIES,
            "retry_back_off": { "base_interval": "1s", "max_interval": "4s" },
            "rate_limited_retry_back_off": {
                "reset_headers": [{ "name": "retry-after", "format": "SECONDS" }],
                "max_interval": seconds(exporter.timeout),
            },
        },
    });
    if exporter.protocol == Protocol::HttpProtobuf {
        route["prefix_rewrite"] = json!(exporter.path);
    }
    if signal == Signal::Metrics {
        // Spans and log lines that come in thousands must not crowd out the metrics.
        route["priority"] = json!("HIGH");
    }
    json!({
        "name": signal.as_str(),
        "match": { "path": signal.path(exporter.protocol) },
        "route": route,
        "stat_prefix": signal.as_str(),
        "request_body_buffer_limit": KEPT_FOR_RETRY,
    })
}

/// Removes what Envoy adds to the requests of its own exporters and of a listener.
fn without_envoys_headers() -> Value {
    let remove = ["x-envoy-", "x-forwarded-"]
        .map(|prefix| json!({ "remove_on_match": { "key_matcher": { "prefix": prefix } } }));
    typed(
        "envoy.filters.http.header_mutation",
        "envoy.extensions.filters.http.header_mutation.v3.HeaderMutation",
        json!({ "mutations": { "request_mutations": remove } }),
    )
}

/// How long an exporter waits for the route's answer, which comes after the exporter's timeout at the
/// latest.
pub(super) fn longest(exporter: &Exporter) -> Duration {
    exporter.timeout + Duration::from_secs(2)
}

/// The cluster of the exporters. It has no limits of its own but Envoy's defaults, which are far above
/// those of the collectors: an export that is refused here never gets to the filter that counts it and
/// confirms it, so Envoy would log each one.
pub(super) fn cluster(settings: &Settings, socket: &Path) -> Value {
    let exporters = settings.telemetry.exporters();
    let longest = exporters.map(|(_, exporter)| longest(exporter)).max();
    json!({
        "name": NAME,
        "type": "STATIC",
        "connect_timeout": "1s",
        "per_connection_buffer_limit_bytes": CONNECTION_BUFFER,
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                // The exporters of metrics and spans by gRPC have no timeout.
                "common_http_protocol_options": {
                    "max_stream_duration": seconds(longest.unwrap_or_default()),
                },
                "explicit_http_config": { "http2_protocol_options": http::http2() },
            },
        },
        "load_assignment": {
            "cluster_name": NAME,
            "endpoints": [{ "lb_endpoints": [{ "endpoint": {
                "address": { "pipe": { "path": socket } },
            } }] }],
        },
    })
}
