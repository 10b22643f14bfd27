//! The sandbox that the process enters before it serves. It gives up reading files outside the
//! directories of its own, new sockets, other programs, new privileges and memory dumps, each as far as
//! the kernel can enforce it.

use std::path::PathBuf;

#[cfg(target_os = "linux")]
mod calls;
#[cfg(target_os = "linux")]
mod directories;
#[cfg(target_os = "linux")]
mod files;

/// What the sandbox allows.
#[derive(Debug, Clone, Default)]
pub struct Allowed {
    /// Files to read, also after they are replaced.
    pub read: Vec<PathBuf>,
    /// The file to remove at the end.
    pub remove: Option<PathBuf>,
}

/// What the kernel enforces; an error is the reason why it does not.
#[derive(Debug)]
pub struct Confinement {
    /// Landlock: no access to other files.
    pub files: Result<(), String>,
    /// Landlock: no TCP, neither to connect nor to listen.
    pub tcp: Result<(), String>,
    /// seccomp: system calls for sockets, programs and the like fail.
    pub calls: Result<(), String>,
    /// Other processes of this user can neither read this one's memory nor dump it.
    pub memory: Result<(), String>,
}

impl Confinement {
    /// One line for each restriction that is not in force.
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

/// Confines the calling thread, and the threads that it starts, until the process ends.
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

/// Only Linux has these mechanisms.
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
