//! A root context: reads the configuration, and on every tick lets the slots go on, carries
//! out their calls and releases parked requests. Which configuration it takes says [`standing`].
//!
//! [`standing`]: crate::standing

use core::time::Duration;
use std::collections::HashMap;
use std::rc::Rc;

use entra_token_core::Now;
use entra_token_core::config::{self, Mistakes, Mode, Plugin, TargetSpec};
use entra_token_core::failure::NoAnswer;
use entra_token_core::http::{Body, Response};
use entra_token_core::local_reply;
use entra_token_core::member::Call;
use entra_token_core::slot::CallId;
use proxy_wasm::traits::{Context, RootContext};
use proxy_wasm::types::{BufferType, MapType};

use crate::carriage::Clusters;
use crate::memo::Memo;
use crate::metrics::RequestMetrics;
use crate::misfit::Misfit;
use crate::standing::Standing;
use crate::vm::{self, Keeper};
use crate::{host, request, streams, thread};

/// How often the slots are looked at when nothing is due: how late another VM's token is seen.
const IDLE_TICK: Duration = Duration::from_secs(1);

/// How often while requests wait. Nothing else wakes a VM when another gets the token.
pub(crate) const HURRIED_TICK: Duration = Duration::from_millis(20);

/// How many parked requests are let go at one tick. Envoy carries out what they are told when the tick
/// is over, one inside the other: each ends or goes on within the callbacks of the one before, and
/// hundreds would exhaust the stack. The others wait for the next tick, a [`HURRIED_TICK`] later.
const RELEASED_AT_ONCE: usize = 64;

/// A longer reply is not read: Wasm memory never shrinks, and Envoy's own bound is 32 MiB.
const MAX_REPLY_BYTES: usize = 64 * 1024;

/// A configuration in use.
pub(crate) struct Active {
    pub(crate) duty: Duty,
    /// Of a filter that authorizes requests.
    pub(crate) standing: Option<Standing>,
    pub(crate) plugin: Plugin,
    /// One for each of `plugin.slots`.
    pub(crate) keepers: Vec<Rc<Keeper>>,
    /// One for each of `plugin.targets`.
    targets: Vec<TargetState>,
    /// `:authority` → index into `plugin.targets`.
    found: Memo<Option<usize>>,
}

/// What is done with requests.
pub(crate) enum Duty {
    Authorize,
    /// Answer for the proxy's state.
    Status,
    /// Explain to those that were meant why there is no token. The plugin has nothing to do.
    Explain(Box<Misfit>),
}

/// What a target needs beyond its configuration.
struct TargetState {
    metrics: RequestMetrics,
    clusters: Clusters,
}

/// A target with all that a request of it needs.
pub(crate) struct ActiveTarget<'a> {
    pub(crate) spec: &'a TargetSpec,
    pub(crate) keeper: &'a Rc<Keeper>,
    pub(crate) metrics: &'a RequestMetrics,
    pub(crate) clusters: &'a Clusters,
}

impl Active {
    fn new(plugin: Plugin) -> Self {
        Self {
            duty: match plugin.mode {
                Mode::Authorize => Duty::Authorize,
                // No request comes to a service.
                Mode::Status | Mode::Service => Duty::Status,
            },
            standing: plugin.explains_mistakes().then(Standing::of_this_plugin),
            keepers: plugin.slots.iter().map(vm::keeper).collect(),
            targets: plugin
                .targets
                .iter()
                .map(|target| TargetState {
                    metrics: RequestMetrics::new(&target.name),
                    clusters: Clusters::default(),
                })
                .collect(),
            found: Memo::default(),
            plugin,
        }
    }

    fn explaining(misfit: Misfit) -> Self {
        Self {
            duty: Duty::Explain(Box::new(misfit)),
            ..Self::new(Plugin::default())
        }
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
            keeper: self.keepers.get(spec.slot)?,
            metrics: &state.metrics,
            clusters: &state.clusters,
        })
    }
}

/// A root context.
pub(crate) struct Root {
    id: u32,
    active: Option<Rc<Active>>,
    /// The calls made from here, by the host's id.
    calls: HashMap<u32, (Rc<Keeper>, CallId)>,
}

impl Root {
    pub(crate) fn new(id: u32) -> Self {
        Self {
            id,
            active: None,
            calls: HashMap::new(),
        }
    }

    /// What is done with a wrong configuration. Where there is a good one, that stays: this one is
    /// refused. Without one, Envoy would answer every request of the listener, or of the cluster,
    /// with 500 and no reason.
    fn instead_of_a_wrong_one(&self, json: &[u8], mistakes: &Mistakes) -> Option<Rc<Active>> {
        for mistake in &mistakes.0 {
            log::error!("plugin configuration: {mistake}");
        }
        let misfit = Misfit::new(config::salvage(json)?, mistakes);
        let active = Active::explaining(misfit);
        let (Duty::Explain(misfit), Some(standing)) = (&active.duty, &active.standing) else {
            return None;
        };
        // Where others are configured this is no throw-away VM, and a refusal would come too late.
        let is_kept = |other: &Active| standing.is_kept_by(other) && misfit.may_keep(&other.plugin);
        if let Some(good) = streams::find_configured(is_kept) {
            // Envoy believes it to be in use: it remembers what a throw-away VM answered for it when
            // there was no good one, and has not asked again.
            standing.refuses(mistakes);
            log::error!("plugin configuration: the one in use stays");
            return Some(good);
        }
        if !streams::others_are_configured(self.id) && standing.is_good(host::now().mono) {
            standing.refuses(mistakes);
            log::error!("plugin configuration: refused; the one in use stays");
            return None;
        }
        misfit.announce();
        Some(Rc::new(active))
    }

