//! A 401 or 403 of the target, in both placements: healed where a fresh token heals it, and kept
//! from Prometheus where only a person can.

mod revoked;
mod unhealed;

use azure_sim::{AZURE_MONITOR, METRICS_PUBLISHER, RoleAssignment};
use e2e::azure::{Azure, ECHO};
use e2e::{Envoy, Proxy, free_port, http};

use crate::downstream;

/// Sends a request as Prometheus' remote write does, or as another client.
pub(crate) fn send(url: &str, host: &str, is_remote_write: bool) -> http::Response {
    let mut request = http::Request::post(url).header("Host", host);
    if is_remote_write {
        request = request.header("X-Prometheus-Remote-Write-Version", "0.1.0");
    }
    http::send(request.body(b"body".to_vec()).expect("a request")).expect("an answer")
}

pub(crate) fn through(proxy: &Proxy, path: &str, is_remote_write: bool) -> http::Response {
    send(&proxy.url(path), "x", is_remote_write)
}

/// The role with which the machine's identity may send metrics.
fn role(azure: &Azure) -> RoleAssignment {
    RoleAssignment {
        object_id: azure.state().identities[0].object_id.clone(),
        audience: AZURE_MONITOR.into(),
        role: METRICS_PUBLISHER.into(),
    }
}

pub(crate) fn remove_role(azure: &Azure) {
    azure.remove_role(role(azure));
}

pub(crate) fn grant_role(azure: &Azure) {
    azure.grant_role(role(azure));
}

/// A plain Envoy with the plugin on its listener, and a URL there.
fn istio_like(azure: &Azure, retryable: &str) -> (Envoy, String) {
    let port = free_port();
    let mut plugin = downstream::plugin(azure);
    plugin["authErrorsRetryable"] = retryable.into();
    let envoy = Envoy::start(&downstream::bootstrap(azure, port, &plugin), port);
    (envoy, format!("http://127.0.0.1:{port}{ECHO}"))
}
