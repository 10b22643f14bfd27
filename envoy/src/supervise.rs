//! Envoy as a child process: signals are passed on to it, it never outlives the launcher, and its
//! end is the launcher's end, with the same code; companions that it may have go with it. As the
//! first process of a container the launcher also reaps what others leave behind.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Signal, WaitOptions, WaitStatus};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGKILL, SIGTERM};
use signal_hook::iterator::Signals;

use crate::companion::Companion;
use crate::drain::Drain;
use crate::launch::USAGE;

/// What Envoy gets at least to end by itself once it was told to.
const GRACE: Duration = Duration::from_secs(1);

/// How often the first answers of the companions are looked for.
const POLL: Duration = Duration::from_millis(20);

/// What to run.
#[derive(Debug)]
pub struct Child {
    /// What people call it.
    pub name: String,
    /// The program's path.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Its variables.
    pub environment: Environment,
}

/// Which variables a child sees. Its values may be secrets.
pub enum Environment {
    /// The launcher's own.
    Inherited {
        /// Some more.
        more: Vec<(String, String)>,
        /// And without these.
        without: &'static [&'static str],
    },
    /// These and no others.
    Only(Vec<(String, String)>),
}

/// Without values.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Inherited { more: named, .. } | Self::Only(named)) = self;
        f.debug_list()
            .entries(named.iter().map(|(name, _)| name))
            .finish()
    }
}

/// Which process could not be started.
#[derive(Debug)]
pub struct NotStarted {
    /// Its program.
    pub program: PathBuf,
    /// Why.
    pub error: io::Error,
}

/// Runs the child to its end and gives the code to end with: the child's own, or 128 and the
/// number of the signal that ended it, as a shell does. The first SIGTERM drains it, if it is to be
/// drained; a further one, or Ctrl-C, ends it at once.
///
/// The companions, each with the socket on which it answers, are there before the child starts and
/// until it has ended. One that refuses its settings is the end of it all.
pub fn run(
    child: &Child,
    companions: Vec<(Child, PathBuf)>,
    drain: Option<Drain>,
) -> Result<u8, NotStarted> {
    // Before the child is there, so that no signal and no end of the child is missed.
    let signals = signals().map_err(|error| not_started(&child.program, error))?;
    let mut companions = match first_starts(companions, &signals)? {
        Ok(companions) => companions,
        Err(code) => return Ok(code),
    };
    let child = start(child).map_err(|error| not_started(&child.program, error))?;
    let code = attend(child, &signals, &mut companions, drain);
    for companion in companions {
        companion.end();
    }
    Ok(code)
}

fn not_started(program: &Path, error: io::Error) -> NotStarted {
    NotStarted {
        program: program.to_path_buf(),
        error,
    }
}

