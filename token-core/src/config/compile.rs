//! The working form of a configuration: slots, targets and the table of hosts.

use core::time::Duration;

use super::{
    AuthErrorsRetryable, ConfigErrors, Export, Hold, Identity, Mode, Placement, PluginConfig,
    Target, Terms, raw,
};
use crate::cluster::AllowedClusters;
use crate::host::HostTable;
use crate::identity::Plan;
use crate::record::SlotKey;
use crate::slot::Policy;

/// A configuration, ready for use. The default one has nothing to do.
#[derive(Clone, Debug, Default)]
pub struct Plugin {
    /// What this instance does.
    pub mode: Mode,
    /// Where it stands.
    pub placement: Placement,
    /// One for each distinct (identity, audience). Two identities that differ only in name share
    /// the token in shared data, and have metrics of their own.
    pub slots: Vec<SlotSpec>,
    /// In the order of the configuration.
    pub targets: Vec<TargetSpec>,
    /// `:authority` → index into `targets`.
    pub hosts: HostTable<usize>,
    /// What Envoy exports by OTLP.
    pub exports: Vec<Export>,
}

/// One token to keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotSpec {
    /// Its key in shared data.
    pub key: SlotKey,
    /// How it is got.
    pub plan: Plan,
    /// When it is got.
    pub policy: Policy,
    /// The identity's name, for metrics and people.
    pub identity: String,
    /// What people call its settings.
    pub terms: Terms,
    /// Whether the proxy is ready only with it; `None`: one of all such is enough.
    pub required: Option<bool>,
}

/// What happens to a request of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetSpec {
    /// The first host pattern, which names the target in metrics.
    pub name: String,
    /// Index into [`Plugin::slots`].
    pub slot: usize,
    /// Where the token may go.
    pub clusters: AllowedClusters,
    /// How requests wait.
    pub hold: HoldLimits,
    /// What becomes of a 401 or 403 that no fresh token heals.
    pub auth_errors_retryable: AuthErrorsRetryable,
}

/// How requests wait for a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HoldLimits {
    /// At most this long.
    pub timeout: Duration,
    /// At most so many in one worker.
    pub max_requests: usize,
}

impl Plugin {
    /// Whether the filter has requests to which the mistakes of a wrong configuration can be
    /// explained ([`super::salvage()`]).
    #[must_use]
    pub fn explains_errors(&self) -> bool {
        self.mode == Mode::Authorize
    }
}

impl From<&Hold> for HoldLimits {
    fn from(hold: &Hold) -> Self {
        Self {
            timeout: hold.timeout.get(),
            max_requests: usize::try_from(hold.max_requests.get()).unwrap_or(usize::MAX),
        }
    }
}

/// Makes the working form of a configuration.
///
/// # Errors
/// When a target names an identity that is not defined. [`super::read`] reports this with all other
/// mistakes of a text, so it only happens to a configuration that was made by a program.
#[inline(never)]
pub fn compile(config: &PluginConfig) -> Result<Plugin, ConfigErrors> {
    let mut plugin = Plugin {
        mode: config.mode,
        placement: config.placement,
        slots: Vec::new(),
        targets: Vec::new(),
        hosts: HostTable::new([]),
        exports: config.exports.clone(),
    };
    let policy = Policy {
        refresh_before_expiry_percent: config.refresh_before_expiry_percent.get(),
        call_timeout: config.token_request_timeout.get(),
    };
    let mut patterns = Vec::new();
    for place in config.targets.iter().enumerate() {
        let (t, target) = place;
        let mut identities = config.identities.iter().enumerate();
        let identity = identities
            .find(|(_, identity)| identity.name == target.identity)
            .ok_or_else(|| {
                ConfigErrors(vec![raw::undefined_identity(t, target.identity.as_str())])
            })?;
        let slot = SlotSpec::new(identity, place, policy);
        let slot = match plugin
            .slots
            .iter_mut()
            .position(|known| known.key == slot.key && known.identity == slot.identity)
        {
            Some(known) => {
                if let Some(shared) = plugin.slots.get_mut(known) {
                    shared.required = strictest(shared.required, slot.required);
                }
                known
            }
            None => {
                plugin.slots.push(slot);
                plugin.slots.len() - 1
            }
        };
        patterns.extend(
            target
                .hosts
                .iter()
                .map(|host| (host.clone(), plugin.targets.len())),
        );
        plugin.targets.push(TargetSpec {
            name: target
                .hosts
                .first()
                .map(ToString::to_string)
                .unwrap_or_default(),
            slot,
            clusters: clusters(target),
            hold: target.hold.as_ref().unwrap_or(&config.hold).into(),
            auth_errors_retryable: target
                .auth_errors_retryable
                .unwrap_or(config.auth_errors_retryable),
        });
    }
    plugin.hosts = HostTable::new(patterns);
    Ok(plugin)
}

/// What two targets that share a slot want together: required beats the default, which beats
/// not required.
fn strictest(one: Option<bool>, other: Option<bool>) -> Option<bool> {
    match (one, other) {
        (Some(true), _) | (_, Some(true)) => Some(true),
        (Some(false), Some(false)) => Some(false),
        _ => None,
    }
}

impl SlotSpec {
    fn new(identity: (usize, &Identity), target: (usize, &Target), policy: Policy) -> Self {
        let terms = Terms::of(identity, target);
        let ((_, identity), (_, target)) = (identity, target);
        let plan = Plan {
            source: identity.authentication.source(),
            audience: target.audience.clone(),
            via_internal_listener: identity.via_internal_listener,
        };
        Self {
            key: SlotKey::of(&plan),
            plan,
            policy,
            identity: identity.name.to_string(),
            terms,
            required: target.required,
        }
    }
}

fn clusters(target: &Target) -> AllowedClusters {
    match &target.clusters {
        None => AllowedClusters::OfHosts(target.hosts.clone()),
        Some(names) if names.iter().any(|name| name.as_str() == "*") => AllowedClusters::Any,
        Some(names) => AllowedClusters::Named(names.iter().map(ToString::to_string).collect()),
    }
}
