//! Waiting for what another process does: by asking again and again, never by a fixed sleep.

use std::fmt::Display;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long to wait between two tries.
const POLL: Duration = Duration::from_millis(20);

/// Tries until `attempt` succeeds, and gives its value.
///
/// # Panics
/// When `timeout` has passed, with `what` and the reason of the last try.
#[track_caller]
pub fn eventually<T, E: Display>(
    timeout: Duration,
    what: &str,
    attempt: impl FnMut() -> Result<T, E>,
) -> T {
    match eventually_ok(timeout, what, attempt) {
        Ok(value) => value,
        Err(reason) => panic!("{reason}"),
    }
}

/// Like [`eventually`], but gives the reason instead of panicking.
///
/// # Errors
/// When `timeout` has passed: `what`, and why the last try failed.
pub fn eventually_ok<T, E: Display>(
    timeout: Duration,
    what: &str,
    mut attempt: impl FnMut() -> Result<T, E>,
) -> Result<T, String> {
    let deadline = Instant::now() + timeout;
    loop {
        match attempt() {
            Ok(value) => return Ok(value),
            Err(reason) if Instant::now() >= deadline => {
                return Err(format!("not within {timeout:?}: {what}: {reason}"));
            }
            Err(_) => sleep(POLL),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_succeeds_at_the_third_try_is_given_back() {
        let mut tries = 0;
        let value = eventually(Duration::from_secs(5), "three tries", || {
            tries += 1;
            if tries < 3 {
                Err(format!("try {tries}"))
            } else {
                Ok(tries)
            }
        });
        assert_eq!(value, 3);
    }

    #[test]
    fn the_last_reason_is_told_when_time_is_up() {
        let result = eventually_ok(Duration::ZERO, "a miracle", || Err::<(), _>("none seen"));
        let reason = result.unwrap_err();
        assert!(reason.contains("a miracle: none seen"), "{reason}");
    }
}
