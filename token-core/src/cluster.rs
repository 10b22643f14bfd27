//! Which clusters may carry a target's token.
//!
//! In downstream placement the client chooses `:authority`. On a pass-through listener a forged `Host`
//! would send the token in clear text to any address. So a request gets a token only if the target
//! allows the cluster that Envoy selected for the request.
//!
//! This check has one limit: when the filter sets a header downstream, Envoy selects the route again.
//! So no route of a target's host may match on `authorization`. Upstream placement is not affected.

use crate::host::HostPattern;

/// The clusters that may carry a target's token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowedClusters {
    /// Any cluster: in upstream placement the filter belongs to one cluster anyway.
    Any,
    /// The clusters with these names.
    Named(Vec<String>),
    /// The clusters whose names contain a host that one of these patterns matches.
    OfHosts(Vec<HostPattern>),
}

impl AllowedClusters {
    /// Whether `cluster` may carry the token.
    #[must_use]
    #[inline]
    pub fn allow(&self, cluster: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Named(names) => names.iter().any(|name| name == cluster),
            Self::OfHosts(patterns) => {
                let (host, port) = endpoint_of(cluster);
                patterns
                    .iter()
                    .any(|pattern| pattern.matches_cluster(host, port))
            }
        }
    }
}

/// The host, and the port if there is one, in a cluster's name. Istio names the cluster of a service
/// `outbound|<port>|<subset>|<host>`; any other name is taken as the host.
#[inline]
fn endpoint_of(cluster: &str) -> (&str, Option<u16>) {
    let mut parts = cluster.split('|');
    let mut part = || parts.next();
    match [part(), part(), part(), part(), part()] {
        [Some("outbound"), Some(port), Some(_), Some(host), None] => match port.parse() {
            Ok(port) => (host, Some(port)),
            // Not a name that Istio makes; it matches nothing.
            Err(_) => ("", None),
        },
        _ => (cluster, None),
    }
}
