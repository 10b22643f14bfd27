//! Envoy's admin interface. It listens on a Unix socket that only this user can open, because it can
//! stop Envoy and show the configuration. The status listener exposes one path of it as `/metrics`.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// The cluster through which the status listener reaches the interface.
pub(super) const CLUSTER: &str = "admin";

/// The path of the interface's socket.
#[must_use]
pub fn socket(run_dir: &Path) -> PathBuf {
    run_dir.join("admin.sock")
}

pub(super) fn interface(run_dir: &Path) -> Value {
    json!({
        "address": { "pipe": { "path": socket(run_dir), "mode": 0o600 } },
        "ignore_global_conn_limit": true,
    })
}

pub(super) fn cluster(run_dir: &Path) -> Value {
    json!({
        "name": CLUSTER,
        "type": "STATIC",
        "load_assignment": {
            "cluster_name": CLUSTER,
            "endpoints": [{ "lb_endpoints": [{ "endpoint": {
                "address": { "pipe": { "path": socket(run_dir) } },
            } }] }],
        },
    })
}
