//! Which clusters may carry a target's token.
//!
//! In downstream placement `:authority` is only the client's word: on a pass-through listener a
//! forged `Host` would carry the token to any address in clear. So a request gets a token only
//! if the cluster that Envoy chose for it is one that the target allows.
//!
//! What this cannot see: setting a header downstream makes Envoy match the route again. So no
//! route of a target's host may match on `authorization`. Upstream placement has no such gap.

use crate::host::HostPattern;

/// The clusters of one target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowedClusters {
    /// Every cluster: the plugin is bound to one already (upstream placement).
    Any,
    /// Those of these names.
    Named(Vec<String>),
    /// Those named after the target's hosts.
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

/// The host, and the port if there is one, that a cluster is named after. Istio calls the cluster
/// of a service `outbound|<port>|<subset>|<host>`; elsewhere the name may be the host itself.
#[inline]
fn endpoint_of(cluster: &str) -> (&str, Option<u16>) {
    let mut parts = cluster.split('|');
    let mut part = || parts.next();
    match [part(), part(), part(), part(), part()] {
        [Some("outbound"), Some(port), Some(_), Some(host), None] => match port.parse() {
            Ok(port) => (host, Some(port)),
            // No cluster of Istio's; it matches nothing.
            Err(_) => ("", None),
        },
        _ => (cluster, None),
    }
}
