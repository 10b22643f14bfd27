//! A configuration in use, with the state that its requests share.

use std::cell::RefCell;
use std::rc::Rc;

use entra_token_core::Now;
use entra_token_core::config::{self, Plugin, SlotSpec, TargetSpec};
use entra_token_core::state::{Denials, State};
use entra_token_core::status::{Readiness, last_certificate, refusal_warning};
use entra_token_core::target_responses::{Refused, TargetResponses};

use crate::certificate_gauge::CertificateGauge;
use crate::clusters::Clusters;
use crate::exports::Exports;
use crate::invalid_config::InvalidConfig;
use crate::last_good_config::LastGoodConfig;
use crate::local_slot::{self, LocalSlot};
use crate::memo::Memo;
use crate::metrics::{self, ReadyGauge, RequestMetrics};
use crate::target_counts::TargetCounts;

/// A configuration in use.
pub(crate) struct Active {
    pub(crate) mode: Mode,
    /// Only for a filter that authorizes requests.
    pub(crate) last_good: Option<LastGoodConfig>,
    pub(crate) plugin: Plugin,
    /// One for each of `plugin.slots`.
    pub(crate) slots: Vec<Rc<LocalSlot>>,
    /// Likewise. Those of one identity show the same.
    certificates: Vec<CertificateGauge>,
    /// One for each of `plugin.targets`.
    targets: Vec<TargetState>,
    /// `:authority` → index into `plugin.targets`.
    found: Memo<Option<usize>>,
}

/// What the filter does with requests.
pub(crate) enum Mode {
    Authorize,
    /// Answer for the proxy's state: every token and target is known here.
    Status(ReadyGauge),
    /// Let the exports of telemetry pass, and count them.
    Exports(Exports),
    /// Answer the requests of its targets with 503 and the configuration's mistakes. `plugin` is empty.
    Explain(Box<InvalidConfig>),
}

/// The state of a target.
struct TargetState {
    metrics: RequestMetrics,
    counts: TargetCounts,
    denials: RefCell<Denials>,
    clusters: Clusters,
}

/// A target with all that a request of it needs.
pub(crate) struct ActiveTarget<'a> {
    pub(crate) spec: &'a TargetSpec,
    pub(crate) slot: &'a Rc<LocalSlot>,
    slot_spec: &'a SlotSpec,
    pub(crate) metrics: &'a RequestMetrics,
    pub(crate) counts: &'a TargetCounts,
    denials: &'a RefCell<Denials>,
    pub(crate) clusters: &'a Clusters,
}

impl ActiveTarget<'_> {
    /// Counts a refusal of the identity that no newer token heals, and tells people of it now and then.
    pub(crate) fn denied(&self, refused: Refused, now: Now) {
        if self
            .denials
            .borrow_mut()
            .should_report(refused.status(), now.mono)
        {
            let participant = self.slot.participant();
            let warning = refusal_warning(
                self.spec,
                self.slot_spec,
                participant.slot().state(),
                refused,
                &self.counts.of_all_vms(),
                now,
            );
            log::warn!("{warning}");
        }
        self.counts.refused(refused);
    }
}

impl Active {
    pub(crate) fn new(plugin: Plugin) -> Self {
        metrics::show_build_info();
        Self {
            mode: match plugin.mode {
                config::Mode::Authorize => Mode::Authorize,
                // No request comes to a service.
                config::Mode::Status | config::Mode::Service => Mode::Status(ReadyGauge::new()),
                config::Mode::Exports => Mode::Exports(Exports::new(&plugin)),
            },
            last_good: plugin
                .explains_errors()
                .then(LastGoodConfig::of_this_plugin),
            slots: plugin.slots.iter().map(local_slot::get_or_create).collect(),
            certificates: plugin
                .slots
                .iter()
                .map(|_| CertificateGauge::default())
                .collect(),
            targets: plugin
                .targets
                .iter()
                .filter_map(|target| {
                    let slot = plugin.slots.get(target.slot)?;
                    Some(TargetState {
                        metrics: RequestMetrics::new(&target.name),
                        counts: TargetCounts::new(&slot.key, &target.name),
                        denials: RefCell::default(),
                        clusters: Clusters::default(),
                    })
                })
                .collect(),
            found: Memo::default(),
            plugin,
        }
    }

