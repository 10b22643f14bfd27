//! What a cluster may carry: the token, nothing of ours, or nothing at all because it would leave the
//! mesh in clear.

use core::cell::{Cell, RefCell};

use entra_token_core::cluster::AllowedClusters;
use entra_token_core::mesh::{ClusterReport, ReportedClusters, Transport};

use crate::host;
use crate::memo::Memo;

/// What a request of a target's may have on its way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Permission {
    /// The token.
    Token,
    /// What the client sent: the cluster is none of the target's.
    #[default]
    Untouched,
    /// Nothing.
    ClearText,
}

/// What is known of the clusters that requests of one target go to.
#[derive(Default)]
pub(crate) struct Clusters {
    /// A cluster's name → what it may carry; of this tick, as Envoy may get another cluster of that name.
    known: Memo<Permission>,
    /// The same of the one cluster that the filter stands in.
    own: Cell<Option<Permission>>,
    /// Whether this Envoy's node is one of Istio's, once it has been asked.
    in_a_mesh: Cell<Option<bool>>,
    /// Whether istiod says of one of them that it leaves the mesh, so that it matters what it says next.
    leave_the_mesh: Cell<bool>,
    /// Those that the log has reported.
    reported: RefCell<ReportedClusters>,
}

impl Clusters {
    /// What the effective context's request may have on its way. A cluster that cannot be told is none of
    /// the target's.
    pub(crate) fn permission(&self, allowed: &AllowedClusters) -> Permission {
        match allowed {
            // The filter is bound to a cluster, so its name need not be asked for. Under Istio it may
            // be bound to several, which share this context where their configurations are the same.
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

    /// Whether istiod has made this Envoy's clusters, so that each is looked at by its name.
    fn is_in_a_mesh(&self) -> bool {
        self.in_a_mesh.get().unwrap_or_else(|| {
            let is_so = host::property("node\0metadata\0ISTIO_VERSION").is_some();
            self.in_a_mesh.set(Some(is_so));
            is_so
        }) || self.leave_the_mesh.get()
    }

    /// The next request looks at its cluster anew, where a DestinationRule may have come or gone.
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
            // Who names clusters knows them.
            AllowedClusters::Named(_) => Permission::Token,
            _ => self.judge_transport(),
        }
    }

    /// For a cluster that may carry the token, if nobody can read it on the way.
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
