//! The bootstrap of `check`: the clusters by which the filter asks for tokens, as `run` has them, and
//! nothing that serves clients. The launcher asks through a Unix socket that only this user can
//! open: no port is taken, so this Envoy can run beside one that serves.

use std::path::{Path, PathBuf};
use std::time::Duration;

use entra_auth_settings_input::Scheme;
use serde_json::{Value, json};

use super::{Asking, admin, http, identity_clusters, status_from, upstream, with};
use crate::settings::Settings;

/// The request header that names the cluster to ask.
pub const CLUSTER: &str = "x-entra-auth-cluster";
/// The response header in which Envoy says why it answers itself.
pub const REASON: &str = "x-entra-auth-reason";

const NAME: &str = "check";

/// Where to ask.
#[must_use]
pub fn socket(run_dir: &Path) -> PathBuf {
    run_dir.join("check.sock")
}

/// The bootstrap for these settings. As for the filter's calls, Envoy answers 504 itself where
/// nothing has come within `timeout`.
#[must_use]
pub fn build(settings: &Settings, run_dir: &Path, timeout: Duration) -> Value {
    let Asking {
        extensions,
        mut listeners,
        mut clusters,
    } = Asking::new(settings, run_dir, &identity_clusters::remotes(settings));
    listeners.push(listener(run_dir, &clusters, timeout));
    clusters.extend(authorities(settings));
    json!({
        "admin": admin::interface(run_dir),
        "bootstrap_extensions": extensions,
        "layered_runtime": super::runtime(json!({})),
        "static_resources": with(
            json!({ "listeners": listeners, "clusters": clusters }),
            upstream::authorities(settings),
        ),
    })
}

/// Nobody is asked through it. Tokens may come without TLS: then only a target needs the authorities,
/// and Envoy is to judge them here as it does in `run`.
fn authorities(settings: &Settings) -> Option<Value> {
    let mut targets = settings.targets.iter().map(|target| &target.endpoint);
    let by_tls = targets.find(|endpoint| endpoint.scheme == Scheme::Https)?;
    let cluster = json!({ "name": "authorities", "type": "STATIC", "connect_timeout": "1s" });
    Some(with(cluster, upstream::tls(by_tls, settings)))
}

fn listener(run_dir: &Path, clusters: &[Value], timeout: Duration) -> Value {
    let routes: Vec<Value> = clusters
        .iter()
        .map(|cluster| route(&cluster["name"], timeout))
        .collect();
    let virtual_host = json!({
        "name": NAME,
        "domains": ["*"],
        "routes": routes,
        // A dispatched call has none of these; IMDS, for one, refuses what was forwarded.
        "request_headers_to_remove": [CLUSTER, "x-forwarded-proto"],
        // Only Envoy itself says this.
        "response_headers_to_remove": [REASON],
    });
    let reason = json!({ "local_reply_config": { "mappers": [{
        "filter": status_from(400),
        "headers_to_add": [{
            "header": {
                "key": REASON,
                "value": "%RESPONSE_CODE_DETAILS%",
            },
            "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
        }],
    }] } });
    let manager = http::connection_manager(NAME, &[virtual_host], Vec::new(), reason);
    json!({
        "name": NAME,
        "address": { "pipe": { "path": socket(run_dir), "mode": 0o600 } },
        "filter_chains": [{ "filters": [manager] }],
    })
}

fn route(cluster: &Value, timeout: Duration) -> Value {
    let named = json!({ "name": CLUSTER, "string_match": { "exact": cluster } });
    json!({
        "match": { "prefix": "/", "headers": [named] },
        "route": { "cluster": cluster, "timeout": format!("{}s", timeout.as_secs_f64()) },
    })
}
