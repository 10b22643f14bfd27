//! Child processes: what they run with, how they start, and how signals reach them.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Resource, Signal};

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

/// To the whole group, because the program may be a script around Envoy.
pub(crate) fn pass_on(child: Pid, signal: i32) {
    if let Some(signal) = Signal::from_named_raw(signal) {
        // An error means that it has just ended, of which a SIGCHLD tells.
        let _ = rustix::process::kill_process_group(child, signal);
    }
}
