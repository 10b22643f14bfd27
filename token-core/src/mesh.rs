//! Whether a cluster of an Istio mesh would carry a token in clear text.
//!
//! Envoy has no property that tells whether a cluster has TLS: `upstream.tls_version` belongs to a
//! connection. A filter on a listener never has one, and a filter in a cluster has one only when an
//! open connection is used again. So the metadata that istiod writes into a cluster for Envoy's filters
//! decides (istio/istio, `pilot/pkg/networking/util`).

use std::collections::BTreeSet;

/// The largest number of clusters that are remembered as reported.
const MAX_REPORTED: usize = 64;

/// How a cluster carries requests, as far as istiod says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// The cluster stays inside the mesh, where Istio's mutual TLS protects it, or it was not made by
    /// istiod; then its author is responsible for TLS.
    InsideMesh,
    /// The cluster leaves the mesh with TLS.
    Tls,
    /// The cluster leaves the mesh in clear text.
    ClearText,
}

impl Transport {
    /// Reads the fields `external` and `alpn_override` of a cluster's `filter_metadata.istio`.
    ///
    /// `has_field` tells whether a field has a value, in the encoding of Envoy's Wasm properties: one
    /// byte for a boolean. istiod writes `external: true` for a host outside of the mesh, and
    /// `alpn_override: "false"` where a DestinationRule has TLS of mode SIMPLE or MUTUAL.
    pub fn from_istio_metadata(has_field: impl Fn(&str, &[u8]) -> bool) -> Self {
        if !has_field("external", &[1]) {
            Self::InsideMesh
        } else if has_field("alpn_override", b"false") {
            Self::Tls
        } else {
            Self::ClearText
        }
    }
}

/// What the log should say about a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClusterReport {
    /// The cluster is in clear text, so it gets no token.
    IsInClearText,
    /// The cluster was reported as being in clear text, and now it may get tokens.
    IsProtectedNow,
}

/// The clusters that were reported as being in clear text, so that each change is reported once.
#[derive(Debug, Default)]
pub struct ReportedClusters(BTreeSet<Vec<u8>>);

impl ReportedClusters {
    /// Whether no cluster is recorded as reported.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What to report about the cluster with this name; `None` if it was reported already, or if too
    /// many clusters were.
    pub fn update(&mut self, cluster: &[u8], transport: Transport) -> Option<ClusterReport> {
        if transport != Transport::ClearText {
            let was_reported = self.0.remove(cluster);
            return was_reported.then_some(ClusterReport::IsProtectedNow);
        }
        let is_new = self.0.len() < MAX_REPORTED && self.0.insert(cluster.to_vec());
        is_new.then_some(ClusterReport::IsInClearText)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transport(fields: &[(&str, &[u8])]) -> Transport {
        Transport::from_istio_metadata(|field, value| fields.contains(&(field, value)))
    }

    #[test]
    fn only_a_cluster_that_leaves_the_mesh_without_tls_is_in_clear_text() {
        assert_eq!(transport(&[]), Transport::InsideMesh);
        assert_eq!(transport(&[("external", &[0])]), Transport::InsideMesh);
        // Inside of the mesh istiod overrides ALPN, too.
        assert_eq!(
            transport(&[("alpn_override", b"false")]),
            Transport::InsideMesh
        );
        let external: (&str, &[u8]) = ("external", &[1]);
        assert_eq!(transport(&[external]), Transport::ClearText);
        assert_eq!(
            transport(&[external, ("alpn_override", b"true")]),
            Transport::ClearText
        );
        assert_eq!(
            transport(&[external, ("alpn_override", b"false")]),
            Transport::Tls
        );
    }

    #[test]
    fn each_cluster_is_reported_once_for_each_change() {
        use ClusterReport::{IsInClearText, IsProtectedNow};
        use Transport::{ClearText, InsideMesh, Tls};
        let mut reported = ReportedClusters::default();
        assert!(reported.is_empty());
        for (cluster, transport, report) in [
            ("one", ClearText, Some(IsInClearText)),
            ("one", ClearText, None),
            ("two", ClearText, Some(IsInClearText)),
            ("three", Tls, None),
            ("one", Tls, Some(IsProtectedNow)),
            ("one", Tls, None),
            ("one", ClearText, Some(IsInClearText)),
            ("one", InsideMesh, Some(IsProtectedNow)),
            ("two", ClearText, None),
        ] {
            let seen = reported.update(cluster.as_bytes(), transport);
            assert_eq!(seen, report, "{cluster}, {transport:?}");
        }
        assert!(!reported.is_empty());
    }

    #[test]
    fn a_flood_of_cluster_names_is_not_kept() {
        let mut reported = ReportedClusters::default();
        let reports = (0..MAX_REPORTED + 10)
            .filter_map(|n| reported.update(n.to_string().as_bytes(), Transport::ClearText))
            .count();
        assert_eq!(reports, MAX_REPORTED);
    }
}
