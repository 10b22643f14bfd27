//! Envoy as a child process: signals are passed on to it, it never outlives the launcher, and its
//! end is the launcher's end, with the same code. As the first process of a container the launcher
//! also reaps what others leave behind.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Signal, WaitOptions, WaitStatus};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGKILL, SIGTERM};
use signal_hook::iterator::Signals;

use crate::drain::Drain;

/// What Envoy gets at least to end by itself once it was told to.
const GRACE: Duration = Duration::from_secs(1);

/// What to run.
#[derive(Debug)]
pub struct Child {
    /// The program's path.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Variables beside the launcher's own.
    pub environment: Vec<(String, String)>,
}

/// Runs the child to its end and gives the code to end with: the child's own, or 128 and the
/// number of the signal that ended it, as a shell does. The first SIGTERM drains it, if it is to be
/// drained; a further one, or Ctrl-C, ends it at once. An error means that it did not start.
pub fn run(child: &Child, drain: Option<Drain>) -> io::Result<u8> {
    // Before the child is there, so that no signal and no end of the child is missed.
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP, SIGCHLD])?;
    let child = start(child)?;
    let mut drain = drain;
    for signal in signals.forever() {
        match signal {
            SIGCHLD => {
                if let Some(status) = reap(child) {
                    return Ok(exit_code(status));
                }
            }
            SIGTERM => match drain.take() {
                Some(drain) => {
                    thread::spawn(move || end(child, &drain));
                }
                None => pass_on(child, SIGTERM),
            },
            other => pass_on(child, other),
        }
    }
    unreachable!("an iteration over signals ends only when its handle is closed, and none is taken")
}

/// Lets Envoy have as many files and connections open as the system allows: the soft limit is
/// often 1,024, for programs that use select(2). Without success Envoy does with fewer.
pub fn raise_open_files() {
    let mut limit = rustix::process::getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = rustix::process::setrlimit(Resource::Nofile, limit);
}

fn start(child: &Child) -> io::Result<Pid> {
    let mut command = Command::new(&child.program);
    command
        .args(&child.arguments)
        .envs(child.environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        // Its own group: a terminal's Ctrl-C comes to the launcher, which passes it on once.
        .process_group(0);
    die_with_launcher(&mut command);
    let id = command.spawn()?.id();
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
fn pass_on(child: Pid, signal: i32) {
    if let Some(signal) = Signal::from_named_raw(signal) {
        // An error means that it has just ended, of which a SIGCHLD tells.
        let _ = rustix::process::kill_process_group(child, signal);
    }
}

/// Collects every process that has ended; the child's status if it is among them.
fn reap(child: Pid) -> Option<WaitStatus> {
    let mut ended = None;
    while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
        if pid == child {
            ended = Some(status);
        }
    }
    ended
}

fn exit_code(status: WaitStatus) -> u8 {
    let code = match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => code,
        (None, Some(signal)) => 128 + signal,
        (None, None) => 1,
    };
    u8::try_from(code).unwrap_or(1)
}
