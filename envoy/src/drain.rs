//! An orderly end. A Service takes an ending pod out of its endpoints only after some seconds, so
//! first `/ready` says 503 while everything is still served; then no new connection is taken and
//! what is in flight may finish; then Envoy ends. All by Envoy's admin interface, because SIGTERM
//! ends Envoy at once.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::bootstrap::PROXY_STAT_PREFIX;

/// How long endpoints may take to hear of an unready pod; less where there is less time.
const LONGEST_NOTICE: Duration = Duration::from_secs(5);

/// Kept back from the whole for Envoy's own end.
const RESERVE: Duration = Duration::from_secs(1);

/// How often to look whether requests are still in flight.
const POLL: Duration = Duration::from_millis(100);

/// For one call of the admin interface.
const ADMIN_TIMEOUT: Duration = Duration::from_secs(2);

/// How to end an Envoy.
#[derive(Debug, Clone)]
pub struct Drain {
    /// Envoy's admin interface.
    pub admin_socket: PathBuf,
    /// From the signal to Envoy's end.
    pub within: Duration,
}

impl Drain {
    /// Lets Envoy finish and tells it to end. An error means that its admin interface did not
    /// answer: it is not up yet, or no longer.
    pub fn run(&self) -> io::Result<()> {
        let started = Instant::now();
        self.post("/healthcheck/fail")?;
        sleep(LONGEST_NOTICE.min(self.within / 3));
        self.post("/drain_listeners")?;
        let deadline = started + self.within.saturating_sub(RESERVE);
        while self.requests_in_flight()? > 0 && Instant::now() < deadline {
            sleep(POLL);
        }
        self.post("/quitquitquit")
    }

    fn requests_in_flight(&self) -> io::Result<u64> {
        let gauge = format!("http.{PROXY_STAT_PREFIX}.downstream_rq_active");
        let answer = self.ask("GET", &format!("/stats?filter=^{gauge}$"))?;
        answer
            .lines()
            .find_map(|line| {
                line.strip_prefix(&gauge)?
                    .strip_prefix(':')?
                    .trim()
                    .parse()
                    .ok()
            })
            .ok_or_else(|| io::Error::other(format!("Envoy does not count {gauge}")))
    }

    fn post(&self, path: &str) -> io::Result<()> {
        self.ask("POST", path).map(drop)
    }

    /// One request on a connection of its own, which Envoy closes behind its answer.
    fn ask(&self, method: &str, path: &str) -> io::Result<String> {
        let mut admin = UnixStream::connect(&self.admin_socket)?;
        admin.set_read_timeout(Some(ADMIN_TIMEOUT))?;
        admin.set_write_timeout(Some(ADMIN_TIMEOUT))?;
        write!(
            admin,
            "{method} {path} HTTP/1.1\r\nHost: admin\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        )?;
        let mut answer = String::new();
        admin.read_to_string(&mut answer)?;
        if answer.starts_with("HTTP/1.1 200 ") {
            Ok(answer)
        } else {
            let status = answer.lines().next().unwrap_or_default();
            Err(io::Error::other(format!("{path}: {status}")))
        }
    }
}
