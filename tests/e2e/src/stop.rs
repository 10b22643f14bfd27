//! Ctrl-C for a program that must end its children first.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::TERM_SIGNALS;

/// A flag that Ctrl-C, SIGTERM and the like set, instead of ending the program.
///
/// # Errors
/// When the system refuses to tell of signals.
pub fn stop_signal() -> Result<Arc<AtomicBool>, String> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in TERM_SIGNALS {
        signal_hook::flag::register(*signal, Arc::clone(&stop))
            .map_err(|error| format!("signals cannot be handled: {error}"))?;
    }
    Ok(stop)
}
