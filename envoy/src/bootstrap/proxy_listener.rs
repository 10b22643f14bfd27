//! The proxy: everything a client sends goes to the target as it came, but for the `Host`, the
//! `Authorization`, and whatever would steer Envoy.

use serde_json::{Value, json};

use super::status_listener::{self, method};
use super::{access_log, auth_errors, http, listener, local_replies, target_cluster, typed};
use crate::settings::Settings;

/// Holds a client's X-Forwarded-Proto while Envoy, which sets its own, handles the request.
const CLIENT_PROTO: &str = "x-envoy-client-forwarded-proto";

/// Names Envoy's metrics of the clients' side.
pub const STAT_PREFIX: &str = "proxy";

pub(super) fn listener(settings: &Settings) -> Value {
    let mut routes = Vec::new();
    if settings.proxy_health_paths {
        routes.push(status_listener::health());
        routes.push(json!({
            "match": { "path": "/ready", "headers": [method("GET|HEAD")] },
            "route": { "cluster": status_listener::CLUSTER, "timeout": "5s" },
        }));
    }
    routes.push(target(settings));
    let virtual_host = json!({ "name": "target", "domains": ["*"], "routes": routes });

    let mut filters = vec![restore_forwarded_proto()];
    filters.extend(auth_errors::filter(settings.auth_errors_retryable));
    let manager = http::connection_manager(
        STAT_PREFIX,
        &virtual_host,
        filters,
        json!({
            "early_header_mutation_extensions": [ignore_envoy_headers()],
            "http_protocol_options": {
                "accept_http_10": true,
                "default_host_for_http_10": settings.target.authority(),
                "allow_custom_methods": true,
                "enable_trailers": true,
            },
            // Of the whole request, not of a try: what waits in the filter counts, too.
            "stream_idle_timeout": format!("{}s", settings.idle_timeout.as_secs()),
            // The target decides whether the body is wanted, not we.
            "proxy_100_continue": true,
            // HTTP/2 tells the target the scheme: that of the connection to it.
            "scheme_header_transformation": { "match_upstream": true },
            "local_reply_config": local_replies::config(settings),
            "access_log": access_log::loggers(settings.access_log, settings.proxy_health_paths),
        }),
    );
    listener::listener(
        "proxy",
        settings.listening_port,
        settings.ipv6,
        &manager,
        json!({}),
    )
}

/// Every request. (Envoy itself refuses what has no path: `OPTIONS *` and `CONNECT`.)
fn target(settings: &Settings) -> Value {
    json!({
        "match": { "prefix": "/" },
        "route": {
            "cluster": target_cluster::CLUSTER,
            "host_rewrite_literal": settings.target.authority(),
            "timeout": "0s",
            "retry_policy": auth_errors::retry_policy(),
        },
        "request_body_buffer_limit": auth_errors::kept_body_bytes(),
        // What a client puts there is for us, not for the target; the filter sets the token.
        "request_headers_to_remove": ["authorization", "proxy-authorization"],
    })
}

/// A client's x-envoy-* headers set time-outs, retries, traces and the like: they go before anyone
/// reads them. In the same step its X-Forwarded-Proto is put aside.
fn ignore_envoy_headers() -> Value {
    typed(
        "envoy.http.early_header_mutation.header_mutation",
        "envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation",
        json!({ "mutations": [
            { "remove_on_match": { "key_matcher": { "prefix": "x-envoy-", "ignore_case": true } } },
            { "append": {
                "header": { "key": CLIENT_PROTO, "value": "%REQUEST_HEADER(X-FORWARDED-PROTO)%" },
                "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
            } },
        ] }),
    )
}

/// Envoy's own X-Forwarded-Proto and its x-envoy-* headers go, the client's value comes back.
fn restore_forwarded_proto() -> Value {
    typed(
        "envoy.filters.http.header_mutation",
        "envoy.extensions.filters.http.header_mutation.v3.HeaderMutation",
        json!({ "mutations": { "request_mutations": [
            { "remove": "x-forwarded-proto" },
            { "append": {
                "header": {
                    "key": "x-forwarded-proto",
                    "value": format!("%REQUEST_HEADER({CLIENT_PROTO})%"),
                },
                "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
            } },
            { "remove_on_match": { "key_matcher": { "prefix": "x-envoy-" } } },
        ] } }),
    )
}