/// Starts the companions and waits until each has answered or has ended; the code to end with where
/// one refuses its settings, or where a signal ends the wait.
pub(crate) fn first_starts(
    companions: Vec<(Child, PathBuf)>,
    signals: &Receiver<i32>,
) -> Result<Result<Vec<Companion>, u8>, NotStarted> {
    let mut companions = companions
        .into_iter()
        .map(|(companion, socket)| {
            let program = companion.program.clone();
            Companion::start(companion, socket).map_err(|error| not_started(&program, error))
        })
        .collect::<Result<Vec<_>, _>>()?;
    let stopped = loop {
        // Each is asked: all of them are awaited side by side.
        let awaited = companions.iter_mut().map(Companion::is_awaited);
        if awaited.filter(|awaited| *awaited).count() == 0 {
            break None;
        }
        match signals.recv_timeout(POLL) {
            Ok(signal @ (SIGTERM | SIGINT)) => break Some(signal),
            // Of any of them: one that has answered may end while another is awaited.
            Ok(SIGCHLD) => {
                reap(None, &mut companions);
            }
            _ => {}
        }
        restart_due(&mut companions);
    };
    let refused = companions.iter().any(Companion::has_refused);
    let code = match stopped {
        Some(signal) => u8::try_from(128 + signal).unwrap_or(1),
        None if refused => USAGE,
        None => return Ok(Ok(companions)),
    };
    for companion in companions {
        companion.end();
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
    companions: &mut [Companion],
    mut drain: Option<Drain>,
) -> u8 {
    loop {
        let next = companions.iter().filter_map(Companion::starts_at).min();
        let wait = next.map(|at| at.saturating_duration_since(Instant::now()));
        let signal = match wait {
            Some(wait) => signals.recv_timeout(wait),
            None => signals.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match signal {
            Ok(SIGCHLD) => {
                if let Some(status) = reap(Some(child), companions) {
                    return exit_code(status);
                }
            }
            Ok(SIGTERM) => match drain.take() {
                Some(drain) => {
                    thread::spawn(move || end(child, &drain));
                }
                None => pass_on(child, SIGTERM),
            },
            Ok(other) => pass_on(child, other),
            Err(RecvTimeoutError::Timeout) => restart_due(companions),
            Err(RecvTimeoutError::Disconnected) => {
                unreachable!("the thread that receives signals does not end")
            }
        }
    }
}

/// Starts the companions again that are due.
pub(crate) fn restart_due(companions: &mut [Companion]) {
    let now = Instant::now();
    for companion in companions {
        if companion.starts_at().is_some_and(|at| at <= now) {
            companion.restart();
        }
    }
}

/// Lets Envoy have as many files and connections open as the system allows: the soft limit is
/// often 1,024, for programs that use select(2). Without success Envoy does with fewer.
pub fn raise_open_files() {
    let mut limit = rustix::process::getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = rustix::process::setrlimit(Resource::Nofile, limit);
}

/// What starts a process, with nothing to read and in its own group: a terminal's Ctrl-C comes to the
/// launcher, which passes it on once. The process dies with this thread.
pub(crate) fn command(child: &Child) -> Command {
    let mut command = Command::new(&child.program);
    let variables = match &child.environment {
        Environment::Inherited { more, without } => {
            for name in *without {
                command.env_remove(name);
            }
            more
        }
        Environment::Only(variables) => {
            command.env_clear();
            variables
        }
    };
    command
        .args(&child.arguments)
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .process_group(0);
    die_with_launcher(&mut command);
    command
}

/// Starts a process, which dies with this thread.
pub fn start(child: &Child) -> io::Result<Pid> {
    let id = command(child).spawn()?.id();
    i32::try_from(id)
        .ok()
        .and_then(Pid::from_raw)
        .ok_or_else(|| io::Error::other(format!("the process id {id} makes no sense")))
}

/// Has the kernel kill the child when the launcher dies, however that happens.
#[cfg(target_os = "linux")]
fn die_with_launcher(command: &mut Command) {
    let launcher = rustix::process::getpid();
    let prepare = move || {
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        // It may have died between fork and now.
        if rustix::process::getppid() == Some(launcher) {
            Ok(())
        } else {
            Err(io::ErrorKind::BrokenPipe.into())
        }
    };
    #[expect(unsafe_code, reason = "the only way to run code between fork and exec")]
    // SAFETY: the closure makes two system calls and neither allocates nor locks.
    unsafe {
        command.pre_exec(prepare);
    }
}

#[cfg(not(target_os = "linux"))]
fn die_with_launcher(_command: &mut Command) {}

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

/// To the whole group, because the program may be a script around Envoy.
pub(crate) fn pass_on(child: Pid, signal: i32) {
    if let Some(signal) = Signal::from_named_raw(signal) {
        // An error means that it has just ended, of which a SIGCHLD tells.
        let _ = rustix::process::kill_process_group(child, signal);
    }
}

/// Collects every process that has ended, and tells the companions among them; the child's status if
/// there is a child yet and it is among them.
pub(crate) fn reap(child: Option<Pid>, companions: &mut [Companion]) -> Option<WaitStatus> {
    let mut ended = None;
    while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
        if Some(pid) == child {
            ended = Some(status);
        } else if let Some(companion) = companions.iter_mut().find(|c| c.is(pid)) {
            companion.ended(status);
        }
    }
    ended
}

/// As a shell tells it.
#[must_use]
pub fn exit_code(status: WaitStatus) -> u8 {
    let code = match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => code,
        (None, Some(signal)) => 128 + signal,
        (None, None) => 1,
    };
    u8::try_from(code).unwrap_or(1)
}
