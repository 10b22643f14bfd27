//! The part of the settings that comes either from the environment or from the file.

use entra_auth_settings_input::{Place, Scheme};
use entra_token_core::config::Percent;

use super::ListeningAddress;
use super::identity::NamedIdentity;
use super::listener::Listener;
use super::target::Target;
use super::terms::Terms;

/// The identities, targets and listeners, from the environment or from the file.
pub(super) struct Topology {
    pub(super) identities: Vec<NamedIdentity>,
    pub(super) targets: Vec<Target>,
    pub(super) listeners: Vec<Listener>,
    pub(super) refresh_before_expiry: Percent,
    pub(super) terms: Terms,
}

impl Topology {
    /// Whether a target or a token endpoint has TLS, so that a trust store is needed.
    pub(super) fn is_by_tls(&self) -> bool {
        let mut targets = self.targets.iter();
        targets.any(|target| target.endpoint.scheme == Scheme::Https)
            || self
                .identities
                .iter()
                .any(|named| named.identity.needs_trust_store())
    }
}

/// What is known of the topology although the settings may have mistakes.
#[derive(Default)]
pub(super) struct PartialTopology {
    pub(super) topology: Option<Topology>,
    /// Whether anything is reached by TLS.
    pub(super) by_tls: bool,
    /// The ports of the proxy, where each is open, and what says it.
    pub(super) ports: Vec<(Place, ListeningAddress, u16)>,
}
