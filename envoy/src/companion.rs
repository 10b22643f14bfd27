//! A process beside Envoy that is started again when it ends, after a pause that doubles with each
//! time. Without it Envoy lives on with the token that it has.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions, WaitStatus};

use crate::launch::{USAGE, say};
use crate::supervise::{self, Child};

const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// After a life as long as this the pause is the first one again.
const LONG_LIFE: Duration = Duration::from_secs(60);

/// How long its first start may take before Envoy is started without it.
const FIRST_START: Duration = Duration::from_secs(10);
/// What it gets to end by itself.
const GRACE: Duration = Duration::from_secs(1);
const POLL: Duration = Duration::from_millis(20);

/// The process and the socket on which it answers.
#[derive(Debug)]
pub struct Companion {
    child: Child,
    socket: PathBuf,
    state: State,
    /// Before the next start but one.
    pause: Duration,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Runs { pid: Pid, since: Instant },
    StartsAt(Instant),
}

/// What came of the first start.
#[derive(Debug, PartialEq, Eq)]
pub enum FirstStart {
    /// It answers, or may yet.
    Goes,
    /// It refuses its settings, and has said why.
    Refused,
}

impl Companion {
    /// Starts it for the first time.
    pub fn start(child: Child, socket: PathBuf) -> io::Result<Self> {
        let state = runs(&child)?;
        Ok(Self {
            child,
            socket,
            state,
            pause: FIRST_PAUSE,
        })
    }

    /// The program's path, for messages.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.child.program
    }

    /// Waits until it answers, or `stopped` says that nobody wants it any more.
    pub fn first_start(&mut self, mut stopped: impl FnMut(Duration) -> bool) -> FirstStart {
        let deadline = Instant::now() + FIRST_START;
        while let State::Runs { pid, .. } = self.state {
            if UnixStream::connect(&self.socket).is_ok() {
                return FirstStart::Goes;
            }
            if let Ok(Some((_, status))) = rustix::process::waitpid(Some(pid), WaitOptions::NOHANG)
            {
                if status.exit_status() == Some(USAGE.into()) {
                    say(&format!(
                        "{} refuses its settings, see above",
                        self.child.name
                    ));
                    self.put_off();
                    return FirstStart::Refused;
                }
                self.ended(status);
            } else if Instant::now() > deadline {
                say("the token-sidecar does not answer yet; Envoy is started without it");
                return FirstStart::Goes;
            } else if stopped(POLL) {
                return FirstStart::Goes;
            }
        }
        FirstStart::Goes
    }

    /// Whether this process is it.
    #[must_use]
    pub fn is(&self, other: Pid) -> bool {
        matches!(self.state, State::Runs { pid, .. } if pid == other)
    }

    /// It has ended, and its next start is due in a while.
    pub fn ended(&mut self, status: WaitStatus) {
        if let State::Runs { since, .. } = self.state
            && since.elapsed() >= LONG_LIFE
        {
            self.pause = FIRST_PAUSE;
        }
        say(&format!(
            "the token-sidecar ended with code {}; it is started again in {:?}",
            supervise::exit_code(status),
            self.pause
        ));
        self.put_off();
    }

    /// When it is to be started next; none while it runs.
    #[must_use]
    pub fn starts_at(&self) -> Option<Instant> {
        match self.state {
            State::Runs { .. } => None,
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
        pid: supervise::start(child)?,
        since: Instant::now(),
    })
}
