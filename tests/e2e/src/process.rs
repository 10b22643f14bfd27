//! A child process: in a process group of its own, which ends with this value, and with its
//! output in files, so that nothing is lost and nobody has to read along.

use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tempfile::TempDir;

use crate::patience::eventually_ok;

/// How many of the last log lines a person gets to see.
const TAIL: usize = 25;

/// A running (or ended) child.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    folder: TempDir,
}

impl Process {
    /// Starts a command under a name for messages. It is made for a folder that lives as long
    /// as the process; its standard input is closed.
    ///
    /// # Errors
    /// When it cannot be made, or the program cannot be started.
    pub fn spawn(
        name: &str,
        command: impl FnOnce(&Path) -> io::Result<Command>,
    ) -> Result<Self, String> {
        let start = || {
            let folder = tempfile::Builder::new().prefix("e2e-").tempdir()?;
            let child = command(folder.path())?
                .stdin(Stdio::null())
                .stdout(File::create(stdout_of(folder.path()))?)
                .stderr(File::create(stderr_of(folder.path()))?)
                .process_group(0)
                .spawn()?;
            Ok(Self {
                name: name.to_owned(),
                child,
                folder,
            })
        };
        start().map_err(|error: io::Error| format!("{name} could not be started: {error}"))
    }

    /// The folder that the command was made for.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has written to standard output.
    #[must_use]
    pub fn stdout(&self) -> String {
        read(&stdout_of(self.folder.path()))
    }

    /// What it has written to standard error.
    #[must_use]
    pub fn stderr(&self) -> String {
        read(&stderr_of(self.folder.path()))
    }

    /// Both outputs, one after the other.
    #[must_use]
    pub fn logs(&self) -> String {
        self.stdout() + &self.stderr()
    }

    /// The last lines of both outputs, with a heading: for a person who looks for the reason.
    #[must_use]
    pub fn tail(&self) -> String {
        let mut text = String::new();
        for (output, lines) in [("stdout", self.stdout()), ("stderr", self.stderr())] {
            let lines: Vec<&str> = lines.lines().collect();
            if lines.is_empty() {
                continue;
            }
            let skipped = lines.len().saturating_sub(TAIL);
            text += &format!("--- last lines of {} ({output}):\n", self.name);
            for line in lines.iter().skip(skipped) {
                text += line;
                text.push('\n');
            }
        }
        text
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it still runs after `timeout`.
    pub fn wait(&mut self, timeout: Duration) -> Result<ExitStatus, String> {
        let what = format!("the end of {}", self.name);
        eventually_ok(timeout, &what, || self.ended().ok_or("it still runs"))
    }

    /// Waits until `ready` succeeds.
    ///
    /// # Errors
    /// When it has ended before, or is not ready after `timeout`; with its last log lines.
    pub fn wait_ready(
        &mut self,
        timeout: Duration,
        mut ready: impl FnMut() -> Result<(), String>,
    ) -> Result<(), String> {
        let what = format!("{} is ready", self.name);
        let ended = eventually_ok(timeout, &what, || match self.ended() {
            Some(status) => Ok(Some(status)),
            None => ready().map(|()| None),
        });
        match ended {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(format!("{}{} ended: {status}", self.tail(), self.name)),
            Err(reason) => Err(format!("{}{reason}", self.tail())),
        }
    }

    /// Sends a signal to the process itself, not to its children.
    pub fn signal(&self, signal: Signal) {
        // It may have ended: then there is nobody to tell.
        let _ = kill_process(pid(&self.child), signal);
    }

    /// Asks it to end, and makes it end when it has not within `grace`.
    /// Gives its status if it went by itself.
    pub fn stop(&mut self, grace: Duration) -> Option<ExitStatus> {
        self.signal(Signal::TERM);
        let status = self.wait(grace).ok();
        self.kill();
        status
    }

    /// Ends it and all of its process group at once.
    pub fn kill(&mut self) {
        let _ = kill_process_group(pid(&self.child), Signal::KILL);
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if thread::panicking() {
            eprint!("{}", self.tail());
        }
        // Asked first, so that it can clean up after itself.
        self.stop(Duration::from_secs(2));
    }
}

fn pid(child: &Child) -> Pid {
    Pid::from_child(child)
}

fn stdout_of(folder: &Path) -> PathBuf {
    folder.join("stdout.log")
}

fn stderr_of(folder: &Path) -> PathBuf {
    folder.join("stderr.log")
}

/// Logs are for people: what cannot be read is empty, what is not UTF-8 is replaced.
fn read(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Process {
        Process::spawn("sh", |_| {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            Ok(command)
        })
        .unwrap()
    }

    #[test]
    fn output_and_status_of_a_child_are_kept() {
        let mut process = shell("echo out; echo err >&2; exit 3");
        let status = process.wait(Duration::from_secs(20)).unwrap();
        assert_eq!(status.code(), Some(3));
        assert_eq!(process.logs(), "out\nerr\n");
    }

    #[test]
    fn the_children_of_a_child_end_with_it() {
        let process = shell("sleep 60 & echo $!; wait");
        let wait = Duration::from_secs(20);
        let grandchild = eventually_ok(wait, "its number", || process.stdout().trim().parse());
        let grandchild = Pid::from_raw(grandchild.unwrap()).unwrap();
        drop(process);
        eventually_ok(wait, "the end of the grandchild", || {
            // The zombie of an orphan stays until init has taken note of it.
            let stat = fs::read_to_string(format!("/proc/{}/stat", grandchild.as_raw_nonzero()));
            match stat {
                Ok(stat) if !stat.contains(") Z ") => Err(stat),
                _ => Ok(()),
            }
        })
        .unwrap();
    }

    #[test]
    fn a_child_that_ends_early_is_not_waited_for() {
        let mut process = shell("echo because >&2; exit 64");
        let result = process.wait_ready(Duration::from_secs(60), || Err("not yet".to_owned()));
        let reason = result.unwrap_err();
        assert!(
            reason.contains("64") && reason.contains("because"),
            "{reason}"
        );
    }
}
