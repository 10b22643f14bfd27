//! A listener, by default on every address of the machine, with dead clients cleaned up by TCP itself,
//! because no request or response that moves has a time limit.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use serde_json::{Value, json};

use super::with;

/// How much of a body is held for a connection; more flows only as the other side takes it. With
/// Envoy's own 1 MiB, 400 large requests that waited took 900 MB; with this they take 180 MB.
pub(super) const CONNECTION_BUFFER: u32 = 128 << 10;

/// First probe after a minute without a byte, gone within another half.
pub(super) fn tcp_keepalive() -> Value {
    json!({ "keepalive_time": 60, "keepalive_interval": 10, "keepalive_probes": 3 })
}

/// A peer that is there but takes no byte for two minutes counts as dead. Without this a target
/// that stops reading would hold its requests, and their memory, for ever: Envoy does not notice
/// that a client has gone while the rest of its body cannot be passed on.
pub(super) fn socket_options() -> Value {
    if !cfg!(target_os = "linux") {
        return json!([]);
    }
    // tcp(7): TCP_USER_TIMEOUT, in milliseconds, bounds a closed window, too.
    json!([{
        "description": "TCP_USER_TIMEOUT",
        "level": 6,
        "name": 18,
        "int_value": 120_000,
        "state": "STATE_PREBIND",
    }])
}

/// A listener with one connection manager.
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
        "tcp_keepalive": tcp_keepalive(),
        "socket_options": socket_options(),
        "per_connection_buffer_limit_bytes": CONNECTION_BUFFER,
        "filter_chains": [{ "filters": [connection_manager] }],
    });
    with(listener, more)
}
