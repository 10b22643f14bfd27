//! The cluster of a target: found by DNS or by its address, spoken to by TLS with its name
//! checked, HTTP/2 where it offers it, and the filter that authorizes each request on its way out.

use entra_auth_settings_input::{Endpoint, Scheme};
use serde_json::{Value, json};

use super::upstream::{IDLE_TIMEOUT, connections};
use super::{header_overrides, http, listener, plugin, typed, with};
use crate::settings::Settings;
use crate::settings::target::{Target, TargetName};

/// The cluster's name, in routes and metrics: `target` for the one that the environment names.
pub(super) fn name(target: &Target) -> String {
    if target.name == TargetName::only() {
        return target.name.to_string();
    }
    // Apart from the names of the clusters that are not a target's.
    format!("target-{}", target.name)
}

/// For TCP and TLS together, two lost packets included. With the route's two retries a client has
/// its answer after 15 s, before Prometheus gives up (30 s).
pub(super) const CONNECT_TIMEOUT: &str = "5s";

/// Where the targets' clusters lead, each with its cluster's name.
pub(super) fn ends(settings: &Settings) -> Vec<(String, &Endpoint)> {
    let targets = settings.targets.iter();
    targets
        .map(|target| (name(target), &target.endpoint))
        .collect()
}

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

pub(super) fn cluster(target: &Target, settings: &Settings) -> Value {
    let name = name(target);
    let cluster = json!({
        "name": name,
        "connect_timeout": CONNECT_TIMEOUT,
        // Envoy opens the listeners without an answer from DNS: probes and metrics must not wait.
        "wait_for_warm_on_init": false,
        "circuit_breakers": no_circuit_breakers(),
        "per_connection_buffer_limit_bytes": listener::CONNECTION_BUFFER,
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": protocols(target, settings),
        },
    });
    with(cluster, connections(&name, &target.endpoint, settings))
}

/// By TLS what the target chooses, in clear HTTP/1.1; and the filters of the way out.
fn protocols(target: &Target, settings: &Settings) -> Value {
    let http1 = json!({ "enable_trailers": true });
    let version = match target.endpoint.scheme {
        Scheme::Https => json!({ "auto_config": {
            "http_protocol_options": http1,
            "http2_protocol_options": http::http2(),
        } }),
        Scheme::Http => json!({ "explicit_http_config": { "http_protocol_options": http1 } }),
    };
    let mut filters = vec![plugin::authorize(target, settings)];
    filters.extend(header_overrides::filter(target, settings));
    filters.push(typed(
        "envoy.filters.http.upstream_codec",
        "envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec",
        json!({}),
    ));
    let options = json!({
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "common_http_protocol_options": {
            "idle_timeout": IDLE_TIMEOUT,
            "max_headers_count": http::MAX_HEADERS,
            "max_response_headers_kb": http::MAX_HEADERS_KIB,
        },
        "http_filters": filters,
    });
    with(options, version)
}
