//! Which clusters may carry a target's token.
//!
//! In downstream placement `:authority` is only the client's word: on a pass-through listener a
//! forged `Host` would carry the token to any address in clear. So a request gets a token only
//! if the cluster that Envoy chose for it is one that the target allows.

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
    pub fn allow(&self, cluster: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Named(names) => names.iter().any(|name| name == cluster),
            Self::OfHosts(patterns) => {
                let host = host_of(cluster);
                patterns.iter().any(|pattern| pattern.matches_name(host))
            }
        }
    }
}

/// The host that a cluster is named after. Istio calls the cluster of a service
/// `outbound|<port>|<subset>|<host>`; elsewhere the name may be the host itself.
fn host_of(cluster: &str) -> &str {
    let mut parts = cluster.split('|');
    match (
        parts.next(),
        parts.next(),
        parts.next(),
        parts.next(),
        parts.next(),
    ) {
        (Some("outbound"), Some(_), Some(_), Some(host), None) => host,
        _ => cluster,
    }
}
