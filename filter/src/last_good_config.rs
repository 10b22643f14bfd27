//! How this plugin stands in the process: whether a good configuration of it is in use.
//!
//! Envoy tries each configuration in a throw-away VM on the main thread. That VM knows nothing but
//! shared data, so those who have a good one say so there, again and again: it outlives what it
//! speaks of. Every other VM gets only what was accepted there
//! (docs/decisions/0017-a-first-configuration-that-is-wrong.md).

use core::cell::Cell;
use core::time::Duration;

use entra_token_core::Mono;
use entra_token_core::config::Mistakes;
use entra_token_core::lease::{Cas, SharedData};

use crate::host::{self, Shared};
use crate::metrics::MistakesGauge;

/// How often a root context with a good configuration says so.
const EVERY: Duration = Duration::from_secs(1);

/// For how long that counts: a process that gets no turn for so long has other troubles.
const COUNTS_FOR: Duration = Duration::from_secs(10);

/// The last_good of the plugin that a configuration belongs to.
pub(crate) struct LastGoodConfig {
    /// Of the time at which a good one was last in use.
    key: String,
    /// Of the number of mistakes in a wrong one that came after it.
    refused_key: String,
    mistakes: MistakesGauge,
    /// When it is told again.
    next: Cell<Mono>,
    /// Whether the gauge shows mistakes by this configuration.
    shows_mistakes: Cell<bool>,
}

impl LastGoodConfig {
    /// Of the effective root context, by the names that its owner gave it: `config.name`, which
    /// Istio makes of the WasmPlugin's, and `root_id`.
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
            mistakes: MistakesGauge::new(&name),
            next: Cell::default(),
            shows_mistakes: Cell::default(),
        }
    }

    /// Whether both are of the same plugin.
    pub(crate) fn is_of_the_plugin_of(&self, other: &Self) -> bool {
        self.key == other.key
    }

    /// A wrong configuration is not taken, because there is a good one: those who have that show the
    /// mistakes, as a throw-away VM leaves nothing behind.
    pub(crate) fn refuses(&self, mistakes: &Mistakes) {
        self.remember_refused(mistakes.count());
    }

    /// A good configuration is taken, so that the last one is none that was refused.
    pub(crate) fn accepts(&self) {
        if self.refused() > 0 {
            self.remember_refused(0);
        }
    }

    fn remember_refused(&self, mistakes: u32) {
        // Whatever is there: version 0 stands for any.
        Shared.write(&self.refused_key, &mistakes.to_le_bytes(), Some(Cas(0)));
    }

    fn refused(&self) -> u32 {
        let said = Shared.read(&self.refused_key);
        let said = said.and_then(|(bytes, _)| bytes.try_into().ok());
        said.map_or(0, u32::from_le_bytes)
    }

    /// Whether a root context with a good configuration has just said so.
    pub(crate) fn is_good(&self, now: Mono) -> bool {
        let said = Shared.read(&self.key);
        let said = said.and_then(|(bytes, _)| bytes.try_into().ok());
        said.is_some_and(|at| now.since(Mono(u64::from_le_bytes(at))) < COUNTS_FOR)
    }

    /// Publishes, at a tick, the configuration that this root context has: a good one, or one with so many
    /// `mistakes` that is in use because there is no good one.
    pub(crate) fn publish(&self, mistakes: Option<u32>, now: Mono) {
        if now < self.next.get() {
            return;
        }
        self.next.set(now.after(EVERY));
        match mistakes {
            None => {
                Shared.write(&self.key, &now.0.to_le_bytes(), Some(Cas(0)));
                self.show(self.refused());
            }
            Some(mistakes) if !self.is_good(now) => self.show(mistakes),
            // A good configuration has replaced this one, which lives on until its last request ends.
            // The gauge belongs to the good one.
            Some(_) => self.shows_mistakes.set(false),
        }
    }

    fn show(&self, mistakes: u32) {
        self.mistakes.set(mistakes);
        self.shows_mistakes.set(mistakes > 0);
    }
}

impl Drop for LastGoodConfig {
    /// What is gone has no mistakes. One that is as bad and takes its place shows its own soon.
    fn drop(&mut self) {
        if self.shows_mistakes.get() {
            self.mistakes.set(0);
        }
    }
}
