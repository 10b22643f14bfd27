//! Listeners on TCP ports. TCP detects dead clients, because requests and responses have no timeout as
//! long as data flows.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use serde_json::{Value, json};

use super::with;

/// The buffer of a connection, in bytes. With Envoy's default of 1 MiB, 400 large requests that waited
/// for a token took 900 MB of memory; with this value they take 180 MB.
pub(super) const CONNECTION_BUFFER: u32 = 128 << 10;

/// TCP keepalive: the first probe after 60 s without data; a dead peer is detected 30 s later.
pub(super) fn tcp_keepalive() -> Value {
    json!({ "keepalive_time": 60, "keepalive_interval": 10, "keepalive_probes": 3 })
}

/// How long a client or a target may accept no data.
pub(super) const DEAD_AFTER: Duration = Duration::from_secs(120);

/// Closes a connection whose peer accepts no data for so long. Without this, a target that stops
/// reading would keep requests, and their memory, forever: Envoy does not detect that a client has gone
/// while the rest of the client's body cannot be forwarded.
pub(super) fn socket_options(dead_after: Duration) -> Value {
    if !cfg!(target_os = "linux") {
        return json!([]);
    }
    // tcp(7): TCP_USER_TIMEOUT, in milliseconds. It covers a closed receive window, too.
    json!([{
        "description": "TCP_USER_TIMEOUT",
        "level": 6,
        "name": 18,
        "int_value": dead_after.as_millis() as u64,
        "state": "STATE_PREBIND",
    }])
}

/// A listener on a TCP address with one connection manager. The address `::` includes IPv4.
pub(super) fn listener(
    name: &str,
    address: SocketAddr,
    connection_manager: &Value,
    more: Value,
) -> Value {
    let socket_address = json!({
        "address": address.ip().to_string(),
        "port_value": address.port(),
    });
    let socket_address = if address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) {
        with(socket_address, json!({ "ipv4_compat": true }))
    } else {
        socket_address
    };
    let listener = json!({
        "name": name,
        "address": { "socket_address": socket_address },
        // A drain closes these listeners and no others.
        "traffic_direction": "INBOUND",
        "tcp_keepalive": tcp_keepalive(),
        "socket_options": socket_options(DEAD_AFTER),
        "per_connection_buffer_limit_bytes": CONNECTION_BUFFER,
        "filter_chains": [{ "filters": [connection_manager] }],
    });
    with(listener, more)
}
