//! The cluster of the target: found by DNS or by its address, spoken to by TLS with its name
//! checked, HTTP/2 where it offers it, and the filter that authorizes each request on its way out.

use serde_json::{Value, json};

use super::upstream::{IDLE_TIMEOUT, connections};
use super::{header_overrides, http, listener, plugin, typed, with};
use crate::settings::Settings;
use crate::settings::authority::Scheme;

/// The cluster's name, in routes and metrics.
pub(super) const CLUSTER: &str = "target";

/// For TCP and TLS together, two lost packets included. With the route's two retries a client has
/// its answer after 15 s, before Prometheus gives up (30 s).
pub(super) const CONNECT_TIMEOUT: &str = "5s";

/// What may wait is bounded by the filter's hold limits and the overload manager. A breaker below
/// those would answer for them, without a reason.
pub(super) fn no_circuit_breakers() -> Value {
    const UNBOUNDED: u32 = u32::MAX;
    json!({ "thresholds": [{
        "max_connections": UNBOUNDED,
        "max_pending_requests": UNBOUNDED,
        "max_requests": UNBOUNDED,
        "max_retries": UNBOUNDED,
    }] })
}

pub(super) fn cluster(settings: &Settings) -> Value {
    let target = &settings.target;
    let cluster = json!({
        "name": CLUSTER,
        "connect_timeout": CONNECT_TIMEOUT,
        // Envoy opens the listeners without an answer from DNS: probes and metrics must not wait.
        "wait_for_warm_on_init": false,
        "circuit_breakers": no_circuit_breakers(),
        "per_connection_buffer_limit_bytes": listener::CONNECTION_BUFFER,
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": protocols(settings),
        },
    });
    with(cluster, connections(CLUSTER, target, settings))
}

/// By TLS what the target chooses, in clear HTTP/1.1; and the filters of the way out.
fn protocols(settings: &Settings) -> Value {
    let http1 = json!({ "enable_trailers": true });
    let version = match settings.target.scheme {
        Scheme::Https => json!({ "auto_config": {
            "http_protocol_options": http1,
            "http2_protocol_options": http::http2(),
        } }),
        Scheme::Http => json!({ "explicit_http_config": { "http_protocol_options": http1 } }),
    };
    let mut filters = vec![plugin::authorize(settings)];
    filters.extend(header_overrides::filter(&settings.override_headers));
    filters.push(typed(
        "envoy.filters.http.upstream_codec",
        "envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec",
        json!({}),
    ));
    let options = json!({
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "common_http_protocol_options": { "idle_timeout": IDLE_TIMEOUT },
        "http_filters": filters,
    });
    with(options, version)
}
