//! What a cluster may carry: the token, nothing of ours, or nothing at all because it would leave the
//! mesh in clear.

use core::cell::{Cell, RefCell};
use std::collections::BTreeSet;

use entra_token_core::cluster::AllowedClusters;
use proxy_wasm::types::Action;

use crate::host;
use crate::memo::Memo;

/// The answer to a request that would have carried the token in clear.
const IN_CLEAR: &[u8] = br#"{"error":{"code":"target_without_tls","message":"the cluster of this host leads out of the mesh without TLS, where everybody on the way could read the token","advice":"Add a DestinationRule with TLS for the port of this host, in the namespace of the client, or name the cluster in the target's `clusters`."}}"#;

/// Seconds after which a client may send again what needs a person.
const RETRY_AFTER: &str = "30";

/// What a request of a target's may have on its way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Carriage {
    /// The token.
    Token,
    /// What the client sent: the cluster is none of the target's.
    #[default]
    Untouched,
    /// Nothing.
    InClear,
}

/// What is known of the clusters that requests of one target go to.
#[derive(Default)]
pub(crate) struct Clusters {
    /// A cluster's name → what it may carry; of this tick, as Envoy may get another cluster of that name.
    known: Memo<Carriage>,
    /// The same of the one cluster that the filter stands in.
    own: Cell<Option<Carriage>>,
    /// Whether this Envoy's node is one of Istio's, once it has been asked.
    in_a_mesh: Cell<Option<bool>>,
    /// Whether istiod says of one of them that it leaves the mesh, so that it matters what it says next.
    leave_the_mesh: Cell<bool>,
    /// The names of those that do so in clear, as the log has told them.
    told: RefCell<BTreeSet<Vec<u8>>>,
}

/// Of so many clusters is told at most that they are in clear.
const MAX_TOLD: usize = 64;

impl Clusters {
    /// What the effective context's request may have on its way. A cluster that cannot be told is none of
    /// the target's.
    pub(crate) fn carriage(&self, allowed: &AllowedClusters) -> Carriage {
        match allowed {
            // The filter is bound to a cluster, so its name need not be asked for. Under Istio it may
            // be bound to several, which share this context where their configurations are the same.
            AllowedClusters::Any if !self.is_in_a_mesh() => self.own.get().unwrap_or_else(|| {
                let carriage = self.judge_transport();
                self.own.set(Some(carriage));
                carriage
            }),
            allowed => host::cluster_name()
                .and_then(|cluster| self.known.get(&cluster, |name| self.judge(allowed, name)))
                .unwrap_or_else(|| match allowed {
                    AllowedClusters::Any => self.judge_transport(),
                    _ => Carriage::Untouched,
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
    fn judge(&self, allowed: &AllowedClusters, cluster: &str) -> Carriage {
        match allowed {
            _ if !allowed.allow(cluster) => Carriage::Untouched,
            // Who names clusters knows them.
            AllowedClusters::Named(_) => Carriage::Token,
            _ => self.judge_transport(),
        }
    }

    /// Of a cluster that may carry the token, if nobody can read it on the way.
    #[inline(never)]
    fn judge_transport(&self) -> Carriage {
        let leaves_the_mesh = istiod_says("external", &[1]);
        if leaves_the_mesh {
            self.leave_the_mesh.set(true);
        }
        let is_in_clear = leaves_the_mesh && !istiod_says("alpn_override", b"false");
        self.tell(is_in_clear);
        if is_in_clear {
            Carriage::InClear
        } else {
            Carriage::Token
        }
    }

    /// Tells people once of each cluster that is in clear, and once that it no longer is.
    fn tell(&self, is_in_clear: bool) {
        let mut told = self.told.borrow_mut();
        if !is_in_clear && told.is_empty() {
            return;
        }
        let cluster = host::cluster_name().map_or_else(Vec::new, |name| name.to_vec());
        let name = String::from_utf8_lossy(&cluster);
        if !is_in_clear {
            if told.remove(&cluster) {
                log::warn!("the cluster `{name}` has TLS now, and gets tokens");
            }
        } else if told.len() < MAX_TOLD && told.insert(cluster.clone()) {
            log::error!(
                "the cluster `{name}` leads out of the mesh without TLS, and gets no token: add a DestinationRule with TLS for this port, in the namespace of the client"
            );
        }
    }
}

/// Whether the cluster of the effective context's request has this in the metadata that istiod writes for
/// Envoy's filters (`pilot/pkg/networking/util`): `external: true` of a host outside of the mesh,
/// `alpn_override: "false"` where a DestinationRule has TLS of mode SIMPLE or MUTUAL.
///
/// Envoy has no property for TLS: `upstream.tls_version` is of a connection, which a filter on a listener
/// never has, and one in a cluster only where it is used again. A cluster of which istiod says nothing is
/// somebody else's, who knows what it does.
fn istiod_says(field: &str, value: &[u8]) -> bool {
    let path = format!("xds\0cluster_metadata\0filter_metadata\0istio\0{field}");
    host::property(&path).is_some_and(|it| *it == *value)
}

/// 503, so that clients keep what they send.
#[cold]
pub(crate) fn refuse_in_clear() -> Action {
    let headers = [
        ("content-type", "application/json"),
        ("retry-after", RETRY_AFTER),
    ];
    // Should this fail, the request stays paused and Envoy's own time-outs end it.
    let _ = host::respond(503, host::NO_TOKEN, &headers, IN_CLEAR);
    Action::Pause
}
