//! A sidecar process that is restarted when it ends, with exponential back-off. While it is down, Envoy
//! goes on with the token that it has.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions, WaitStatus};

use crate::exit::{self, USAGE, say};
use crate::process::{self, Child};

const MIN_BACKOFF: Duration = Duration::from_millis(500);
const MAX_BACKOFF: Duration = Duration::from_secs(30);
/// A process that ran for this long is restarted with the minimal back-off.
const STABLE_AFTER: Duration = Duration::from_secs(60);

/// How long Envoy's start waits until the process accepts connections.
const START_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the process gets to exit after SIGTERM.
const GRACE: Duration = Duration::from_secs(1);
const POLL: Duration = Duration::from_millis(20);

/// A supervised process and the socket on which it listens.
#[derive(Debug)]
pub struct SupervisedProcess {
    child: Child,
    socket: PathBuf,
    state: State,
    /// Until when Envoy's start waits for the process; `None` once it has started, has ended or has
    /// used up its time.
    start_deadline: Option<Instant>,
    /// How long the next restart is delayed.
    backoff: Duration,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Running {
        pid: Pid,
        since: Instant,
    },
    RestartAt(Instant),
    /// The process refused its settings at its first start, and is not restarted.
    RefusedSettings,
}

impl SupervisedProcess {
    /// Starts the process for the first time.
    ///
    /// # Errors
    /// If the process cannot be started.
    pub fn start(child: Child, socket: PathBuf) -> io::Result<Self> {
        let state = spawn(&child)?;
        Ok(Self {
            child,
            socket,
            state,
            start_deadline: Some(Instant::now() + START_TIMEOUT),
            backoff: MIN_BACKOFF,
        })
    }

    /// Whether Envoy's start has to wait for the process: it does not accept connections yet, has not
    /// ended, and has time left.
    pub fn is_starting(&mut self) -> bool {
        let Some(deadline) = self.start_deadline else {
            return false;
        };
        if UnixStream::connect(&self.socket).is_ok() {
            self.start_deadline = None;
        } else if Instant::now() > deadline {
            say(&format!(
                "{} does not answer yet; Envoy is started without it",
                self.child.name
            ));
            self.start_deadline = None;
        }
        self.start_deadline.is_some()
    }

    /// Whether the process refused its settings at its first start. It has reported why.
    #[must_use]
    pub fn refused_settings(&self) -> bool {
        matches!(self.state, State::RefusedSettings)
    }

    /// Whether the process runs with this id.
    #[must_use]
    pub fn is(&self, other: Pid) -> bool {
        matches!(self.state, State::Running { pid, .. } if pid == other)
    }

    /// Handles the end of the process. Schedules a restart, unless the process refused its settings at
    /// its first start.
    pub fn on_exit(&mut self, status: WaitStatus) {
        let at_first_start = self.start_deadline.take().is_some();
        if at_first_start && status.exit_status() == Some(USAGE.into()) {
            say(&format!(
                "{} refuses its settings, see above",
                self.child.name
            ));
            self.state = State::RefusedSettings;
            return;
        }
        if let State::Running { since, .. } = self.state
            && since.elapsed() >= STABLE_AFTER
        {
            self.backoff = MIN_BACKOFF;
        }
        say(&format!(
            "{} ended with code {}; it is started again in {:?}",
            self.child.name,
            exit::code_of(status),
            self.backoff
        ));
        self.schedule_restart();
    }

    /// When to restart the process; `None` if it runs or has refused its settings.
    #[must_use]
    pub fn restart_at(&self) -> Option<Instant> {
        match self.state {
            State::Running { .. } | State::RefusedSettings => None,
            State::RestartAt(at) => Some(at),
        }
    }

    /// Restarts the process.
    pub fn restart(&mut self) {
        match spawn(&self.child) {
            Ok(state) => self.state = state,
            Err(error) => {
                say(&format!(
                    "cannot run {}: {error}; next attempt in {:?}",
                    self.child.program.display(),
                    self.backoff
                ));
                self.schedule_restart();
            }
        }
    }

    fn schedule_restart(&mut self) {
        self.state = State::RestartAt(Instant::now() + self.backoff);
        self.backoff = (self.backoff * 2).min(MAX_BACKOFF);
    }

    /// Stops the process. If it does not exit in time, the kernel kills it when the launcher ends.
    pub fn stop(self) {
        let State::Running { pid, .. } = self.state else {
            return;
        };
        let _ = rustix::process::kill_process_group(pid, Signal::TERM);
        let deadline = Instant::now() + GRACE;
        while matches!(
            rustix::process::waitpid(Some(pid), WaitOptions::NOHANG),
            Ok(None)
        ) && Instant::now() < deadline
        {
            std::thread::sleep(POLL);
        }
    }
}

fn spawn(child: &Child) -> io::Result<State> {
    Ok(State::Running {
        pid: process::start(child)?,
        since: Instant::now(),
    })
}
