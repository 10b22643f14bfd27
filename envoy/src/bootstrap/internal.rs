//! Internal listeners, which only clusters of this Envoy can reach: one serves credential files, others
//! tunnel through the forward proxy.

use serde_json::{Value, json};

use super::{listener, typed};

/// The extension that enables internal listeners.
pub(super) fn extension() -> Value {
    typed(
        "envoy.bootstrap.internal_listener",
        "envoy.extensions.bootstrap.internal_listener.v3.InternalListener",
        // The same buffer as for any other connection.
        json!({ "buffer_size_kb": listener::CONNECTION_BUFFER >> 10 }),
    )
}

/// An internal listener with this name.
pub(super) fn listener(name: &str, filter: &Value) -> Value {
    json!({
        "name": name,
        "internal_listener": {},
        "per_connection_buffer_limit_bytes": listener::CONNECTION_BUFFER,
        // These connections come from this Envoy. Clients are limited at their own listeners, and tokens
        // must be acquired under overload, too.
        "bypass_overload_manager": true,
        "ignore_global_conn_limit": true,
        "filter_chains": [{ "filters": [filter] }],
    })
}

/// The endpoints of a cluster that connects to the internal listener with this name.
pub(super) fn endpoints(cluster: &str, listener: &str) -> Value {
    json!({
        "type": "STATIC",
        "load_assignment": {
            "cluster_name": cluster,
            "endpoints": [{ "lb_endpoints": [{ "endpoint": {
                "address": { "envoy_internal_address": { "server_listener_name": listener } },
            } }] }],
        },
    })
}
