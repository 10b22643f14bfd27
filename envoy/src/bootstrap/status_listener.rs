//! The listener for operators. Envoy answers `/health`, the filter answers `/ready` and `/status`, and
//! the admin interface answers `/metrics`; nothing else of the admin interface is exposed.

use entra_token_core::status::READY_WITHOUT_DETAILS;
use serde_json::{Value, json};

use super::{admin, http, listener, plugin, typed, with};
use crate::settings::Settings;

/// The cluster through which the proxy listeners get `/ready`.
pub(super) const CLUSTER: &str = "status";

pub(super) fn listener(settings: &Settings) -> Value {
    let virtual_host = json!({
        "name": "status",
        "domains": ["*"],
        "routes": [
            with(health(), without_filter()),
            with(metrics(), without_filter()),
            {
                // The filter answers /ready and /status before.
                "match": { "prefix": "/" },
                "direct_response": {
                    "status": 404,
                    "body": { "inline_string": "Here are /health, /ready, /status and /metrics.\n" },
                },
            },
        ],
    });
    let manager = http::connection_manager(
        "status",
        &[virtual_host],
        vec![not_ready_while_draining(), plugin::status(settings)],
        json!({}),
    );
    listener::listener(
        "status",
        settings.bound_to(settings.status_address, settings.status_port),
        &manager,
        // Probes and metrics must work under overload, too.
        json!({ "bypass_overload_manager": true, "ignore_global_conn_limit": true }),
    )
}

/// Answers `/ready` with 503 once Envoy was told to fail its health checks, which begins a drain. Until
/// then the filter answers.
fn not_ready_while_draining() -> Value {
    health_check(&format!("/ready|{READY_WITHOUT_DETAILS}"), Vec::new())
}

/// A filter that passes probes of these paths with these header matchers, without a span in a trace, and
/// answers 503 to them in a drain.
pub(super) fn health_check(paths: &str, mut headers: Vec<Value>) -> Value {
    headers.push(json!({
        "name": ":path",
        "string_match": { "safe_regex": { "regex": format!(r"({paths})(\?.*)?") } },
    }));
    typed(
        "envoy.filters.http.health_check",
        "envoy.extensions.filters.http.health_check.v3.HealthCheck",
        json!({
            "pass_through_mode": true,
            "headers": headers,
        }),
    )
}

/// The route of `/health`: 200 while Envoy serves.
pub(super) fn health() -> Value {
    json!({
        "match": { "path": "/health", "headers": [method("GET|HEAD")] },
        "direct_response": { "status": 200, "body": { "inline_string": "OK\n" } },
    })
}

fn metrics() -> Value {
    json!({
        "match": { "path": "/metrics", "headers": [method("GET")] },
        "route": {
            "cluster": admin::CLUSTER,
            "prefix_rewrite": "/stats/prometheus",
            "timeout": "30s",
        },
    })
}

/// Disables the filter for a route: health and metrics must work if the filter has failed.
fn without_filter() -> Value {
    json!({ "typed_per_filter_config": { plugin::HTTP_FILTER: {
        "@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig",
        "disabled": true,
    } } })
}

/// A route's header matcher for these methods.
pub(super) fn method(regex: &str) -> Value {
    json!({ "name": ":method", "string_match": { "safe_regex": { "regex": regex } } })
}

pub(super) fn cluster(settings: &Settings) -> Value {
    json!({
        "name": CLUSTER,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {
            "cluster_name": CLUSTER,
            "endpoints": [{ "lb_endpoints": [{ "endpoint": { "address": { "socket_address": {
                "address": settings.status_address.from_inside().to_string(),
                "port_value": settings.status_port,
            } } } }] }],
        },
    })
}
