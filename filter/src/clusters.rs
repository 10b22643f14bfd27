//! Whether a request may carry the token to its cluster.

use core::cell::{Cell, RefCell};

use entra_token_core::cluster::AllowedClusters;
use entra_token_core::mesh::{ClusterReport, ReportedClusters, Transport};

use crate::host;
use crate::memo::Memo;

/// What happens to a request of a target in view of its cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Permission {
    /// The request gets the token.
    Token,
    /// The request passes as the client sent it: the cluster is not one of the target's.
    #[default]
    Untouched,
    /// The request is refused: the cluster leads out of the mesh in clear text.
    ClearText,
}

/// The clusters that requests of one target go to.
#[derive(Default)]
pub(crate) struct Clusters {
    /// The permission for the last cluster, by name. It holds for one tick, because Envoy may get another
    /// cluster of the same name.
    known: Memo<Permission>,
    /// The permission for the one cluster that the filter is bound to.
    own: Cell<Option<Permission>>,
    /// Whether this Envoy is part of an Istio mesh; none until that was looked up.
    in_a_mesh: Cell<Option<bool>>,
    /// Whether one of the clusters leaves the mesh, so that a later change of its TLS matters.
    leave_the_mesh: Cell<bool>,
    /// The clusters that the log has reported.
    reported: RefCell<ReportedClusters>,
}

impl Clusters {
    /// The permission for the effective context's request. A cluster whose name is unknown counts as not one of
    /// the target's.
    pub(crate) fn permission(&self, allowed: &AllowedClusters) -> Permission {
        match allowed {
            // The filter is bound to a cluster, so the name does not matter. In a mesh the filter may be bound
            // to several clusters, which share this context if their configurations are equal.
            AllowedClusters::Any if !self.is_in_a_mesh() => self.own.get().unwrap_or_else(|| {
                let permission = self.judge_transport();
                self.own.set(Some(permission));
                permission
            }),
            allowed => host::cluster_name()
                .and_then(|cluster| self.known.get(&cluster, |name| self.judge(allowed, name)))
                .unwrap_or_else(|| match allowed {
                    AllowedClusters::Any => self.judge_transport(),
                    _ => Permission::Untouched,
                }),
        }
    }

    /// Whether istiod makes the clusters of this Envoy, so that each one must be judged by its name.
    fn is_in_a_mesh(&self) -> bool {
        self.in_a_mesh.get().unwrap_or_else(|| {
            let is_so = host::property("node\0metadata\0ISTIO_VERSION").is_some();
            self.in_a_mesh.set(Some(is_so));
            is_so
        }) || self.leave_the_mesh.get()
    }

    /// Forgets the permissions, because a DestinationRule may have been added or removed.
    pub(crate) fn forget(&self) {
        if self.leave_the_mesh.get() {
            self.known.forget();
            self.own.set(None);
        }
    }

    #[inline(never)]
    fn judge(&self, allowed: &AllowedClusters, cluster: &str) -> Permission {
        match allowed {
            _ if !allowed.allow(cluster) => Permission::Untouched,
            // The user has named this cluster, and answers for it.
            AllowedClusters::Named(_) => Permission::Token,
            _ => self.judge_transport(),
        }
    }

    /// The permission for a cluster of the target, by its transport.
    #[inline(never)]
    fn judge_transport(&self) -> Permission {
        let transport = Transport::from_istio_metadata(istio_metadata_has);
        if transport != Transport::InsideMesh {
            self.leave_the_mesh.set(true);
        }
        self.report(transport);
        match transport {
            Transport::ClearText => Permission::ClearText,
            Transport::InsideMesh | Transport::Tls => Permission::Token,
        }
    }

    /// Logs once of each cluster that it is in clear text, and once that it no longer is.
    fn report(&self, transport: Transport) {
        let mut reported = self.reported.borrow_mut();
        if transport != Transport::ClearText && reported.is_empty() {
            return;
        }
        let cluster = host::cluster_name().map_or_else(Vec::new, |name| name.to_vec());
        let name = String::from_utf8_lossy(&cluster);
        match reported.update(&cluster, transport) {
            Some(ClusterReport::IsInClearText) => log::error!(
                "the cluster `{name}` leads out of the mesh without TLS, and gets no token: add a DestinationRule with TLS for this port, in the namespace of the client"
            ),
            Some(ClusterReport::IsProtectedNow) => {
                log::warn!("the cluster `{name}` has TLS now, and gets tokens");
            }
            None => {}
        }
    }
}

/// Whether the metadata that istiod writes for Envoy's filters into the cluster of the effective context's
/// request has this value.
fn istio_metadata_has(field: &str, value: &[u8]) -> bool {
    let path = format!("xds\0cluster_metadata\0filter_metadata\0istio\0{field}");
    host::property(&path).is_some_and(|it| *it == *value)
}
