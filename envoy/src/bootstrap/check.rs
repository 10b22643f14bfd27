//! The bootstrap of `check`. It has the clusters of `run` through which the filter calls for tokens, but
//! no listeners for clients. The launcher sends its calls to a Unix socket that only this user can open.
//! So this Envoy uses no port and can run beside another one.

use std::path::{Path, PathBuf};
use std::time::Duration;

use entra_auth_settings_input::Scheme;
use serde_json::{Value, json};

use super::{TokenCalls, admin, http, identity_clusters, status_from, upstream, with};
use crate::settings::Settings;

/// The request header that selects the cluster.
pub const CLUSTER: &str = "x-entra-auth-cluster";
/// The response header with the details of a local reply.
pub const REASON: &str = "x-entra-auth-reason";

const NAME: &str = "check";

/// The path of the socket for the calls.
#[must_use]
pub fn socket(run_dir: &Path) -> PathBuf {
    run_dir.join("check.sock")
}

/// The bootstrap for these settings. Envoy answers 504 if a response is not complete within `timeout`,
/// as for the filter's calls.
#[must_use]
pub fn build(settings: &Settings, run_dir: &Path, timeout: Duration) -> Value {
    let TokenCalls {
        extensions,
        mut listeners,
        mut clusters,
    } = TokenCalls::new(settings, run_dir, &identity_clusters::remotes(settings));
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

/// An unused cluster that makes Envoy load the trust store, as in `run`, so that `check` reports an
/// invalid one even if only a target uses TLS.
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
        // The filter's calls do not have these headers. IMDS refuses requests with forwarding headers.
        "request_headers_to_remove": [CLUSTER, "x-forwarded-proto"],
        // An endpoint must not forge a local reply.
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
