//! A launcher with its Envoy, for one test; it ends with the test.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use tempfile::TempDir;
use tokio::net::TcpSocket;

use super::files;
use super::recorder::Recorder;
use super::wire::{self, Message};

/// The token that the stand-in for the metadata service gives.
pub(crate) const TOKEN: &str = "test.token.value";

/// How long Envoy may take to start or to end on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running proxy.
pub(crate) struct Proxy {
    child: Child,
    directory: TempDir,
    /// The proxy's port.
    pub(crate) port: u16,
    /// The status listener's port.
    pub(crate) status_port: u16,
}

impl Proxy {
    /// A proxy to this target, in clear.
    pub(crate) fn to(target: &Recorder) -> Self {
        Self::with(&[("TARGET_HOST", &format!("http://127.0.0.1:{}", target.port))])
    }

    /// A proxy with these variables beside the usual ones.
    pub(crate) fn with(variables: &[(&str, &str)]) -> Self {
        let mut proxy = Self::start(variables);
        proxy.wait_until_healthy();
        proxy
    }

    /// A proxy with this configuration file, in which this is the port of the first listener.
    pub(crate) fn of_file(text: &str, port: u16) -> Self {
        let mut proxy = Self::start_of_file(text, port, &[]);
        proxy.wait_until_healthy();
        proxy
    }

    /// One that may not come up, with more variables.
    pub(crate) fn start_of_file(text: &str, port: u16, more: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let file = directory.path().join("config.yaml");
        fs::write(&file, text).expect("the directory can be written to");
        let file = file.display().to_string();
        let variables = [
            ("ENTRA_AUTH_CONFIG", file.as_str()),
            ("SECRET_OF_THIS_TEST", "the-secret"),
        ];
        let all = variables.iter().chain(more);
        Self::launch(
            directory,
            port,
            all.map(|(name, value)| (*name, (*value).to_owned()))
                .collect(),
        )
    }

    /// A proxy that may not come up.
    pub(crate) fn start(variables: &[(&str, &str)]) -> Self {
        let port = free_port();
        let mut all: BTreeMap<&str, String> = BTreeMap::new();
        all.insert("IDENTITY_TYPE", "systemAssigned".into());
        all.insert("AUDIENCE", "https://monitor.azure.com".into());
        all.insert("LISTENING_PORT", port.to_string());
        for (name, value) in variables {
            all.insert(name, (*value).into());
        }
        let directory = tempfile::tempdir().expect("a temporary directory");
        Self::launch(directory, port, all)
    }

    fn launch(directory: TempDir, port: u16, variables: BTreeMap<&str, String>) -> Self {
        let metadata_service = Recorder::metadata_service(TOKEN);
        let status_port = free_port();
        let imds = format!("http://127.0.0.1:{}", metadata_service.port);

        let mut environment: BTreeMap<&str, String> = BTreeMap::new();
        // Nobody else sends to this proxy when its test ends.
        environment.insert("DRAIN_SECONDS", "0".to_owned());
        environment.insert("STATUS_PORT", status_port.to_string());
        environment.insert("AZURE_POD_IDENTITY_AUTHORITY_HOST", imds);
        environment.insert("ENVOY_BINARY", files::envoy().display().to_string());
        let module = files::module(directory.path());
        environment.insert("ENTRA_AUTH_MODULE", module.display().to_string());
        environment.insert("ENVOY_CONCURRENCY", "1".into());
        environment.insert("LOG_LEVEL", "warning".into());
        environment.insert("TMPDIR", directory.path().display().to_string());
        environment.extend(variables);

        let file = |name| File::create(directory.path().join(name)).expect("a log file");
        let child = Command::new(files::LAUNCHER)
            .arg("run")
            .env_clear()
            .envs(&environment)
            .stdout(file("stdout"))
            .stderr(file("stderr"))
            .spawn()
            .expect("the launcher starts");
        Self {
            child,
            directory,
            port,
            status_port,
        }
    }

    fn wait_until_healthy(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        // The status listener has /health whatever the settings; the proxy listener opens with it.
        while !wire::answers(self.status_port, "/health") || !accepts(self.port) {
            let ended = self
                .child
                .try_wait()
                .expect("the launcher can be waited for");
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "the proxy did not come up ({ended:?}):\n{}",
                self.stderr()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What a client gets for these bytes on a new connection.
    pub(crate) fn send(&self, request: &[u8]) -> Message {
        wire::exchange(self.port, request)
    }

    /// What a client of the status listener gets.
    pub(crate) fn status(&self, request: &[u8]) -> Message {
        wire::exchange(self.status_port, request)
    }

    /// The access log so far.
    pub(crate) fn stdout(&self) -> String {
        fs::read_to_string(self.directory.path().join("stdout")).expect("a log file")
    }

    /// The log of the launcher and of Envoy so far.
    pub(crate) fn stderr(&self) -> String {
        fs::read_to_string(self.directory.path().join("stderr")).expect("a log file")
    }

    /// Where the launcher makes its private directory.
    pub(crate) fn temporary_directory(&self) -> PathBuf {
        self.directory.path().to_path_buf()
    }

    /// The launcher's process id.
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Sends the launcher a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        // It may have ended already; whoever waits for that sees it.
        let _ = rustix::process::kill_process(self.pid(), signal);
    }

    /// Waits for the launcher's end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self
                .child
                .try_wait()
                .expect("the launcher can be waited for")
            {
                return status;
            }
            assert!(
                Instant::now() < deadline,
                "the launcher goes on:\n{}",
                self.stderr()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until the access log has this many lines, and gives them as JSON.
    pub(crate) fn log_lines(&self, count: usize) -> Vec<serde_json::Value> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let text = self.stdout();
            // The last piece is a line that is still being written, or nothing.
            if text.ends_with('\n') && text.lines().count() >= count {
                let parse = |line| serde_json::from_str(line).expect("a line of JSON");
                return text.lines().map(parse).collect();
            }
            assert!(
                Instant::now() < deadline,
                "fewer than {count} lines:\n{text}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            self.signal(Signal::TERM);
            if !std::thread::panicking() {
                self.wait();
            }
        }
    }
}

/// A port on which nothing listens, and which nobody else gets while this process lives, which holds
/// it: bound, but not listening. Envoy, which sets `SO_REUSEADDR`, can listen on it all the same. (Two
/// Envoys of one user can share a port, so a clash would go unnoticed.)
pub(crate) fn free_port() -> u16 {
    static HELD: Mutex<Vec<TcpSocket>> = Mutex::new(Vec::new());
    let hold = |socket: io::Result<TcpSocket>, address: IpAddr| {
        let socket = socket?;
        socket.set_reuseaddr(true)?;
        socket.bind((address, 0).into())?;
        let port = socket.local_addr()?.port();
        HELD.lock().expect("no test panicked here").push(socket);
        io::Result::Ok(port)
    };
    // For IPv6 and IPv4, where there are both.
    hold(TcpSocket::new_v6(), Ipv6Addr::UNSPECIFIED.into())
        .or_else(|_| hold(TcpSocket::new_v4(), Ipv4Addr::UNSPECIFIED.into()))
        .expect("a free port")
}

/// Whether something listens on a port.
pub(crate) fn accepts(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}
