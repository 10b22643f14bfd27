//! Runs Envoy as a child process. The launcher forwards signals to Envoy, and ends with Envoy, with the
//! same exit code. Envoy and the token-sidecars never outlive the launcher. As the first process of a
//! container, the launcher also reaps orphaned processes.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, WaitOptions, WaitStatus};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGKILL, SIGTERM};
use signal_hook::iterator::Signals;

use crate::drain::Drain;
use crate::exit::{self, USAGE};
use crate::process::{Child, NotStarted, forward_signal, start};
use crate::supervised_process::SupervisedProcess;

/// The shortest time that Envoy gets to exit before it is killed.
const GRACE: Duration = Duration::from_secs(1);

/// The interval between checks whether the sidecars answer.
const POLL: Duration = Duration::from_millis(20);

/// Runs the child until it ends and returns the exit code: the child's own, or 128 plus the number of the
/// signal that ended it. The first SIGTERM drains the child if `drain` is given; a further one, or Ctrl-C,
/// ends it at once.
///
/// The sidecars, each with its socket, start before the child and end after it. If one refuses its
/// settings, the child is not started.
///
/// # Errors
/// If a process cannot be started.
pub fn run(
    child: &Child,
    sidecars: Vec<(Child, PathBuf)>,
    drain: Option<Drain>,
) -> Result<u8, NotStarted> {
    // Before the child starts, so that neither a signal nor the child's end is missed.
    let signals = signals().map_err(|error| not_started(&child.program, error))?;
    let mut sidecars = match start_sidecars(sidecars, &signals)? {
        Ok(sidecars) => sidecars,
        Err(code) => return Ok(code),
    };
    let child = start(child).map_err(|error| not_started(&child.program, error))?;
    let code = wait_for_exit(child, &signals, &mut sidecars, drain);
    for sidecar in sidecars {
        sidecar.stop();
    }
    Ok(code)
}

fn not_started(program: &Path, error: io::Error) -> NotStarted {
    NotStarted {
        program: program.to_path_buf(),
        error,
    }
}

/// Starts the sidecars and waits until each accepts connections, has ended or has used up its time.
/// The inner error is the exit code, if a sidecar refuses its settings or a signal ends the wait.
pub(crate) fn start_sidecars(
    sidecars: Vec<(Child, PathBuf)>,
    signals: &Receiver<i32>,
) -> Result<Result<Vec<SupervisedProcess>, u8>, NotStarted> {
    let mut sidecars = sidecars
        .into_iter()
        .map(|(sidecar, socket)| {
            let program = sidecar.program.clone();
            SupervisedProcess::start(sidecar, socket).map_err(|error| not_started(&program, error))
        })
        .collect::<Result<Vec<_>, _>>()?;
    let stopped = loop {
        // `count` calls `is_starting` for each sidecar, as `any` would not.
        let starting = sidecars.iter_mut().map(SupervisedProcess::is_starting);
        if starting.filter(|starting| *starting).count() == 0 {
            break None;
        }
        match signals.recv_timeout(POLL) {
            Ok(signal @ (SIGTERM | SIGINT)) => break Some(signal),
            // A sidecar that has started may end while another is starting.
            Ok(SIGCHLD) => {
                reap(None, &mut sidecars);
            }
            _ => {}
        }
        restart_due(&mut sidecars);
    };
    let refused = sidecars.iter().any(SupervisedProcess::refused_settings);
    let code = match stopped {
        Some(signal) => u8::try_from(128 + signal).unwrap_or(1),
        None if refused => USAGE,
        None => return Ok(Ok(sidecars)),
    };
    for sidecar in sidecars {
        sidecar.stop();
    }
    Ok(Err(code))
}

/// Receives signals in a separate thread. The children must be started in the main thread: the kernel
/// kills them when the thread that started them ends.
pub(crate) fn signals() -> io::Result<Receiver<i32>> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP, SIGCHLD])?;
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for signal in signals.forever() {
            if sender.send(signal).is_err() {
                return;
            }
        }
    });
    Ok(receiver)
}

/// Handles signals and restarts sidecars until the child ends.
fn wait_for_exit(
    child: Pid,
    signals: &Receiver<i32>,
    sidecars: &mut [SupervisedProcess],
    mut drain: Option<Drain>,
) -> u8 {
    loop {
        let next = sidecars
            .iter()
            .filter_map(SupervisedProcess::restart_at)
            .min();
        let wait = next.map(|at| at.saturating_duration_since(Instant::now()));
        let signal = match wait {
            Some(wait) => signals.recv_timeout(wait),
            None => signals.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match signal {
            Ok(SIGCHLD) => {
                if let Some(status) = reap(Some(child), sidecars) {
                    return exit::code_of(status);
                }
            }
            Ok(SIGTERM) => match drain.take() {
                Some(drain) => {
                    thread::spawn(move || drain_and_end(child, &drain));
                }
                None => forward_signal(child, SIGTERM),
            },
            Ok(other) => forward_signal(child, other),
            Err(RecvTimeoutError::Timeout) => restart_due(sidecars),
            Err(RecvTimeoutError::Disconnected) => {
                unreachable!("the thread that receives signals does not end")
            }
        }
    }
}

/// Restarts the sidecars whose restart is due.
pub(crate) fn restart_due(sidecars: &mut [SupervisedProcess]) {
    let now = Instant::now();
    for sidecar in sidecars {
        if sidecar.restart_at().is_some_and(|at| at <= now) {
            sidecar.restart();
        }
    }
}

/// Drains the child. Ends it with SIGTERM if it cannot be drained, and with SIGKILL if it does not exit
/// in time.
fn drain_and_end(child: Pid, drain: &Drain) {
    let deadline = Instant::now() + drain.within;
    if let Err(error) = drain.run() {
        eprintln!("entra-auth-envoy: Envoy cannot be drained, and is ended: {error}");
        forward_signal(child, SIGTERM);
    }
    thread::sleep(
        deadline
            .saturating_duration_since(Instant::now())
            .max(GRACE),
    );
    forward_signal(child, SIGKILL);
}

/// Reaps every process that has ended, and updates the sidecars among them. Returns the child's status
/// if the child is among them.
pub(crate) fn reap(child: Option<Pid>, sidecars: &mut [SupervisedProcess]) -> Option<WaitStatus> {
    let mut ended = None;
    while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
        if Some(pid) == child {
            ended = Some(status);
        } else if let Some(sidecar) = sidecars.iter_mut().find(|sidecar| sidecar.is(pid)) {
            sidecar.on_exit(status);
        }
    }
    ended
}
