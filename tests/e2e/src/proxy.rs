//! The product as a user runs it: `dist/entra-auth-envoy run` with nothing but its environment.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::process::Command;
use std::time::Duration;

use crate::http::{self, Response};
use crate::{Metrics, Process, eventually, free_port, tools};

/// Two cores that also compile tests may need it: Envoy compiles the module before it serves.
const START: Duration = Duration::from_secs(60);

/// Settings for a launcher that is to be started.
#[derive(Debug, Clone)]
pub struct ProxyBuilder {
    environment: BTreeMap<String, OsString>,
}

/// A running launcher with its Envoy.
#[derive(Debug)]
pub struct Proxy {
    process: Process,
    port: u16,
    status_port: u16,
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

    /// Starts the launcher and waits until its status port answers, ready or not.
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
        let process = Process::spawn("entra-auth-envoy", |folder| {
            let mut command = self.command("run");
            // What a killed launcher leaves behind goes with the folder.
            command.env("TMPDIR", folder);
            Ok(command)
        })?;
        let port = |name| {
            self.environment
                .get(name)
                .and_then(|value| value.to_str()?.parse().ok())
        };
        let mut proxy = Proxy {
            process,
            port: port("LISTENING_PORT").ok_or("LISTENING_PORT is no port")?,
            status_port: port("STATUS_PORT").ok_or("STATUS_PORT is no port")?,
        };
        let health = proxy.status_url("/health");
        proxy
            .process
            .wait_ready(START, || http::get(&health).map(drop))?;
        Ok(proxy)
    }
}

impl Proxy {
    /// Settings for a proxy to `target` (the value of `TARGET_HOST`), with ports of its own,
    /// this machine's Envoy, and no drain at the end.
    #[must_use]
    pub fn to(target: &str) -> ProxyBuilder {
        ProxyBuilder {
            environment: BTreeMap::new(),
        }
        .set("TARGET_HOST", target)
        .set("LISTENING_PORT", free_port().to_string())
        .set("STATUS_PORT", free_port().to_string())
        .set("ENVOY_BINARY", tools::envoy())
        // Nobody else sends to this proxy when its test ends.
        .set("DRAIN_SECONDS", "0")
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
