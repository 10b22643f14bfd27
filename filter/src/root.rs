//! A root context: reads the configuration, and on every tick lets the slots go on, carries
//! out their calls and releases parked requests. Which configuration it takes says [`last_good_config`].
//!
//! [`last_good_config`]: crate::last_good_config

use core::time::Duration;
use std::collections::HashMap;
use std::rc::Rc;

use entra_token_core::Now;
use entra_token_core::config::{self, Mistakes};
use entra_token_core::failure::NoAnswer;
use entra_token_core::http::{Body, Response};
use entra_token_core::lease::Call;
use entra_token_core::local_reply;
use entra_token_core::slot::CallId;
use proxy_wasm::traits::{Context, RootContext};
use proxy_wasm::types::{BufferType, MapType};

use crate::active::{Active, Mode};
use crate::invalid_config::InvalidConfig;
use crate::local_slot::{HURRIED_TICK, LocalSlot};
use crate::{host, streams, thread};

/// How often the slots are looked at when nothing is due: how late another VM's token is seen.
const IDLE_TICK: Duration = Duration::from_secs(1);

/// How many parked requests are let go at one tick. Envoy carries out what they are told when the tick
/// is over, one inside the other: each ends or goes on within the callbacks of the one before, and
/// hundreds would exhaust the stack. The others wait for the next tick, a [`HURRIED_TICK`] later.
const RELEASED_AT_ONCE: usize = 64;

/// A longer reply is not read: Wasm memory never shrinks, and Envoy's own bound is 32 MiB.
const MAX_REPLY_BYTES: usize = 64 * 1024;

/// A root context.
pub(crate) struct Root {
    id: u32,
    active: Option<Rc<Active>>,
    /// The calls made from here, by the host's id.
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

    /// What is done with a wrong configuration. Where there is a good one, that stays: this one is
    /// refused. Without one, Envoy would answer every request of the listener, or of the cluster,
    /// with 500 and no reason.
    fn instead_of_a_wrong_one(&self, json: &[u8], mistakes: &Mistakes) -> Option<Rc<Active>> {
        for mistake in &mistakes.0 {
            log::error!("plugin configuration: {mistake}");
        }
        let invalid = InvalidConfig::new(config::salvage(json)?, mistakes);
        let active = Active::explaining(invalid);
        let (Mode::Explain(invalid), Some(last_good)) = (&active.mode, &active.last_good) else {
            return None;
        };
        // Where others are configured this is no throw-away VM, and a refusal would come too late.
        let is_kept =
            |other: &Active| other.is_good_one_of(last_good) && invalid.may_keep(&other.plugin);
        if let Some(good) = streams::find_configured(is_kept) {
            // Envoy believes it to be in use: it remembers what a throw-away VM answered for it when
            // there was no good one, and has not asked again.
            last_good.refuses(mistakes);
            log::error!("plugin configuration: the one in use stays");
            return Some(good);
        }
        if !streams::others_are_configured(self.id) && last_good.is_good(host::now().mono) {
            last_good.refuses(mistakes);
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
                    // Envoy's answer came before the dispatch was over: it has no address to try.
                    NoAnswer::NoAddress
                };
                slot.call_failed(host::now(), call.id, why);
            }
        }
    }

    /// Lets go of the parked requests that need wait no longer.
    fn release(&self, active: &Active, now: Now) {
        let mut left = RELEASED_AT_ONCE;
        for slot in &active.slots {
            for context in slot.released(now, left) {
                let Some(waiting) = slot.take(context) else {
                    continue;
                };
                left = left.saturating_sub(1);
                // A client that has left took its context along.
                if host::set_effective_context(context).is_ok() {
                    streams::with(context, |request| request.release(&waiting, now));
                }
            }
        }
        if left < RELEASED_AT_ONCE {
            // Of this root itself, which exists.
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
        // Cannot fail in a root context; if it did, the period would stay.
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
        // Without headers the call broke off, was cut by its time-out, or was over-long.
        let status = host::header(MapType::HttpCallResponseHeaders, ":status")
            .and_then(|status| status.parse().ok());
        let next = match status {
            Some(status) if headers > 0 && body_size <= MAX_REPLY_BYTES => {
                let header = |name| host::header(MapType::HttpCallResponseHeaders, name);
                let body = host::buffer(BufferType::HttpCallResponseBody).unwrap_or_default();
                // Envoy has no success of its own.
                if status >= 400 && header(local_reply::UPSTREAM_SERVICE_TIME).is_none() {
                    slot.call_failed(now, id, local_reply::read(status, &body));
                    None
                } else {
                    let response = Response {
                        status,
                        retry_after: header("retry-after"),
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
    /// Also runs in a throw-away VM whose calls are cancelled, so nothing but the tick is set.
    fn on_configure(&mut self, _: usize) -> bool {
        let json = host::buffer(BufferType::PluginConfiguration).unwrap_or_default();
        let active = match config::read(&json) {
            Ok(config) => {
                if config.mode == config::Mode::Service {
                    thread::is_main();
                }
                let active = Active::new(config::compile(&config));
                if let Some(last_good) = &active.last_good {
                    last_good.accepts();
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
        if let Some(last_good) = &active.last_good {
            last_good.publish(active.mistakes(), now.mono);
        }
        for slot in &active.slots {
            if let Some(call) = slot.step(now) {
                self.dispatch(slot, &call);
            }
        }
        self.release(&active, now);
        active.at_tick();
        Self::plan_next_tick(&active, now);
    }
}

impl Drop for Root {
    /// A new configuration has taken the place of this one. Its calls are others' to make again.
    fn drop(&mut self) {
        for (slot, id) in self.calls.values() {
            slot.abandoned(host::now(), *id);
        }
    }
}
