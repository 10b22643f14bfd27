//! A root context. It reads the configuration; on every tick it steps the slots, dispatches their calls and
//! releases parked requests. [`last_good_config`](crate::last_good_config) explains when it refuses a
//! configuration.

use core::time::Duration;
use std::collections::HashMap;
use std::rc::Rc;

use entra_token_core::Now;
use entra_token_core::config::{self, ConfigErrors};
use entra_token_core::failure::NoAnswer;
use entra_token_core::http::{Body, Response};
use entra_token_core::identity::CERTIFICATE_NOT_AFTER;
use entra_token_core::lease::Call;
use entra_token_core::local_reply;
use entra_token_core::slot::CallId;
use proxy_wasm::traits::{Context, RootContext};
use proxy_wasm::types::{BufferType, MapType};

use crate::active::{Active, Mode};
use crate::invalid_config::InvalidConfig;
use crate::local_slot::{HURRIED_TICK, LocalSlot};
use crate::{host, process, streams, thread};

/// The period of the tick when nothing is due. A token of another VM is seen this late at most.
const IDLE_TICK: Duration = Duration::from_secs(1);

/// How many parked requests are released at one tick. Envoy continues or answers them after the tick, each
/// one inside the callbacks of the one before, so hundreds would exhaust the stack. The others wait for the
/// next tick, one [`HURRIED_TICK`] later.
const RELEASED_AT_ONCE: usize = 64;

/// The longest response that is read. Wasm memory never shrinks, and Envoy's own limit is 32 MiB.
const MAX_REPLY_BYTES: usize = 64 * 1024;

/// A root context.
pub(crate) struct Root {
    id: u32,
    active: Option<Rc<Active>>,
    /// The calls of this root context, by the host's id.
    calls: HashMap<u32, (Rc<LocalSlot>, CallId)>,
}

impl Root {
    pub(crate) fn new(id: u32) -> Self {
        Self {
            id,
            active: None,
            calls: HashMap::new(),
        }
    }

    /// Decides what takes the place of a wrong configuration. If a good one is in use, this one is refused and
    /// the good one stays. If there is none, this one is accepted, and its requests get 503 with the mistakes:
    /// after a refusal, Envoy would answer every request of the listener, or of the cluster, with an
    /// unexplained 500.
    fn instead_of_a_wrong_one(&self, json: &[u8], errors: &ConfigErrors) -> Option<Rc<Active>> {
        for error in &errors.0 {
            log::error!("plugin configuration: {error}");
        }
        let invalid = InvalidConfig::new(config::salvage(json)?, errors);
        let active = Active::explaining(invalid);
        let (Mode::Explain(invalid), Some(last_good)) = (&active.mode, &active.last_good) else {
            return None;
        };
        // A VM with other configured root contexts is not the temporary one, and Envoy no longer accepts a
        // refusal.
        let is_kept =
            |other: &Active| other.is_good_one_of(last_good) && invalid.may_keep(&other.plugin);
        if let Some(good) = streams::find_configured(is_kept) {
            // Envoy takes it for accepted: it remembers the answer that a temporary VM gave for the same text
            // when there was no good configuration, and does not try it again.
            last_good.refuses(errors);
            log::error!("plugin configuration: the one in use stays");
            return Some(good);
        }
        if !streams::others_are_configured(self.id) && last_good.is_good(host::now().mono) {
            last_good.refuses(errors);
            log::error!("plugin configuration: refused; the one in use stays");
            return None;
        }
        invalid.announce();
        Some(Rc::new(active))
    }

