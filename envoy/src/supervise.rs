//! Envoy as a child process: signals are passed on to it, it never outlives the launcher, and its
//! end is the launcher's end, with the same code; sidecars that it may have go with it. As the
//! first process of a container the launcher also reaps what others leave behind.

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
use crate::process::{Child, NotStarted, pass_on, start};
use crate::supervised_process::SupervisedProcess;

/// What Envoy gets at least to end by itself once it was told to.
const GRACE: Duration = Duration::from_secs(1);

/// How often the first answers of the sidecars are looked for.
const POLL: Duration = Duration::from_millis(20);

/// Runs the child to its end and gives the code to end with: the child's own, or 128 and the
/// number of the signal that ended it, as a shell does. The first SIGTERM drains it, if it is to be
/// drained; a further one, or Ctrl-C, ends it at once.
///
/// The sidecars, each with the socket on which it answers, are there before the child starts and
/// until it has ended. One that refuses its settings is the end of it all.
pub fn run(
    child: &Child,
    sidecars: Vec<(Child, PathBuf)>,
    drain: Option<Drain>,
) -> Result<u8, NotStarted> {
    // Before the child is there, so that no signal and no end of the child is missed.
    let signals = signals().map_err(|error| not_started(&child.program, error))?;
    let mut sidecars = match first_starts(sidecars, &signals)? {
        Ok(sidecars) => sidecars,
        Err(code) => return Ok(code),
    };
    let child = start(child).map_err(|error| not_started(&child.program, error))?;
    let code = attend(child, &signals, &mut sidecars, drain);
    for sidecar in sidecars {
        sidecar.end();
    }
    Ok(code)
}

fn not_started(program: &Path, error: io::Error) -> NotStarted {
    NotStarted {
        program: program.to_path_buf(),
        error,
    }
}

/// Starts the sidecars and waits until each has answered or has ended; the code to end with where
/// one refuses its settings, or where a signal ends the wait.
pub(crate) fn first_starts(
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
        // Each is asked: all of them are awaited side by side.
        let awaited = sidecars.iter_mut().map(SupervisedProcess::is_awaited);
        if awaited.filter(|awaited| *awaited).count() == 0 {
            break None;
        }
        match signals.recv_timeout(POLL) {
            Ok(signal @ (SIGTERM | SIGINT)) => break Some(signal),
            // Of any of them: one that has answered may end while another is awaited.
            Ok(SIGCHLD) => {
                reap(None, &mut sidecars);
            }
            _ => {}
        }
        restart_due(&mut sidecars);
    };
    let refused = sidecars.iter().any(SupervisedProcess::has_refused);
    let code = match stopped {
        Some(signal) => u8::try_from(128 + signal).unwrap_or(1),
        None if refused => USAGE,
        None => return Ok(Ok(sidecars)),
    };
    for sidecar in sidecars {
        sidecar.end();
    }
    Ok(Err(code))
}

/// Signals, as they come. They are received in another thread and children are started in this
/// one alone: to the kernel the thread is the parent whose death ends them.
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

/// From the child's start to its end.
fn attend(
    child: Pid,
    signals: &Receiver<i32>,
    sidecars: &mut [SupervisedProcess],
    mut drain: Option<Drain>,
) -> u8 {
    loop {
        let next = sidecars
            .iter()
            .filter_map(SupervisedProcess::starts_at)
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
                    thread::spawn(move || end(child, &drain));
                }
                None => pass_on(child, SIGTERM),
            },
            Ok(other) => pass_on(child, other),
            Err(RecvTimeoutError::Timeout) => restart_due(sidecars),
            Err(RecvTimeoutError::Disconnected) => {
                unreachable!("the thread that receives signals does not end")
            }
        }
    }
}

/// Starts the sidecars again that are due.
pub(crate) fn restart_due(sidecars: &mut [SupervisedProcess]) {
    let now = Instant::now();
    for sidecar in sidecars {
        if sidecar.starts_at().is_some_and(|at| at <= now) {
            sidecar.restart();
        }
    }
}

/// Drains the child. One that cannot be drained, or does not end in time, is ended.
fn end(child: Pid, drain: &Drain) {
    let deadline = Instant::now() + drain.within;
    if let Err(error) = drain.run() {
        eprintln!("entra-auth-envoy: Envoy cannot be drained, and is ended: {error}");
        pass_on(child, SIGTERM);
    }
    thread::sleep(
        deadline
            .saturating_duration_since(Instant::now())
            .max(GRACE),
    );
    pass_on(child, SIGKILL);
}

/// Collects every process that has ended, and tells the sidecars among them; the child's status if
/// there is a child yet and it is among them.
pub(crate) fn reap(child: Option<Pid>, sidecars: &mut [SupervisedProcess]) -> Option<WaitStatus> {
    let mut ended = None;
    while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
        if Some(pid) == child {
            ended = Some(status);
        } else if let Some(sidecar) = sidecars.iter_mut().find(|sidecar| sidecar.is(pid)) {
            sidecar.ended(status);
        }
    }
    ended
}
