//! The cluster of a target: its addresses, TLS with verification of the name, HTTP/1.1 or HTTP/2, and
//! the upstream filter that puts the token on each request.

use entra_auth_settings_input::{Endpoint, Scheme};
use serde_json::{Value, json};

use super::upstream::{IDLE_TIMEOUT, connections};
use super::{header_overrides, http, listener, plugin, with};
use crate::settings::Settings;
use crate::settings::target::{Target, TargetName};

/// The cluster's name in routes and metrics: `target` for the target of the environment variables.
pub(super) fn name(target: &Target) -> String {
    if target.name == TargetName::only() {
        return target.name.to_string();
    }
    // The prefix avoids the names of other clusters.
    format!("target-{}", target.name)
}

/// The timeout of TCP and TLS together, with time for two lost packets. With the route's two retries a
/// client has a response after 15 s, before Prometheus gives up (30 s).
pub(super) const CONNECT_TIMEOUT: &str = "5s";

/// The targets' endpoints, each with the name of its cluster.
pub(super) fn endpoints(settings: &Settings) -> Vec<(String, &Endpoint)> {
    let targets = settings.targets.iter();
    targets
        .map(|target| (name(target), &target.endpoint))
        .collect()
}

/// Disables the circuit breakers. The filter's hold limits and the overload manager limit the waiting
/// requests; a lower circuit breaker would answer without a specific reason.
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
        // Envoy must open its listeners before DNS answers: probes and metrics must not wait.
        "wait_for_warm_on_init": false,
        "circuit_breakers": no_circuit_breakers(),
        "per_connection_buffer_limit_bytes": listener::CONNECTION_BUFFER,
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": protocols(target, settings),
        },
    });
    with(cluster, connections(&name, &target.endpoint, settings))
}

/// The protocol options: over TLS the protocol that the target selects by ALPN, else HTTP/1.1; and the
/// upstream filters.
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
    filters.extend(header_overrides::filter(target));
    http::cluster_options(
        filters,
        version,
        &json!({
            "idle_timeout": IDLE_TIMEOUT,
            "max_headers_count": http::MAX_HEADERS,
            "max_response_headers_kb": http::MAX_HEADERS_KIB,
        }),
    )
}
