//! An orderly end. A Service takes an ending pod out of its endpoints only after some seconds, so
//! first `/ready` says 503 while everything is still served; then no new connection is taken and
//! what is in flight may finish; then Envoy ends. All by Envoy's admin interface, because SIGTERM
//! ends Envoy at once.

use std::io;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::admin::Admin;
use crate::bootstrap::PROXY_STAT_PREFIX;

/// How long endpoints may take to hear of an unready pod; less where there is less time.
const LONGEST_NOTICE: Duration = Duration::from_secs(5);

/// Kept back from the whole for Envoy's own end.
const RESERVE: Duration = Duration::from_secs(1);

/// How often to look whether requests are still in flight.
const POLL: Duration = Duration::from_millis(100);

/// How to end an Envoy.
#[derive(Debug, Clone)]
pub struct Drain {
    /// Of the Envoy.
    pub admin: Admin,
    /// From the signal to Envoy's end.
    pub within: Duration,
}

impl Drain {
    /// Lets Envoy finish and tells it to end. An error means that its admin interface did not
    /// answer: it is not up yet, or no longer.
    pub fn run(&self) -> io::Result<()> {
        let started = Instant::now();
        self.admin.post("/healthcheck/fail")?;
        sleep(LONGEST_NOTICE.min(self.within / 3));
        self.admin.post("/drain_listeners")?;
        let deadline = started + self.within.saturating_sub(RESERVE);
        while self.requests_in_flight()? > 0 && Instant::now() < deadline {
            sleep(POLL);
        }
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
