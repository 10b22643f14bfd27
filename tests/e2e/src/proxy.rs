//! The product as a user runs it: `dist/entra-auth-envoy run` with nothing but its environment.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use azure_sim::KnownSecrets;
use rustix::process::Pid;

use crate::http::{self, Response};
use crate::procfs::only_child;
use crate::raw::{self, Message};
use crate::secrecy::Shown;
use crate::{
    Memory, Metrics, Process, eventually, eventually_ok, free_port, is_free, secrecy, tools,
};

/// Two cores that also compile tests may need it: Envoy compiles the module before it serves.
const START: Duration = Duration::from_secs(60);

/// Settings for a launcher that is to be started.
#[derive(Debug, Clone)]
pub struct ProxyBuilder {
    environment: BTreeMap<String, OsString>,
    /// The first port of the file, where there is one.
    port_of_file: Option<u16>,
}

/// A running launcher with its Envoy.
#[derive(Debug)]
pub struct Proxy {
    settings: ProxyBuilder,
    process: Process,
    port: u16,
    status_port: u16,
    /// What it must not show.
    secrets: Vec<Arc<KnownSecrets>>,
}

impl ProxyBuilder {
    /// Sets an environment variable; the launcher sees these and no others.
    #[must_use]
    pub fn set(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.environment.insert(name.to_owned(), value.into());
        self
    }

    /// The launcher with this environment: for `render`, or to see it refuse.
    #[must_use]
    pub fn command(&self, subcommand: &str) -> Command {
        let mut command = Command::new(tools::launcher());
        command.arg(subcommand).env_clear().envs(&self.environment);
        command
    }

    /// Starts the launcher and waits until both of its ports are open, ready or not.
    ///
    /// # Panics
    /// When it ends, or does not answer within a minute.
    #[must_use]
    #[track_caller]
    pub fn start(self) -> Proxy {
        self.try_start().unwrap_or_else(|reason| panic!("{reason}"))
    }

    /// Like [`ProxyBuilder::start`], but gives the reason instead of panicking.
    ///
    /// # Errors
    /// When it ends, or does not answer within a minute.
    pub fn try_start(self) -> Result<Proxy, String> {
        let mut proxy = self.launch()?;
        proxy.wait_until_it_answers()?;
        Ok(proxy)
    }

    /// Starts the launcher and waits for nothing: for one that is to end, or that does not answer on
    /// the loopback address.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn launch(self) -> Result<Proxy, String> {
        let port = |name| {
            self.environment
                .get(name)
                .and_then(|value| value.to_str()?.parse().ok())
        };
        Ok(Proxy {
            port: self
                .port_of_file
                .or_else(|| port("LISTENING_PORT"))
                .ok_or("LISTENING_PORT is no port")?,
            status_port: port("STATUS_PORT").ok_or("STATUS_PORT is no port")?,
            secrets: secrecy::known(),
            process: self.spawn()?,
            settings: self,
        })
    }

    fn spawn(&self) -> Result<Process, String> {
        Process::spawn("entra-auth-envoy", |folder| {
            let mut command = self.command("run");
            if !self.environment.contains_key("TMPDIR") {
                // What a killed launcher leaves behind goes with the folder.
                command.env("TMPDIR", folder);
            }
            Ok(command)
        })
    }
}

impl Proxy {
    /// Settings for a proxy to `target` (the value of `TARGET_HOST`), with ports of its own,
    /// this machine's Envoy, and no drain at the end.
    #[must_use]
    pub fn to(target: &str) -> ProxyBuilder {
        Self::bare(None)
            .set("TARGET_HOST", target)
            .set("LISTENING_PORT", free_port().to_string())
    }

    /// The same for a proxy with this configuration file, which has this port among others.
    #[must_use]
    pub fn of_file(file: &Path, port: u16) -> ProxyBuilder {
        Self::bare(Some(port)).set("ENTRA_AUTH_CONFIG", file)
    }

    fn bare(port_of_file: Option<u16>) -> ProxyBuilder {
        ProxyBuilder {
            environment: BTreeMap::new(),
            port_of_file,
        }
        .set("STATUS_PORT", free_port().to_string())
        .set("ENVOY_BINARY", tools::envoy())
        // Nobody else sends to this proxy when its test ends.
        .set("DRAIN_SECONDS", "0")
    }

