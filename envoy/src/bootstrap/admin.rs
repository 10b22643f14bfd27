//! Envoy's admin interface: on a Unix socket that only this user can open, because it can stop
//! Envoy and show its configuration. The status listener passes one path of it on, `/metrics`.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// The cluster by which the status listener reaches it.
pub(super) const CLUSTER: &str = "admin";

/// Where its socket is.
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
