//! The cluster by which the filter asks the instance metadata service for tokens. It goes straight
//! to that address: no proxy, no TLS.

use serde_json::{Value, json};

use super::target_cluster::endpoints;
use super::with;
use crate::settings::authority::Endpoint;

/// The cluster's name; the filter's configuration says it, too.
pub(super) const CLUSTER: &str = "imds";

pub(super) fn cluster(service: &Endpoint) -> Value {
    let cluster = json!({
        "name": CLUSTER,
        // Inside the host: an answer to the first packet comes at once or not at all.
        "connect_timeout": "5s",
    });
    with(cluster, endpoints(CLUSTER, service))
}
