//! The proxy: everything a client sends goes to a target as it came, but for the `Host`, the
//! `Authorization`, and whatever would steer Envoy. A port leads to one target, or to that which the
//! request's `Host` names.

use entra_token_core::status::READY_WITHOUT_DETAILS;
use serde_json::{Value, json};

use super::status_listener::{self, method};
use super::{
    access_log, auth_errors, http, listener, local_replies, numbered, retries, target_cluster,
    typed, with,
};
use crate::settings::Settings;
use crate::settings::target::{Listener, Routing, Target, hosts};

/// Holds a client's X-Forwarded-Proto while Envoy, which sets its own, handles the request.
const CLIENT_PROTO: &str = "x-envoy-client-forwarded-proto";

/// The methods that RFC 9110 §9.2.1 calls safe: a request that the target gets twice changes nothing
/// there.
const SAFE_METHODS: &str = "GET|HEAD|OPTIONS|TRACE";

/// Names Envoy's metrics of the clients' side.
pub const STAT_PREFIX: &str = "proxy";

/// By these headers a request asks to be taken for one of another method, which need not be safe.
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
    let targets: Vec<&Target> = of
        .routing
        .targets()
        .iter()
        .filter_map(|index| settings.targets.get(*index))
        .collect();
    let health = health_routes(settings);
    let (virtual_hosts, without_host) = match of.routing {
        Routing::Always(_) => {
            let hosts = |target: &&Target| virtual_host(target, &json!(["*"]), &health);
            let authority = |target: &&Target| target.endpoint.authority();
            (
                targets.iter().map(hosts).collect(),
                json!({ "default_host_for_http_10": targets.first().map(authority) }),
            )
        }
        Routing::ByHost(_) => (by_host(&targets, of.port, &health), json!({})),
    };
    let mut filters = vec![restore_forwarded_proto()];
    let (auth_errors, virtual_hosts) = auth_errors::of_all(&targets, virtual_hosts);
    filters.extend(auth_errors);
    let manager = http::connection_manager(
        STAT_PREFIX,
        &virtual_hosts,
        filters,
        json!({
            "early_header_mutation_extensions": [ignore_envoy_headers()],
            "http_protocol_options": with(with(http::http1(), json!({
                "accept_http_10": true,
                "allow_custom_methods": true,
                "enable_trailers": true,
            })), without_host),
            // Of the whole request, not of a try: what waits in the filter counts, too.
            "stream_idle_timeout": format!("{}s", settings.idle_timeout.as_secs()),
            // The target decides whether the body is wanted, not we.
            "proxy_100_continue": true,
            // HTTP/2 tells the target the scheme: that of the connection to it.
            "scheme_header_transformation": { "match_upstream": true },
            "local_reply_config": local_replies::config(&of.routing, settings),
            "access_log": access_log::loggers(settings.access_log, settings.proxy_health_paths),
        }),
    );
    let address = settings.bound_to(of.address, of.port);
    listener::listener(name, address, &manager, json!({}))
}

/// What the proxy's ports answer by themselves, whatever the `Host`: probes use the pod's address.
fn health_routes(settings: &Settings) -> Vec<Value> {
    if !settings.proxy_health_paths {
        return Vec::new();
    }
    let ready = json!({
        "match": { "path": "/ready", "headers": [method("GET|HEAD")] },
        "route": {
            "cluster": status_listener::CLUSTER,
            // Whoever reaches this port may be anybody: identities and what ails them are not told.
            "prefix_rewrite": READY_WITHOUT_DETAILS,
            "timeout": "5s",
        },
    });
    // The access log tells probes by this name.
    [status_listener::health(), ready]
        .map(|route| with(route, json!({ "name": access_log::PROBES })))
        .into()
}

fn virtual_host(target: &Target, hosts: &Value, health: &[Value]) -> Value {
    let mut routes = health.to_vec();
    routes.extend(to(target));
    json!({ "name": target.name.to_string(), "domains": hosts, "routes": routes })
}

/// One for each target, and one for the requests that are for none of them: misdirected
/// (RFC 9110 §15.5.20).
fn by_host(targets: &[&Target], port: u16, health: &[Value]) -> Vec<Value> {
    let mut virtual_hosts: Vec<Value> = targets
        .iter()
        .map(|target| virtual_host(target, &json!(hosts(&target.endpoint, port)), health))
        .collect();
    let mut routes = health.to_vec();
    routes.push(json!({ "match": { "prefix": "/" }, "direct_response": { "status": 421 } }));
    virtual_hosts.push(json!({
        // No target can be called so.
        "name": "no target",
        "domains": ["*"],
        "routes": routes,
    }));
    virtual_hosts
}

/// Every request: those whose method is safe may be sent again where the others may not. (Envoy
/// itself refuses what has no path: `OPTIONS *` and `CONNECT`.)
fn to(target: &Target) -> [Value; 2] {
    let mut headers = vec![method(SAFE_METHODS)];
    headers.extend(OTHER_METHOD.map(|name| json!({ "name": name, "present_match": false })));
    let safe = json!({ "prefix": "/", "headers": headers });
    [
        route(target, &safe, &retries::of_safe_methods()),
        route(target, &json!({ "prefix": "/" }), &retries::of_all()),
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
        "request_body_buffer_limit": retries::KEPT_BODY_BYTES,
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
