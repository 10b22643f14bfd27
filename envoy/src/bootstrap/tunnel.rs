//! The way through a forward proxy (`HTTPS_PROXY`). The cluster of such a host leads to a listener
//! inside this Envoy, which passes its bytes on in a tunnel that the proxy makes on CONNECT:
//!
//! ```text
//! cluster `target` ──TLS──▶ listener `target-tunnel` ──CONNECT host:port──▶ cluster `forward-proxy`
//! ```
//!
//! So only the proxy needs to find the host, TLS with the host is as it is without a proxy, and
//! the proxy itself is found by DNS. Envoy's `http_11_proxy` transport socket, made for this, can
//! do neither names of proxies nor credentials
//! ([decision 12](../../../docs/decisions/0012-through-a-corporate-proxy.md)).

use entra_auth_settings_input::Endpoint;
use serde_json::{Value, json};

use super::upstream::{endpoints, tcp_options, tls};
use super::{internal, listener, target_cluster, typed, with};
use crate::settings::Settings;
use crate::settings::choices::AccessLog;
use crate::settings::forward_proxy::ForwardProxy;

/// The proxy's cluster.
const CLUSTER: &str = "forward-proxy";

/// The variable by which Envoy gets the value of `Proxy-Authorization`: it stands in no bootstrap.
pub const AUTHORIZATION: &str = "ENTRA_AUTH_PROXY_AUTHORIZATION";

/// As long as a connection to the target may take; the clusters that come by here have shorter
/// ones, or the same, which count TLS with the host, too.
const CONNECT_TIMEOUT: &str = target_cluster::CONNECT_TIMEOUT;

/// The listener by which a cluster of this name goes.
pub(super) fn entry(cluster: &str) -> String {
    format!("{cluster}-tunnel")
}

/// Which of these clusters and what is at the other end lead through the proxy.
fn tunnels<'a>(
    settings: &'a Settings,
    ends: &'a [(String, &'a Endpoint)],
) -> impl Iterator<Item = (&'a ForwardProxy, &'a str, &'a Endpoint)> {
    ends.iter()
        .filter_map(|(cluster, end)| Some((settings.proxy_to(end)?, cluster.as_str(), *end)))
}

/// A listener for each of them.
pub(super) fn listeners(settings: &Settings, ends: &[(String, &Endpoint)]) -> Vec<Value> {
    tunnels(settings, ends)
        .map(|(proxy, cluster, end)| {
            internal::listener(&entry(cluster), &tunnel(proxy, end, settings.access_log))
        })
        .collect()
}

fn tunnel(proxy: &ForwardProxy, end: &Endpoint, access_log: AccessLog) -> Value {
    let authorization = proxy.authorization.as_ref().map(|_| {
        json!({
            "header": {
                "key": "Proxy-Authorization",
                "value": format!("%ENVIRONMENT({AUTHORIZATION})%"),
            },
        })
    });
    typed(
        "envoy.filters.network.tcp_proxy",
        "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
        json!({
            "stat_prefix": CLUSTER,
            "cluster": CLUSTER,
            "tunneling_config": {
                "hostname": end.host_and_port(),
                "headers_to_add": Vec::from_iter(authorization),
            },
            // What is silent for too long is ended by whoever has the connection.
            "idle_timeout": "0s",
            "access_log": Vec::from_iter(failures(proxy, end, access_log)),
        }),
    )
}

/// A line of JSON for each tunnel that did not come to be: only here is the proxy's answer known,
/// as `tunnel_response:407`.
fn failures(proxy: &ForwardProxy, end: &Endpoint, access_log: AccessLog) -> Option<Value> {
    let logger = typed(
        "envoy.access_loggers.stderr",
        "envoy.extensions.access_loggers.stream.v3.StderrAccessLog",
        json!({ "log_format": { "json_format": {
            "time": "%START_TIME(%Y-%m-%dT%H:%M:%S.%3fZ)%",
            "forward_proxy": proxy.address(),
            "connect": end.host_and_port(),
            "duration_ms": "%DURATION%",
            "flags": "%RESPONSE_FLAGS%",
            "failure": "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
        } } }),
    );
    // No address, no connection, or none that the proxy passed on.
    let failed = json!({ "response_flag_filter": { "flags": ["UH", "UF", "URX", "UO", "DF"] } });
    (access_log != AccessLog::Off).then(|| with(logger, json!({ "filter": failed })))
}

/// The proxy's own cluster; none where nothing leads there.
pub(super) fn cluster(settings: &Settings, ends: &[(String, &Endpoint)]) -> Option<Value> {
    let (proxy, ..) = tunnels(settings, ends).next()?;
    let cluster = json!({
        "name": CLUSTER,
        "connect_timeout": CONNECT_TIMEOUT,
        "wait_for_warm_on_init": false,
        "circuit_breakers": target_cluster::no_circuit_breakers(),
        "per_connection_buffer_limit_bytes": listener::CONNECTION_BUFFER,
    });
    let cluster = with(cluster, tcp_options());
    let cluster = with(cluster, endpoints(CLUSTER, &proxy.endpoint, settings));
    Some(with(cluster, tls(&proxy.endpoint, settings)))
}
