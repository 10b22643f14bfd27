//! Runs Envoy, and the token-sidecars if there are some, while a piece of work is done.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, WaitOptions};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGKILL, SIGTERM};

use crate::process::{Child, NotStarted, forward_signal, start};
use crate::supervised_process::SupervisedProcess;
use crate::{exit, supervise};

/// How long Envoy may take until it listens.
const START_TIMEOUT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);
/// How long Envoy gets to exit after SIGTERM.
const GRACE: Duration = Duration::from_secs(2);

/// The outcome of the work.
#[derive(Debug)]
pub(super) enum Outcome<T> {
    /// The work is done.
    Done(T),
    /// A signal stopped the work, or a token-sidecar refused its settings and reported why. With the
    /// exit code.
    Stopped(u8),
    /// Envoy exited with this code.
    EnvoyExited(u8),
    /// Envoy did not listen in time.
    NotListening,
}

/// Does the work once Envoy listens on the socket. Ends all processes afterwards.
///
/// # Errors
/// If a process cannot be started.
pub(super) fn run_with_envoy<T: Send + 'static>(
    envoy: &Child,
    sidecars: Vec<(Child, PathBuf)>,
    socket: &Path,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<Outcome<T>, NotStarted> {
    let not_started = |error| NotStarted {
        program: envoy.program.clone(),
        error,
    };
    let signals = supervise::signals().map_err(not_started)?;
    let mut sidecars = match supervise::start_sidecars(sidecars, &signals)? {
        Ok(sidecars) => sidecars,
        Err(code) => return Ok(Outcome::Stopped(code)),
    };
    let pid = start(envoy).map_err(not_started)?;
    let outcome = run_until_done(pid, &mut sidecars, &signals, socket, work);
    if !matches!(outcome, Outcome::EnvoyExited(_)) {
        terminate(pid);
    }
    for sidecar in sidecars {
        sidecar.stop();
    }
    Ok(outcome)
}

fn run_until_done<T: Send + 'static>(
    envoy: Pid,
    sidecars: &mut [SupervisedProcess],
    signals: &Receiver<i32>,
    socket: &Path,
    work: impl FnOnce() -> T + Send + 'static,
) -> Outcome<T> {
    let deadline = Instant::now() + START_TIMEOUT;
    let mut work = Some(work);
    let mut worker: Option<thread::JoinHandle<T>> = None;
    loop {
        match signals.recv_timeout(POLL) {
            Ok(signal @ (SIGTERM | SIGINT | SIGHUP)) => {
                return Outcome::Stopped(u8::try_from(128 + signal).unwrap_or(1));
            }
            Ok(SIGCHLD) => {
                if let Some(status) = supervise::reap(Some(envoy), sidecars) {
                    return Outcome::EnvoyExited(exit::code_of(status));
                }
            }
            _ => {}
        }
        supervise::restart_due(sidecars);
        if let Some(done) = worker.take_if(|worker| worker.is_finished()) {
            return match done.join() {
                Ok(result) => Outcome::Done(result),
                Err(panic) => std::panic::resume_unwind(panic),
            };
        }
        if worker.is_none() {
            if UnixStream::connect(socket).is_ok() {
                worker = work.take().map(thread::spawn);
            } else if Instant::now() > deadline {
                return Outcome::NotListening;
            }
        }
    }
}

fn terminate(envoy: Pid) {
    forward_signal(envoy, SIGTERM);
    let deadline = Instant::now() + GRACE;
    while matches!(
        rustix::process::waitpid(Some(envoy), WaitOptions::NOHANG),
        Ok(None)
    ) {
        if Instant::now() > deadline {
            forward_signal(envoy, SIGKILL);
        }
        thread::sleep(POLL);
    }
}
