//! The clusters of the collectors: one for each connection that differs, so usually one for all signals.

use std::time::Duration;

use entra_auth_settings_input::{Endpoint, Scheme};
use serde_json::{Value, json};

use super::headers;
use crate::bootstrap::upstream::{
    IDLE_TIMEOUT, connections_without_tls, tcp_options, tls_trusting,
};
use crate::bootstrap::{http, listener, numbered, typed, with};
use crate::settings::Settings;
use crate::settings::telemetry::{Exporter, Protocol};
use crate::settings::trust_store::TrustStore;

/// The timeout of TCP and TLS together: less than half of the default export timeout, so that a second
/// attempt has a chance.
const CONNECT_TIMEOUT: &str = "4s";

/// How long a collector may accept no data until its connection is closed, and the next export makes a
/// new one.
const DEAD_AFTER: Duration = Duration::from_secs(10);

/// How many exports a collector may have in hand at a time: some, and two of each worker, whose tracers
/// and loggers send at the same moment. With the exports that wait for a connection or a retry, this
/// bounds what spans and log records cost while a collector does not answer: 5 to 8 MB of memory with two
/// workers.
const IN_HAND: u32 = 4;
const OF_A_WORKER: u32 = 2;

/// The same for metrics. Those of a thousand targets are a few requests.
const METRICS_IN_HAND: u32 = 16;

/// One of the exporters of each collector.
pub(super) fn distinct(settings: &Settings) -> Vec<&Exporter> {
    let mut distinct: Vec<&Exporter> = Vec::new();
    for (_, exporter) in settings.telemetry.exporters() {
        if !distinct.iter().any(|other| is_same(other, exporter)) {
            distinct.push(exporter);
        }
    }
    distinct
}

/// Whether two exporters can share a cluster.
fn is_same(one: &Exporter, other: &Exporter) -> bool {
    one.endpoint == other.endpoint
        && one.protocol == other.protocol
        && one.trust_store == other.trust_store
        && one.headers == other.headers
}

/// The name of the cluster of an exporter's collector.
pub(super) fn name(exporter: &Exporter, settings: &Settings) -> String {
    let collectors = distinct(settings).into_iter();
    let before = collectors.take_while(|other| !is_same(other, exporter));
    numbered("collector", before.count())
}

/// The collectors' endpoints, each with the name of its cluster.
pub(in crate::bootstrap) fn remotes(settings: &Settings) -> Vec<(String, &Endpoint)> {
    distinct(settings)
        .into_iter()
        .map(|exporter| (name(exporter, settings), &exporter.endpoint))
        .collect()
}

pub(super) fn clusters(settings: &Settings) -> Vec<Value> {
    let collectors = distinct(settings).into_iter().enumerate();
    collectors
        .map(|(before, exporter)| cluster(before, exporter, settings))
        .collect()
}

fn cluster(before: usize, exporter: &Exporter, settings: &Settings) -> Value {
    let name = name(exporter, settings);
    let headers = headers::filter(before, settings);
    let cluster = json!({
        "name": name,
        "connect_timeout": CONNECT_TIMEOUT,
        "wait_for_warm_on_init": false,
        "circuit_breakers": circuit_breakers(settings),
        "per_connection_buffer_limit_bytes": listener::CONNECTION_BUFFER,
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": protocol(exporter, headers),
        },
    });
    let endpoint = &exporter.endpoint;
    let connections = connections_without_tls(&name, endpoint, tcp_options(DEAD_AFTER), settings);
    let tls = tls_trusting(exporter.trust_store.as_ref(), endpoint, settings);
    with(with(cluster, connections), tls)
}

/// The trust stores of collectors.
pub(in crate::bootstrap) fn trust_stores(
    settings: &Settings,
) -> impl Iterator<Item = Option<&TrustStore>> {
    let exporters = settings.telemetry.exporters();
    exporters.map(|(_, exporter)| exporter.trust_store.as_ref())
}

/// HTTP/2 for gRPC; else HTTP/1.1, or what the collector selects by ALPN.
fn protocol(exporter: &Exporter, headers: Option<Value>) -> Value {
    let http2 = json!({ "http2_protocol_options": http::http2() });
    let version = match (exporter.protocol, exporter.endpoint.scheme) {
        (Protocol::Grpc, _) => json!({ "explicit_http_config": http2 }),
        (Protocol::HttpProtobuf, Scheme::Http) => {
            json!({ "explicit_http_config": { "http_protocol_options": {} } })
        }
        (Protocol::HttpProtobuf, Scheme::Https) => json!({ "auto_config": http2 }),
    };
    let mut filters = Vec::from_iter(headers);
    if exporter.protocol == Protocol::HttpProtobuf {
        filters.push(with_content_length());
    }
    http::cluster_options(filters, version, &json!({ "idle_timeout": IDLE_TIMEOUT }))
}

/// Sets `Content-Length`, which is not known by the exporter's HTTP/2: some receivers do not take a chunked
/// request.
fn with_content_length() -> Value {
    typed(
        "envoy.filters.http.buffer",
        "envoy.extensions.filters.http.buffer.v3.Buffer",
        json!({ "max_request_bytes": 16 << 20 }),
    )
}

/// Limits what waits for a collector. Metrics have a priority of their own.
fn circuit_breakers(settings: &Settings) -> Value {
    let in_hand = IN_HAND + OF_A_WORKER * settings.concurrency;
    let limits = |priority: &str, most: u32| {
        json!({
            "priority": priority,
            "max_connections": most,
            "max_pending_requests": most,
            "max_requests": most,
            "max_retries": most,
        })
    };
    json!({ "thresholds": [
        limits("DEFAULT", in_hand),
        limits("HIGH", METRICS_IN_HAND),
    ] })
}
