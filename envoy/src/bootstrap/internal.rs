//! Listeners inside this Envoy, which only its own clusters reach: one answers with files of
//! credentials, others lead through the forward proxy.

use serde_json::{Value, json};

use super::{listener, typed};

/// What lets Envoy have them.
pub(super) fn extension() -> Value {
    typed(
        "envoy.bootstrap.internal_listener",
        "envoy.extensions.bootstrap.internal_listener.v3.InternalListener",
        // Between the two ends of a connection as much is held as on any other.
        json!({ "buffer_size_kb": listener::CONNECTION_BUFFER >> 10 }),
    )
}

/// A listener of this name.
pub(super) fn listener(name: &str, filter: &Value) -> Value {
    json!({
        "name": name,
        "internal_listener": {},
        "per_connection_buffer_limit_bytes": listener::CONNECTION_BUFFER,
        // It takes what this Envoy itself has begun: what clients begin is bounded where they come
        // in, and a token is wanted most when there is too much of everything else.
        "bypass_overload_manager": true,
        "ignore_global_conn_limit": true,
        "filter_chains": [{ "filters": [filter] }],
    })
}

/// The endpoints of a cluster that leads to the listener of this name.
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