    pub(crate) fn explaining(invalid: InvalidConfig) -> Self {
        Self {
            mode: Mode::Explain(Box::new(invalid)),
            ..Self::new(Plugin::default())
        }
    }

    /// Whether this is a good configuration of the plugin that `last_good` is about.
    pub(crate) fn is_good_one_of(&self, last_good: &LastGoodConfig) -> bool {
        let own = self.last_good.as_ref();
        matches!(self.mode, Mode::Authorize)
            && own.is_some_and(|own| own.is_of_the_plugin_of(last_good))
    }

    /// The mistakes of a configuration that is in use because there is no good one.
    pub(crate) fn errors(&self) -> Option<u32> {
        match &self.mode {
            Mode::Explain(invalid) => Some(invalid.errors),
            Mode::Authorize | Mode::Status(_) | Mode::Exports(_) => None,
        }
    }

    /// Forgets what holds for one tick, and hands the counts to Envoy and to the other VMs.
    pub(crate) fn at_tick(&self, now: Now) {
        for target in &self.targets {
            target.clusters.forget();
            target.metrics.flush();
            target.counts.publish(now);
        }
        self.with_slots(|slots| {
            for ((spec, state), gauge) in slots.iter().zip(&self.certificates) {
                if state.certificate.is_some() {
                    gauge.show(&spec.identity, last_certificate(slots, &spec.identity));
                }
            }
        });
        match &self.mode {
            Mode::Authorize => {}
            Mode::Status(ready) => self.with_slots(|slots| {
                ready.set(Readiness::of(slots, now).ready);
            }),
            Mode::Exports(exports) => exports.publish(&self.plugin, now.wall),
            Mode::Explain(invalid) => invalid.flush(),
        }
    }

    /// Hands all slots with their states to `use_them`.
    pub(crate) fn with_slots<T>(&self, use_them: impl FnOnce(&[(&SlotSpec, &State)]) -> T) -> T {
        let participants: Vec<_> = self.slots.iter().map(|slot| slot.participant()).collect();
        let states = participants
            .iter()
            .map(|participant| participant.slot().state());
        let slots: Vec<_> = self.plugin.slots.iter().zip(states).collect();
        use_them(&slots)
    }

    /// How each target responds, as all VMs have counted it. Two targets of one host and slot are counted as one.
    pub(crate) fn responses(&self) -> Vec<(&TargetSpec, TargetResponses)> {
        let targets = self.plugin.targets.iter().zip(&self.targets);
        let mut responses: Vec<(&TargetSpec, TargetResponses)> = Vec::new();
        for (spec, state) in targets {
            let is_same = |other: &TargetSpec| (other.slot, &other.name) == (spec.slot, &spec.name);
            if !responses.iter().any(|(other, _)| is_same(other)) {
                responses.push((spec, state.counts.of_all_vms()));
            }
        }
        responses
    }

    /// The index of the target that this `:authority` leads to.
    pub(crate) fn find(&self, authority: &[u8]) -> Option<usize> {
        let find = |authority: &str| self.plugin.hosts.find(authority);
        self.found.get(authority, find).flatten()
    }

    /// The target with this index.
    pub(crate) fn target(&self, index: usize) -> Option<ActiveTarget<'_>> {
        let spec = self.plugin.targets.get(index)?;
        let state = self.targets.get(index)?;
        Some(ActiveTarget {
            spec,
            slot: self.slots.get(spec.slot)?,
            slot_spec: self.plugin.slots.get(spec.slot)?,
            metrics: &state.metrics,
            counts: &state.counts,
            denials: &state.denials,
            clusters: &state.clusters,
        })
    }
}
