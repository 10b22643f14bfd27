//! Starting an Envoy keeps a core busy, since it compiles the Wasm module; playing a scenario is
//! mostly waiting. So many are played at once, and few started.

use std::num::NonZero;
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread::available_parallelism;

static STARTING: Mutex<usize> = Mutex::new(0);
static ENDED: Condvar = Condvar::new();

/// A turn to start something; ends with this value.
pub(super) struct Turn(());

impl Turn {
    /// Waits for one.
    pub(super) fn take() -> Self {
        let cores = available_parallelism().map_or(1, NonZero::get);
        let starting = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
        let mut starting = ENDED
            .wait_while(starting, |starting| *starting >= cores)
            .unwrap_or_else(PoisonError::into_inner);
        *starting += 1;
        Self(())
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *STARTING.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        ENDED.notify_one();
    }
}