    fn dispatch(&mut self, slot: &Rc<LocalSlot>, call: &Call) {
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
                self.calls.insert(token, (Rc::clone(slot), call.id));
            }
            Err(error) => {
                let why = if error.is_bad_argument() {
                    NoAnswer::NoCluster
                } else {
                    // Envoy responded before the dispatch returned: the cluster has no address.
                    NoAnswer::NoAddress
                };
                slot.call_failed(host::now(), call.id, why);
            }
        }
    }

    /// Releases the parked requests that need not wait any longer.
    fn release(&self, active: &Active, now: Now) {
        let mut left = RELEASED_AT_ONCE;
        for slot in &active.slots {
            for context in slot.released(now, left) {
                let Some(waiting) = slot.take(context) else {
                    continue;
                };
                left = left.saturating_sub(1);
                // If the client has left, the context is gone.
                if host::set_effective_context(context).is_ok() {
                    streams::with(context, |request| request.release(&waiting, now));
                }
            }
        }
        if left < RELEASED_AT_ONCE {
            // This cannot fail: the root context exists.
            let _ = host::set_effective_context(self.id);
        }
    }

    fn plan_next_tick(active: &Active, now: Now) {
        let mut slots = active.slots.iter();
        let waiting = slots.any(|slot| slot.awaits_newer(now));
        let next = active
            .slots
            .iter()
            .map(|slot| slot.next_wakeup(now).since(now.mono))
            .min();
        let period = match next {
            _ if waiting => HURRIED_TICK,
            Some(next) => next.clamp(HURRIED_TICK, IDLE_TICK),
            None => IDLE_TICK,
        };
        // This cannot fail in a root context. If it did, the period would stay as it is.
        let _ = host::set_tick_period(period);
    }
}

impl Context for Root {
    fn on_http_call_response(&mut self, token: u32, headers: usize, body_size: usize, _: usize) {
        let Some((slot, id)) = self.calls.remove(&token) else {
            return;
        };
        #[cfg(feature = "traps")]
        crate::trap::spring(MapType::HttpCallResponseHeaders);
        let now = host::now();
        // A response without headers means that the call was reset, timed out or was too long.
        let status = host::header(MapType::HttpCallResponseHeaders, ":status")
            .and_then(|status| status.parse().ok());
        let next = match status {
            Some(status) if headers > 0 && body_size <= MAX_REPLY_BYTES => {
                let header = |name| host::header(MapType::HttpCallResponseHeaders, name);
                let body = host::buffer(BufferType::HttpCallResponseBody).unwrap_or_default();
                // Envoy's own responses to a call are all errors.
                if status >= 400 && header(local_reply::UPSTREAM_SERVICE_TIME).is_none() {
                    slot.call_failed(now, id, local_reply::classify(status, &body));
                    None
                } else {
                    let response = Response {
                        status,
                        retry_after: header("retry-after"),
                        certificate_not_after: header(CERTIFICATE_NOT_AFTER),
                        body: Body(body),
                    };
                    slot.answered(now, id, response)
                }
            }
            _ => {
                slot.call_failed(now, id, NoAnswer::Broken);
                None
            }
        };
        if let Some(call) = next {
            self.dispatch(&slot, &call);
        }
        if let Some(active) = self.active.clone() {
            self.release(&active, now);
            Self::plan_next_tick(&active, now);
        }
    }
}

impl RootContext for Root {
    /// This also runs in a temporary VM, whose calls would be cancelled. So it only sets the tick.
    fn on_configure(&mut self, _: usize) -> bool {
        let json = host::buffer(BufferType::PluginConfiguration).unwrap_or_default();
        let plugin = config::read(&json).and_then(|config| config::compile(&config));
        let active = match plugin {
            Ok(plugin) => {
                if plugin.mode == config::Mode::Service {
                    thread::is_main();
                }
                let active = Active::new(plugin);
                if let Some(last_good) = &active.last_good {
                    last_good.accepts();
                }
                Some(Rc::new(active))
            }
            Err(errors) => self.instead_of_a_wrong_one(&json, &errors),
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
        process::runs(now.mono);
        if let Some(last_good) = &active.last_good {
            last_good.publish(active.errors(), now.mono);
        }
        for slot in &active.slots {
            if let Some(call) = slot.step(now) {
                self.dispatch(slot, &call);
            }
        }
        self.release(&active, now);
        active.at_tick(now);
        Self::plan_next_tick(&active, now);
    }
}

impl Drop for Root {
    /// A new configuration has replaced this one. Other root contexts make its calls again.
    fn drop(&mut self) {
        for (slot, id) in self.calls.values() {
            slot.abandoned(host::now(), *id);
        }
    }
}
