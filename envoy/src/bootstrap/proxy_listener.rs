//! The proxy's listeners. A client's request is forwarded unmodified, except for `Host`, `Authorization`
//! and headers that would control Envoy. A port forwards to one target, or to the target that the
//! request's `Host` selects.

use entra_token_core::status::READY_WITHOUT_DETAILS;
use serde_json::{Value, json};

use super::status_listener::{self, method};
use super::{
    access_log, auth_errors, http, listener, local_replies, numbered, retries, target_cluster,
    telemetry, typed, with,
};
use crate::settings::Settings;
use crate::settings::listener::{Listener, Routing};
use crate::settings::target::{Target, hosts};

/// Preserves a client's X-Forwarded-Proto, which Envoy overwrites while it handles the request.
const CLIENT_PROTO: &str = "x-envoy-client-forwarded-proto";

/// The safe methods (RFC 9110 §9.2.1): the target may receive such a request twice.
const SAFE_METHODS: &str = "GET|HEAD|OPTIONS|TRACE";

/// The prefix of the listeners' metrics.
pub const STAT_PREFIX: &str = "proxy";

/// Headers that override a request's method by one that may not be safe.
const OTHER_METHOD: [&str; 3] = [
    "x-http-method-override",
    "x-http-method",
    "x-method-override",
];

pub(super) fn listeners(settings: &Settings) -> Vec<Value> {
    let listeners = settings.listeners.iter().enumerate();
    listeners
        .map(|(before, of)| listener(of, &numbered("proxy", before), settings))
        .collect()
}

fn listener(of: &Listener, name: &str, settings: &Settings) -> Value {
    let targets: Vec<&Target> = settings.targets_of(&of.routing).collect();
    let health = health_routes(settings);
    let (virtual_hosts, without_host) = match of.routing {
        Routing::Always(_) => {
            let any_host = json!(["*"]);
            let hosts = |target: &&Target| virtual_host(target, &any_host, &health, settings);
            let authority = |target: &&Target| target.endpoint.authority();
            (
                targets.iter().map(hosts).collect(),
                json!({ "default_host_for_http_10": targets.first().map(authority) }),
            )
        }
        Routing::ByHost(_) => (by_host(&targets, of.port, &health, settings), json!({})),
    };
    let mut filters = Vec::from_iter(telemetry::traces::no_probes(settings));
    filters.push(restore_forwarded_proto());
    let (auth_errors, virtual_hosts) = auth_errors::configure(&targets, virtual_hosts);
    filters.extend(auth_errors);
    let mut access_log = access_log::loggers(settings);
    access_log.extend(telemetry::old_names::logger(settings));
    let config = json!({
            "early_header_mutation_extensions": [early_mutations(settings)],
            "http_protocol_options": with(with(http::http1(), json!({
                "accept_http_10": true,
                "allow_custom_methods": true,
                "enable_trailers": true,
            })), without_host),
            // For the whole request including retries, so the time in the filter counts, too.
            "stream_idle_timeout": format!("{}s", settings.idle_timeout.as_secs()),
            // The target decides whether it accepts the body.
            "proxy_100_continue": true,
            // The scheme in HTTP/2 requests is that of the connection to the target.
            "scheme_header_transformation": { "match_upstream": true },
            "local_reply_config": local_replies::config(&of.routing, settings),
            "access_log": access_log,
    });
    let config = with(config, telemetry::traces::fields(settings));
    let manager = http::connection_manager(STAT_PREFIX, &virtual_hosts, filters, config);
    let address = settings.bound_to(of.address, of.port);
    listener::listener(name, address, &manager, json!({}))
}

/// The routes for health probes. They match any `Host`, because probes use the pod's address.
fn health_routes(settings: &Settings) -> Vec<Value> {
    if !settings.proxy_health_paths {
        return Vec::new();
    }
    let ready = json!({
        "match": { "path": "/ready", "headers": [method("GET|HEAD")] },
        "route": {
            "cluster": status_listener::CLUSTER,
            // Clients of this port are not trusted with details of the identities.
            "prefix_rewrite": READY_WITHOUT_DETAILS,
            "timeout": "5s",
        },
    });
    // The access log recognizes probes by this name.
    [status_listener::health(), ready]
        .map(|route| with(route, json!({ "name": access_log::PROBES })))
        .into()
}

fn virtual_host(target: &Target, hosts: &Value, health: &[Value], settings: &Settings) -> Value {
    let mut routes = health.to_vec();
    routes.extend(
        to(target).map(|route| with(route, telemetry::old_names::of_route(target, settings))),
    );
    json!({
        "name": target.name.to_string(),
        "domains": hosts,
        "routes": routes,
        // Only our own responses have it.
        "response_headers_to_remove": [access_log::REASON],
    })
}

/// A virtual host for each target, and one that answers all other hosts with 421 Misdirected Request
/// (RFC 9110 §15.5.20).
fn by_host(targets: &[&Target], port: u16, health: &[Value], settings: &Settings) -> Vec<Value> {
    let mut virtual_hosts: Vec<Value> = targets
        .iter()
        .map(|target| {
            let hosts = json!(hosts(&target.endpoint, port));
            virtual_host(target, &hosts, health, settings)
        })
        .collect();
    let mut routes = health.to_vec();
    routes.push(json!({ "match": { "prefix": "/" }, "direct_response": { "status": 421 } }));
    virtual_hosts.push(json!({
        // No target can have this name.
        "name": "no target",
        "domains": ["*"],
        "routes": routes,
    }));
    virtual_hosts
}

/// The routes to a target. Requests with a safe method have a wider retry policy. (Envoy itself refuses
/// requests without a path: `OPTIONS *` and `CONNECT`.)
fn to(target: &Target) -> [Value; 2] {
    let mut headers = vec![method(SAFE_METHODS)];
    headers.extend(OTHER_METHOD.map(|name| json!({ "name": name, "present_match": false })));
    let safe = json!({ "prefix": "/", "headers": headers });
    [
        route(target, &safe, &retries::safe_methods()),
        route(target, &json!({ "prefix": "/" }), &retries::any_method()),
    ]
}

fn route(target: &Target, requests: &Value, retry_policy: &Value) -> Value {
    json!({
        "match": requests,
        "route": {
            "cluster": target_cluster::name(target),
            "host_rewrite_literal": target.endpoint.authority(),
            "timeout": "0s",
            "retry_policy": retry_policy,
        },
        "request_body_buffer_limit": retries::MAX_BUFFERED_BODY,
        // A client's credentials are not for the target; the filter sets the token.
        "request_headers_to_remove": ["authorization", "proxy-authorization"],
    })
}

/// Removes a client's x-envoy-* headers, which would control timeouts, retries and traces, and saves the
/// client's X-Forwarded-Proto.
fn early_mutations(settings: &Settings) -> Value {
    let mut mutations = vec![
        json!({ "remove_on_match": { "key_matcher": { "prefix": "x-envoy-", "ignore_case": true } } }),
        json!({ "append": {
            "header": { "key": CLIENT_PROTO, "value": "%REQUEST_HEADER(X-FORWARDED-PROTO)%" },
            "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
        } }),
    ];
    mutations.extend(telemetry::traces::early_mutations(settings));
    typed(
        "envoy.http.early_header_mutation.header_mutation",
        "envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation",
        json!({ "mutations": mutations }),
    )
}

/// Removes Envoy's x-envoy-* headers, and restores the client's X-Forwarded-Proto.
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
