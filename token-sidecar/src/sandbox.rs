//! What the process gives up before it serves: reading files outside the directories of its own,
//! any new socket, any other program, new privileges, memory dumps. Each as far as the kernel
//! allows it.

use std::path::PathBuf;

#[cfg(target_os = "linux")]
mod calls;
#[cfg(target_os = "linux")]
mod directories;
#[cfg(target_os = "linux")]
mod files;

/// What stays possible.
#[derive(Debug, Clone, Default)]
pub struct Allowed {
    /// Files that are read, and those that come in their place.
    pub read: Vec<PathBuf>,
    /// The file that is removed at the end.
    pub remove: Option<PathBuf>,
}

/// What could be given up; each reason says why something could not.
#[derive(Debug)]
pub struct Confinement {
    /// Landlock: other files are out of reach.
    pub files: Result<(), String>,
    /// Landlock: TCP is out of reach, to connect and to listen.
    pub tcp: Result<(), String>,
    /// seccomp: system calls that make sockets, programs and the like fail.
    pub calls: Result<(), String>,
    /// Other processes of this user can neither read this one's memory nor dump it.
    pub memory: Result<(), String>,
}

impl Confinement {
    /// One line for each thing that could not be given up.
    pub fn missing(&self) -> impl Iterator<Item = String> {
        [
            ("reading other files", &self.files),
            ("TCP connections", &self.tcp),
            ("system calls that are not needed", &self.calls),
            ("access to its memory by other processes", &self.memory),
        ]
        .into_iter()
        .filter_map(|(what, outcome)| {
            let why = outcome.as_ref().err()?;
            Some(format!("the sandbox cannot forbid {what}: {why}"))
        })
    }
}

/// Confines the calling thread, and those it starts, for ever.
#[cfg(target_os = "linux")]
#[must_use]
pub fn enter(allowed: &Allowed) -> Confinement {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};

    let memory = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    let (files, tcp) = files::restrict(allowed);
    Confinement {
        files,
        tcp,
        calls: calls::restrict(),
        memory: memory.map_err(|error| error.to_string()),
    }
}

/// Only Linux has these means.
#[cfg(not(target_os = "linux"))]
#[must_use]
pub fn enter(_: &Allowed) -> Confinement {
    let nothing = || Err("this system is not Linux".to_owned());
    Confinement {
        files: nothing(),
        tcp: nothing(),
        calls: nothing(),
        memory: nothing(),
    }
}