    /// What can be seen of it, after a look for secrets in it.
    ///
    /// # Panics
    /// When it shows one that a simulated Azure knows.
    #[track_caller]
    pub fn shows_no_secret(&self) -> Shown {
        let shown = Shown::by(self);
        let secrets = shown.secrets(&self.secrets);
        assert!(secrets.is_empty(), "{}", secrets.join("\n"));
        shown
    }

    /// Waits for the end of this launcher and its Envoy, and starts the same again, on the same
    /// ports.
    ///
    /// # Errors
    /// When it does not end, or the new one does not answer, within a minute each.
    pub fn start_again(&mut self) -> Result<(), String> {
        self.process.wait(START)?;
        eventually_ok(START, "the ports are free again", || {
            if is_free(self.port) && is_free(self.status_port) {
                Ok(())
            } else {
                Err("they are in use")
            }
        })?;
        self.process = self.settings.spawn()?;
        self.wait_until_it_answers()
    }

    fn wait_until_it_answers(&mut self) -> Result<(), String> {
        let health = self.status_url("/health");
        let port = self.port;
        self.process.wait_ready(START, || {
            http::get(&health)?;
            TcpStream::connect((Ipv4Addr::LOCALHOST, port))
                .map(drop)
                .map_err(|error| format!("port {port}: {error}"))
        })
    }

    /// The launcher's Envoy.
    ///
    /// # Errors
    /// When it does not run.
    pub fn envoy(&self) -> Result<Pid, String> {
        only_child(self.process.id())
    }

    /// What a client gets that sends these bytes to the proxy port, on a connection of its own.
    ///
    /// # Panics
    /// When it gets no whole answer.
    #[track_caller]
    pub fn send(&self, request: impl AsRef<[u8]>) -> Message {
        raw::exchange(self.port, request).expect("an answer")
    }

    /// The same for the status port.
    ///
    /// # Panics
    /// When it gets no whole answer.
    #[track_caller]
    pub fn send_to_status_port(&self, request: impl AsRef<[u8]>) -> Message {
        raw::exchange(self.status_port, request).expect("an answer")
    }

    /// The launcher's private folder, with the bootstrap and the socket of Envoy's admin interface.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    #[track_caller]
    pub fn run_folder(&self) -> PathBuf {
        run_folder(self.process.folder()).expect("a folder of the launcher's")
    }

    /// Where clients send their requests.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where status and metrics are.
    #[must_use]
    pub fn status_port(&self) -> u16 {
        self.status_port
    }

    /// A URL at the proxy port.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// A URL at the status port.
    #[must_use]
    pub fn status_url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.status_port)
    }

    /// What `/ready` says.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn ready(&self) -> Result<Response, String> {
        http::get(&self.status_url("/ready"))
    }

    /// Waits until `/ready` is 200.
    ///
    /// # Panics
    /// When it is not within a minute, with what it said last.
    #[track_caller]
    pub fn wait_until_ready(&self) {
        eventually(Duration::from_secs(60), "the proxy is ready", || {
            let ready = self.ready()?;
            match ready.status {
                200 => Ok(()),
                _ => Err(ready.text()),
            }
        });
    }

    /// What `/metrics` says.
    ///
    /// # Errors
    /// When it does not answer 200.
    pub fn metrics(&self) -> Result<Metrics, String> {
        let response = http::get(&self.status_url("/metrics"))?;
        match response.status {
            200 => Ok(Metrics::parse(&response.text())),
            other => Err(format!("/metrics answered {other}: {}", response.text())),
        }
    }

    /// The memory of the launcher, its Envoy and whatever else they have started.
    ///
    /// # Errors
    /// When the launcher is gone.
    pub fn memory(&self) -> Result<Memory, String> {
        Memory::of_tree(self.process.id())
    }

    /// The launcher's process: its logs, its end.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// The launcher's process, to signal, stop or wait for it.
    pub fn process_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // A test that fails has something to say already.
        if !thread::panicking() && !self.secrets.is_empty() {
            self.shows_no_secret();
        }
    }
}

/// The folder that a launcher has made for itself in its folder for temporary files, if it has.
pub(crate) fn run_folder(temporary: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(temporary).ok()?;
    entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.is_dir())
}
