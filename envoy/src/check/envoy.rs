//! Envoy, and the token-sidecars where some are needed, for as long as a piece of work takes.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, WaitOptions};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGKILL, SIGTERM};

use crate::process::{Child, NotStarted, pass_on, start};
use crate::supervised_process::SupervisedProcess;
use crate::{exit, supervise};

/// Until Envoy listens: it has no module to compile.
const START: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);
/// What Envoy gets to end by itself.
const GRACE: Duration = Duration::from_secs(2);

/// What came of the work.
#[derive(Debug)]
pub(super) enum Ended<T> {
    /// It is done.
    Done(T),
    /// A signal ended it, or a token-sidecar refuses its settings, and has said why; the code to
    /// end with.
    Stopped(u8),
    /// Envoy ended by itself with this code.
    Early(u8),
    /// Envoy does not listen.
    NotListening,
}

/// Does the work once Envoy listens on the socket, and ends all processes behind it.
pub(super) fn work<T: Send + 'static>(
    envoy: &Child,
    sidecars: Vec<(Child, PathBuf)>,
    socket: &Path,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<Ended<T>, NotStarted> {
    let not_started = |error| NotStarted {
        program: envoy.program.clone(),
        error,
    };
    let signals = supervise::signals().map_err(not_started)?;
    let mut sidecars = match supervise::first_starts(sidecars, &signals)? {
        Ok(sidecars) => sidecars,
        Err(code) => return Ok(Ended::Stopped(code)),
    };
    let pid = start(envoy).map_err(not_started)?;
    let ended = attend(pid, &mut sidecars, &signals, socket, work);
    if !matches!(ended, Ended::Early(_)) {
        end(pid);
    }
    for sidecar in sidecars {
        sidecar.end();
    }
    Ok(ended)
}

fn attend<T: Send + 'static>(
    envoy: Pid,
    sidecars: &mut [SupervisedProcess],
    signals: &Receiver<i32>,
    socket: &Path,
    work: impl FnOnce() -> T + Send + 'static,
) -> Ended<T> {
    let deadline = Instant::now() + START;
    let mut work = Some(work);
    let mut worker: Option<thread::JoinHandle<T>> = None;
    loop {
        match signals.recv_timeout(POLL) {
            Ok(signal @ (SIGTERM | SIGINT | SIGHUP)) => {
                return Ended::Stopped(u8::try_from(128 + signal).unwrap_or(1));
            }
            Ok(SIGCHLD) => {
                if let Some(status) = supervise::reap(Some(envoy), sidecars) {
                    return Ended::Early(exit::code_of(status));
                }
            }
            _ => {}
        }
        supervise::restart_due(sidecars);
        if let Some(done) = worker.take_if(|worker| worker.is_finished()) {
            return match done.join() {
                Ok(result) => Ended::Done(result),
                Err(panic) => std::panic::resume_unwind(panic),
            };
        }
        if worker.is_none() {
            if UnixStream::connect(socket).is_ok() {
                worker = work.take().map(thread::spawn);
            } else if Instant::now() > deadline {
                return Ended::NotListening;
            }
        }
    }
}

fn end(envoy: Pid) {
    pass_on(envoy, SIGTERM);
    let deadline = Instant::now() + GRACE;
    while matches!(
        rustix::process::waitpid(Some(envoy), WaitOptions::NOHANG),
        Ok(None)
    ) {
        if Instant::now() > deadline {
            pass_on(envoy, SIGKILL);
        }
        thread::sleep(POLL);
    }
}
