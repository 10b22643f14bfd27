//! A process beside Envoy that is started again when it ends, after a pause that doubles with each
//! time. Without it Envoy lives on with the token that it has.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions, WaitStatus};

use crate::exit::{self, USAGE, say};
use crate::process::{self, Child};

const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// After a life as long as this the pause is the first one again.
const LONG_LIFE: Duration = Duration::from_secs(60);

/// How long its first answer is awaited before Envoy is started without it.
const FIRST_START: Duration = Duration::from_secs(10);
/// What it gets to end by itself.
const GRACE: Duration = Duration::from_secs(1);
const POLL: Duration = Duration::from_millis(20);

/// The process and the socket on which it answers.
#[derive(Debug)]
pub struct SupervisedProcess {
    child: Child,
    socket: PathBuf,
    state: State,
    /// Until when Envoy's start waits for its first answer; none when that is over.
    awaited_until: Option<Instant>,
    /// Before the next start but one.
    pause: Duration,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Runs {
        pid: Pid,
        since: Instant,
    },
    StartsAt(Instant),
    /// It refused its settings at its first start, and is not started again.
    Refused,
}

impl SupervisedProcess {
    /// Starts it for the first time.
    pub fn start(child: Child, socket: PathBuf) -> io::Result<Self> {
        let state = runs(&child)?;
        Ok(Self {
            child,
            socket,
            state,
            awaited_until: Some(Instant::now() + FIRST_START),
            pause: FIRST_PAUSE,
        })
    }

    /// Whether its first answer is still to be waited for: it has not answered yet, has not ended,
    /// and has time left.
    pub fn is_awaited(&mut self) -> bool {
        let Some(deadline) = self.awaited_until else {
            return false;
        };
        if UnixStream::connect(&self.socket).is_ok() {
            self.awaited_until = None;
        } else if Instant::now() > deadline {
            say(&format!(
                "{} does not answer yet; Envoy is started without it",
                self.child.name
            ));
            self.awaited_until = None;
        }
        self.awaited_until.is_some()
    }

    /// Whether it ended its first start with the code for settings that it refuses, and has said why.
    #[must_use]
    pub fn has_refused(&self) -> bool {
        matches!(self.state, State::Refused)
    }

    /// Whether this process is it.
    #[must_use]
    pub fn is(&self, other: Pid) -> bool {
        matches!(self.state, State::Runs { pid, .. } if pid == other)
    }

    /// It has ended. Its next start is due in a while, unless it refused its settings at the first.
    pub fn ended(&mut self, status: WaitStatus) {
        let at_first_start = self.awaited_until.take().is_some();
        if at_first_start && status.exit_status() == Some(USAGE.into()) {
            say(&format!(
                "{} refuses its settings, see above",
                self.child.name
            ));
            self.state = State::Refused;
            return;
        }
        if let State::Runs { since, .. } = self.state
            && since.elapsed() >= LONG_LIFE
        {
            self.pause = FIRST_PAUSE;
        }
        say(&format!(
            "{} ended with code {}; it is started again in {:?}",
            self.child.name,
            exit::code_of(status),
            self.pause
        ));
        self.put_off();
    }

    /// When it is to be started next; none while it runs, and where it has refused its settings.
    #[must_use]
    pub fn starts_at(&self) -> Option<Instant> {
        match self.state {
            State::Runs { .. } | State::Refused => None,
            State::StartsAt(at) => Some(at),
        }
    }

    /// Starts it again.
    pub fn restart(&mut self) {
        match runs(&self.child) {
            Ok(state) => self.state = state,
            Err(error) => {
                say(&format!(
                    "cannot run {}: {error}; next attempt in {:?}",
                    self.child.program.display(),
                    self.pause
                ));
                self.put_off();
            }
        }
    }

    fn put_off(&mut self) {
        self.state = State::StartsAt(Instant::now() + self.pause);
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }

    /// Ends it for good. If it does not end in time, the kernel ends it with the launcher.
    pub fn end(self) {
        let State::Runs { pid, .. } = self.state else {
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

fn runs(child: &Child) -> io::Result<State> {
    Ok(State::Runs {
        pid: process::start(child)?,
        since: Instant::now(),
    })
}
