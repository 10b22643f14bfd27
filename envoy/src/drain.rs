//! Graceful shutdown of Envoy, in three steps. First `/ready` answers 503 while everything is still
//! served, because a Kubernetes Service removes a terminating pod from its endpoints only after some
//! seconds. Then Envoy stops accepting connections, and the requests in flight finish. Then Envoy exits.
//! The commands go to Envoy's admin interface, because SIGTERM ends Envoy at once.

use std::io;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::admin::Admin;
use crate::bootstrap::PROXY_STAT_PREFIX;

/// How long `/ready` answers 503 before Envoy stops accepting connections; a third of the whole time
/// if that is shorter.
const MAX_NOTICE: Duration = Duration::from_secs(5);

/// The part of the whole time that is reserved for Envoy's exit.
const RESERVE: Duration = Duration::from_secs(1);

/// The interval between checks for requests in flight.
const POLL: Duration = Duration::from_millis(100);

/// A graceful shutdown.
#[derive(Debug, Clone)]
pub struct Drain {
    /// Envoy's admin interface.
    pub admin: Admin,
    /// The whole time from the signal to Envoy's exit.
    pub within: Duration,
    /// How long after the last request its telemetry has been sent.
    pub flushed_after: Duration,
}

impl Drain {
    /// Drains Envoy and makes it exit.
    ///
    /// # Errors
    /// If the admin interface does not answer: Envoy has not started yet, or has ended.
    pub fn run(&self) -> io::Result<()> {
        let started = Instant::now();
        self.admin.post("/healthcheck/fail")?;
        sleep(MAX_NOTICE.min(self.within / 3));
        // Not the listener of the exporters.
        self.admin.post("/drain_listeners?inboundonly")?;
        let deadline = started + self.within.saturating_sub(RESERVE);
        while self.requests_in_flight()? > 0 && Instant::now() < deadline {
            sleep(POLL);
        }
        // Envoy exits without a last export.
        let left = deadline.saturating_duration_since(Instant::now());
        sleep(self.flushed_after.min(left));
        self.admin.post("/quitquitquit")
    }

    fn requests_in_flight(&self) -> io::Result<u64> {
        let gauge = format!("http.{PROXY_STAT_PREFIX}.downstream_rq_active");
        let stats = self.admin.stats(&format!("^{gauge}$"))?;
        let found = stats.into_iter().find(|(name, _)| *name == gauge);
        found
            .map(|(_, value)| value)
            .ok_or_else(|| io::Error::other(format!("Envoy does not count {gauge}")))
    }
}
