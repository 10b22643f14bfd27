//! Tunnels through a forward proxy (`HTTPS_PROXY`). The cluster of a host behind the proxy connects to an
//! internal listener, which forwards the bytes through a tunnel that the proxy opens on CONNECT:
//!
//! ```text
//! cluster `target` ──TLS──▶ listener `target-tunnel` ──CONNECT host:port──▶ cluster `forward-proxy`
//! ```
//!
//! So only the proxy resolves the host's name, TLS with the host is the same as without a proxy, and the
//! proxy itself is found by DNS. Envoy's `http_11_proxy` transport socket supports neither proxies with a
//! host name nor credentials
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

/// The environment variable with the value of `Proxy-Authorization`, which must not be in the bootstrap.
pub const AUTHORIZATION: &str = "ENTRA_AUTH_PROXY_AUTHORIZATION";

/// The timeout of a connection to the proxy. The clusters that use the tunnel have the same timeout or a
/// shorter one, which covers TLS with the host, too.
const CONNECT_TIMEOUT: &str = target_cluster::CONNECT_TIMEOUT;

/// The name of the internal listener for the cluster with this name.
pub(super) fn listener_name(cluster: &str) -> String {
    format!("{cluster}-tunnel")
}

/// The clusters and endpoints that are reached through the proxy.
fn tunnels<'a>(
    settings: &'a Settings,
    remotes: &'a [(String, &'a Endpoint)],
) -> impl Iterator<Item = (&'a ForwardProxy, &'a str, &'a Endpoint)> {
    remotes.iter().filter_map(|(cluster, remote)| {
        Some((settings.proxy_to(remote)?, cluster.as_str(), *remote))
    })
}

/// An internal listener for each tunnel.
pub(super) fn listeners(settings: &Settings, remotes: &[(String, &Endpoint)]) -> Vec<Value> {
    tunnels(settings, remotes)
        .map(|(proxy, cluster, remote)| {
            internal::listener(
                &listener_name(cluster),
                &tunnel(proxy, remote, settings.access_log),
            )
        })
        .collect()
}

fn tunnel(proxy: &ForwardProxy, remote: &Endpoint, access_log: AccessLog) -> Value {
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
                "hostname": remote.host_and_port(),
                "headers_to_add": Vec::from_iter(authorization),
            },
            // The clusters that use the tunnel close idle connections.
            "idle_timeout": "0s",
            "access_log": Vec::from_iter(failures(proxy, remote, access_log)),
        }),
    )
}

/// Logs a line of JSON for each tunnel that could not be opened. This is the only place where the
/// proxy's response is known, as in `tunnel_response:407`.
fn failures(proxy: &ForwardProxy, remote: &Endpoint, access_log: AccessLog) -> Option<Value> {
    let logger = typed(
        "envoy.access_loggers.stderr",
        "envoy.extensions.access_loggers.stream.v3.StderrAccessLog",
        json!({ "log_format": { "json_format": {
            "time": "%START_TIME(%Y-%m-%dT%H:%M:%S.%3fZ)%",
            "forward_proxy": proxy.address(),
            "connect": remote.host_and_port(),
            "duration_ms": "%DURATION%",
            "flags": "%RESPONSE_FLAGS%",
            "failure": "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
        } } }),
    );
    // No address, no connection, or the proxy refused the tunnel.
    let failed = json!({ "response_flag_filter": { "flags": ["UH", "UF", "URX", "UO", "DF"] } });
    (access_log != AccessLog::Off).then(|| with(logger, json!({ "filter": failed })))
}

/// The proxy's cluster; `None` if no tunnel uses it.
pub(super) fn cluster(settings: &Settings, remotes: &[(String, &Endpoint)]) -> Option<Value> {
    let (proxy, ..) = tunnels(settings, remotes).next()?;
    let cluster = json!({
        "name": CLUSTER,
        "connect_timeout": CONNECT_TIMEOUT,
        "wait_for_warm_on_init": false,
        "circuit_breakers": target_cluster::no_circuit_breakers(),
        "per_connection_buffer_limit_bytes": listener::CONNECTION_BUFFER,
    });
    let cluster = with(cluster, tcp_options(listener::DEAD_AFTER));
    let cluster = with(cluster, endpoints(CLUSTER, &proxy.endpoint, settings));
    Some(with(cluster, tls(&proxy.endpoint, settings)))
}
