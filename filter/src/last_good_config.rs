//! Whether this process has a good configuration of the plugin in use, so that a wrong one can be refused.
//!
//! Envoy tries each configuration in a temporary VM on the main thread, and hands only accepted ones to
//! the other VMs. The temporary VM sees nothing of them but shared data. So every root context with a
//! good configuration writes the time there again and again: an entry outlives its root context, and its
//! age tells whether the configuration is still in use
//! (docs/decisions/0017-a-first-configuration-that-is-wrong.md).

use core::cell::Cell;
use core::time::Duration;

use entra_token_core::Mono;
use entra_token_core::config::ConfigErrors;
use entra_token_core::lease::{Cas, SharedData};

use crate::host::{self, Shared};
use crate::metrics::ConfigErrorsGauge;

/// How often a root context with a good configuration writes the time.
const EVERY: Duration = Duration::from_secs(1);

/// How old the time may be while the configuration counts as in use. It is generous, because a machine
/// under load may run the ticks late.
const COUNTS_FOR: Duration = Duration::from_secs(10);

/// Whether a good configuration of one plugin is in use.
pub(crate) struct LastGoodConfig {
    /// Key of the time at which a good configuration was last in use.
    key: String,
    /// Key of the number of mistakes in a wrong configuration that was refused after it.
    refused_key: String,
    errors: ConfigErrorsGauge,
    /// When this root context writes again.
    next: Cell<Mono>,
    /// Whether this root context has set the gauge to more than 0.
    shows_errors: Cell<bool>,
}

impl LastGoodConfig {
    /// For the plugin of the effective root context. Its identity is `config.name`, which Istio derives from
    /// the WasmPlugin's name, and `root_id`.
    pub(crate) fn of_this_plugin() -> Self {
        let text = |path| {
            let bytes = host::property(path);
            bytes.map_or_else(String::new, |it| String::from_utf8_lossy(&it).into_owned())
        };
        let (name, root_id) = (text("plugin_name"), text("plugin_root_id"));
        let key = format!("entra-auth/v1/plugin/{name}/{root_id}");
        Self {
            refused_key: format!("{key}/refused"),
            key,
            errors: ConfigErrorsGauge::new(&name),
            next: Cell::default(),
            shows_errors: Cell::default(),
        }
    }

    /// Whether both are of the same plugin.
    pub(crate) fn is_of_the_plugin_of(&self, other: &Self) -> bool {
        self.key == other.key
    }

    /// Remembers that a wrong configuration was refused in favour of the good one. The root contexts of the
    /// good one show the number of mistakes as a metric, because the temporary VM's own metrics are lost.
    pub(crate) fn refuses(&self, errors: &ConfigErrors) {
        self.remember_refused(errors.count());
    }

    /// Remembers that the newest configuration is a good one.
    pub(crate) fn accepts(&self) {
        if self.refused() > 0 {
            self.remember_refused(0);
        }
    }

    fn remember_refused(&self, errors: u32) {
        // Version 0 overwrites whatever is there.
        Shared.write(&self.refused_key, &errors.to_le_bytes(), Some(Cas(0)));
    }

    fn refused(&self) -> u32 {
        let said = Shared.read(&self.refused_key);
        let said = said.and_then(|(bytes, _)| bytes.try_into().ok());
        said.map_or(0, u32::from_le_bytes)
    }

    /// Whether a root context has just written that it has a good configuration.
    pub(crate) fn is_good(&self, now: Mono) -> bool {
        let said = Shared.read(&self.key);
        let said = said.and_then(|(bytes, _)| bytes.try_into().ok());
        said.is_some_and(|at| now.since(Mono(u64::from_le_bytes(at))) < COUNTS_FOR)
    }

    /// Publishes, at a tick, the configuration that this root context has: a good one, or one with so many
    /// `errors` that is in use because there is no good one.
    pub(crate) fn publish(&self, errors: Option<u32>, now: Mono) {
        if now < self.next.get() {
            return;
        }
        self.next.set(now.after(EVERY));
        match errors {
            None => {
                Shared.write(&self.key, &now.0.to_le_bytes(), Some(Cas(0)));
                self.show(self.refused());
            }
            Some(errors) if !self.is_good(now) => self.show(errors),
            // A good configuration has replaced this one, which lives on until its last request ends.
            // The gauge belongs to the good one.
            Some(_) => self.shows_errors.set(false),
        }
    }

    fn show(&self, errors: u32) {
        self.errors.set(errors);
        self.shows_errors.set(errors > 0);
    }
}

impl Drop for LastGoodConfig {
    /// Resets the gauge, so that a configuration that is gone shows no mistakes. If another wrong
    /// configuration replaces this one, its own root context sets the gauge again at its next tick.
    fn drop(&mut self) {
        if self.shows_errors.get() {
            self.errors.set(0);
        }
    }
}
