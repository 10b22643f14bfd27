//! The program, and a client that speaks HTTP by hand.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::{CLIENT_ID, Files, TENANT_ID, eventually};

/// The program with an environment of its own and its log in a file.
pub(crate) fn command(files: &Files, more: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_token-sidecar"));
    let log = fs::File::create(files.path("log")).unwrap();
    command
        .env_clear()
        .env("AAD_CLIENT_ID", CLIENT_ID)
        .env("AAD_TENANT_ID", TENANT_ID)
        .env("TOKEN_SIDECAR_SOCKET", files.path("socket"))
        .envs(more.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log);
    command
}

/// Runs a program that must end by itself, as after an error, and gives its exit status.
pub(crate) fn end_of(mut command: Command) -> ExitStatus {
    let mut sidecar = Running(command.spawn().unwrap());
    eventually("ended by itself", || sidecar.0.try_wait().unwrap())
}

/// A process that is killed when this is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A running sidecar; it is killed when this is dropped.
pub(crate) struct Sidecar {
    child: Running,
    socket: PathBuf,
    log: PathBuf,
}

impl Sidecar {
    /// Starts the program and waits until it listens.
    pub(crate) fn start(files: &Files, more: &[(&str, &str)]) -> Self {
        let mut sidecar = Self {
            child: Running(command(files, more).spawn().unwrap()),
            socket: files.path("socket"),
            log: files.path("log"),
        };
        eventually("listening", || {
            let ended = sidecar.child.0.try_wait().unwrap();
            assert!(ended.is_none(), "{}", sidecar.log());
            sidecar.log().contains("listening on").then_some(())
        });
        sidecar
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Waits until the log contains a text.
    pub(crate) fn logs(&self, what: &str) {
        eventually(&format!("logged {what:?}"), || {
            self.log().contains(what).then_some(())
        });
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.0.id()
    }

    /// A field of `/proc/<pid>/status`.
    pub(crate) fn proc_status(&self, field: &str) -> String {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let found = status.lines().find_map(|line| line.strip_prefix(field));
        found.unwrap().trim_start_matches(':').trim().to_owned()
    }

    pub(crate) fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(&self.socket).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        stream
    }

    pub(crate) fn get(&self, path: &str) -> Reply {
        self.send(&format!("GET {path} HTTP/1.1\r\nhost: sidecar\r\n\r\n"))
    }

    pub(crate) fn send(&self, request: &str) -> Reply {
        exchange(self.connect(), request).unwrap()
    }

    /// Sends a signal and waits for the end.
    pub(crate) fn end(&mut self, signal: Signal) -> ExitStatus {
        let pid = Pid::from_raw(self.pid().cast_signed()).unwrap();
        kill_process(pid, signal).unwrap();
        self.child.0.wait().unwrap()
    }
}

/// An HTTP response.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Sends a request and reads to the end of the connection.
pub(crate) fn exchange(mut stream: impl Read + Write, request: &str) -> io::Result<Reply> {
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    Ok(Reply {
        status: status.unwrap_or_else(|| panic!("no status: {answer:?}")),
        head: head.to_ascii_lowercase(),
        body: body.to_owned(),
    })
}
