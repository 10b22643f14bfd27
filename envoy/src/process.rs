//! Child processes: their arguments and environment, how they start, and how they get signals.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Resource, Signal};

/// A child process to start.
#[derive(Debug)]
pub struct Child {
    /// The name in messages.
    pub name: String,
    /// The program's path.
    pub program: PathBuf,
    /// The command-line arguments.
    pub arguments: Vec<OsString>,
    /// The environment variables.
    pub environment: Environment,
}

/// The environment variables of a child. Their values may be secret.
pub enum Environment {
    /// The launcher's variables, with changes.
    Inherited {
        /// Variables to add.
        extra: Vec<(String, String)>,
        /// Variables to remove.
        without: &'static [&'static str],
    },
    /// These variables only.
    Only(Vec<(String, String)>),
}

/// Shows the names only.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Inherited { extra: named, .. } | Self::Only(named)) = self;
        f.debug_list()
            .entries(named.iter().map(|(name, _)| name))
            .finish()
    }
}

/// A process that could not be started.
#[derive(Debug)]
pub struct NotStarted {
    /// The program's path.
    pub program: PathBuf,
    /// Why it could not be started.
    pub error: io::Error,
}

/// Raises the soft limit of open files, which children inherit, to the hard limit. The soft limit is
/// often 1,024, for programs that use select(2). A failure is ignored: Envoy works with the old limit.
pub fn raise_open_files() {
    let mut limit = rustix::process::getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = rustix::process::setrlimit(Resource::Nofile, limit);
}

/// A command without standard input and in its own process group, so that a terminal's Ctrl-C reaches
/// only the launcher, which forwards it. On Linux the kernel kills the process when this thread ends.
pub(crate) fn command(child: &Child) -> Command {
    let mut command = Command::new(&child.program);
    let variables = match &child.environment {
        Environment::Inherited { extra, without } => {
            for name in *without {
                command.env_remove(name);
            }
            extra
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

/// Starts a process without standard input and in its own process group. On Linux the kernel kills it when
/// this thread ends.
///
/// # Errors
/// If the program cannot be executed.
pub fn start(child: &Child) -> io::Result<Pid> {
    let id = command(child).spawn()?.id();
    i32::try_from(id)
        .ok()
        .and_then(Pid::from_raw)
        .ok_or_else(|| io::Error::other(format!("the process id {id} makes no sense")))
}

/// Makes the kernel kill the child when the launcher ends for any reason.
#[cfg(target_os = "linux")]
fn die_with_launcher(command: &mut Command) {
    let launcher = rustix::process::getpid();
    let prepare = move || {
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        // The launcher may have ended between the fork and the call above.
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

/// Sends a signal to the child's process group, because the program may be a script that starts Envoy.
pub(crate) fn forward_signal(child: Pid, signal: i32) {
    if let Some(signal) = Signal::from_named_raw(signal) {
        // An error means that the child has just ended; a SIGCHLD follows.
        let _ = rustix::process::kill_process_group(child, signal);
    }
}