    fn dispatch(&mut self, keeper: &Rc<Keeper>, call: &Call) {
        let request = &call.request;
        let mut headers = vec![
            (":method", request.method),
            (":path", request.path.as_str()),
            (":authority", call.endpoint.authority.as_str()),
        ];
        headers.extend(
            request
                .headers
                .iter()
                .map(|(name, value)| (*name, value.as_str())),
        );
        match host::dispatch(
            &call.endpoint.cluster,
            headers,
            &request.body.0,
            call.timeout,
        ) {
            Ok(token) => {
                self.calls.insert(token, (Rc::clone(keeper), call.id));
            }
            Err(error) => {
                let why = if error.is_bad_argument() {
                    NoAnswer::NoCluster
                } else {
                    // Envoy's answer came before the dispatch was over: it has no address to try.
                    NoAnswer::NoAddress
                };
                keeper.call_failed(host::now(), call.id, why);
            }
        }
    }

    /// Lets go of the parked requests that need wait no longer.
    fn release(&self, active: &Active, now: Now) {
        let mut left = RELEASED_AT_ONCE;
        for keeper in &active.keepers {
            for context in keeper.released(now, left) {
                let Some(waiting) = keeper.take(context) else {
                    continue;
                };
                left = left.saturating_sub(1);
                // A client that has left took its context along.
                if host::set_effective_context(context).is_ok() {
                    request::release(&waiting, now);
                }
            }
        }
        if left < RELEASED_AT_ONCE {
            // Of this root itself, which exists.
            let _ = host::set_effective_context(self.id);
        }
    }

    fn plan_next_tick(active: &Active, now: Now) {
        let mut keepers = active.keepers.iter();
        let waiting = keepers.any(|keeper| keeper.awaits_newer(now));
        let next = active
            .keepers
            .iter()
            .map(|keeper| keeper.next_wakeup(now).since(now.mono))
            .min();
        let period = match next {
            _ if waiting => HURRIED_TICK,
            Some(next) => next.clamp(HURRIED_TICK, IDLE_TICK),
            None => IDLE_TICK,
        };
        // Cannot fail in a root context; if it did, the period would stay.
        let _ = host::set_tick_period(period);
    }
}

impl Context for Root {
    fn on_http_call_response(&mut self, token: u32, headers: usize, body_size: usize, _: usize) {
        let Some((keeper, id)) = self.calls.remove(&token) else {
            return;
        };
        #[cfg(feature = "traps")]
        crate::trap::spring(MapType::HttpCallResponseHeaders);
        let now = host::now();
        // Without headers the call broke off, was cut by its time-out, or was over-long.
        let status = host::header(MapType::HttpCallResponseHeaders, ":status")
            .and_then(|status| status.parse().ok());
        let next = match status {
            Some(status) if headers > 0 && body_size <= MAX_REPLY_BYTES => {
                let header = |name| host::header(MapType::HttpCallResponseHeaders, name);
                let body = host::buffer(BufferType::HttpCallResponseBody).unwrap_or_default();
                // Envoy has no success of its own.
                if status >= 400 && header(local_reply::UPSTREAM_SERVICE_TIME).is_none() {
                    keeper.call_failed(now, id, local_reply::read(status, &body));
                    None
                } else {
                    let response = Response {
                        status,
                        retry_after: header("retry-after"),
                        body: Body(body),
                    };
                    keeper.answered(now, id, response)
                }
            }
            _ => {
                keeper.call_failed(now, id, NoAnswer::Broken);
                None
            }
        };
        if let Some(call) = next {
            self.dispatch(&keeper, &call);
        }
        if let Some(active) = self.active.clone() {
            self.release(&active, now);
            Self::plan_next_tick(&active, now);
        }
    }
}

impl RootContext for Root {
    /// Also runs in a throw-away VM whose calls are cancelled, so nothing but the tick is set.
    fn on_configure(&mut self, _: usize) -> bool {
        let json = host::buffer(BufferType::PluginConfiguration).unwrap_or_default();
        let active = match config::read(&json) {
            Ok(config) => {
                if config.mode == Mode::Service {
                    thread::is_main();
                }
                let active = Active::new(config::compile(&config));
                if let Some(standing) = &active.standing {
                    standing.accepts();
                }
                Some(Rc::new(active))
            }
            Err(mistakes) => self.instead_of_a_wrong_one(&json, &mistakes),
        };
        let Some(active) = active else {
            return false;
        };
        streams::configured(self.id, Rc::clone(&active));
        self.active = Some(active);
        host::set_tick_period(Duration::from_millis(1)).is_ok()
    }

    fn on_tick(&mut self) {
        let Some(active) = self.active.clone() else {
            return;
        };
        let now = host::now();
        if let Some(standing) = &active.standing {
            standing.tell(&active.duty, now.mono);
        }
        for keeper in &active.keepers {
            if let Some(call) = keeper.step(now) {
                self.dispatch(keeper, &call);
            }
        }
        self.release(&active, now);
        for target in &active.targets {
            target.clusters.forget();
            target.metrics.flush();
        }
        if let Duty::Explain(misfit) = &active.duty {
            misfit.flush();
        }
        Self::plan_next_tick(&active, now);
    }
}

impl Drop for Root {
    /// A new configuration has taken the place of this one. Its calls are others' to make again.
    fn drop(&mut self) {
        for (keeper, id) in self.calls.values() {
            keeper.abandoned(host::now(), *id);
        }
    }
}
