//! A plain Envoy with a given bootstrap: for what runs without the launcher.

use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use std::{fs, io, thread};

use azure_sim::KnownSecrets;

use crate::{Process, secrecy, tools};

/// Two cores that also compile tests may need it: Envoy compiles the module before it serves.
const START: Duration = Duration::from_secs(60);

/// A running Envoy.
#[derive(Debug)]
pub struct Envoy {
    process: Process,
    /// What its log must not show.
    secrets: Vec<Arc<KnownSecrets>>,
}

impl Envoy {
    /// Starts Envoy with this bootstrap (YAML or JSON) and waits until `port` takes connections.
    ///
    /// # Panics
    /// When Envoy ends, or does not listen within a minute.
    #[must_use]
    #[track_caller]
    pub fn start(bootstrap: &str, port: u16) -> Self {
        Self::try_start(bootstrap, port).unwrap_or_else(|reason| panic!("{reason}"))
    }

    /// Like [`Envoy::start`], with these command-line options.
    ///
    /// # Panics
    /// When Envoy ends, or does not listen within a minute.
    #[must_use]
    #[track_caller]
    pub fn start_with(bootstrap: &str, port: u16, options: &[&str]) -> Self {
        Self::try_start_with(bootstrap, port, options).unwrap_or_else(|reason| panic!("{reason}"))
    }

    /// Like [`Envoy::start`], but gives the reason instead of panicking: for a bootstrap that
    /// Envoy is to refuse.
    ///
    /// # Errors
    /// When Envoy ends, or does not listen within a minute; with its last log lines.
    pub fn try_start(bootstrap: &str, port: u16) -> Result<Self, String> {
        Self::try_start_with(bootstrap, port, &[])
    }

    /// The same, with these command-line options.
    ///
    /// # Errors
    /// When Envoy ends, or does not listen within a minute; with its last log lines.
    pub fn try_start_with(bootstrap: &str, port: u16, options: &[&str]) -> Result<Self, String> {
        let mut envoy = Self::launch(bootstrap, options)?;
        envoy.process.wait_ready(START, || {
            TcpStream::connect((Ipv4Addr::LOCALHOST, port))
                .map(drop)
                .map_err(|error| error.to_string())
        })?;
        Ok(envoy)
    }

    /// Starts Envoy and waits for nothing.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn launch(bootstrap: &str, options: &[&str]) -> Result<Self, String> {
        let process = Process::spawn("envoy", |folder| {
            let mut command = command(bootstrap, folder)?;
            command.args(options);
            Ok(command)
        })?;
        Ok(Self {
            process,
            secrets: secrecy::known(),
        })
    }

    /// For a log level at which Envoy itself is known to print a token.
    #[must_use]
    pub fn that_may_log_secrets(mut self) -> Self {
        self.secrets.clear();
        self
    }

    /// The process: its logs, its end.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        // A test that fails has something to say already.
        if !thread::panicking() {
            let logs = self.process.logs();
            let found: Vec<_> = self
                .secrets
                .iter()
                .flat_map(|it| it.found_in(&logs))
                .collect();
            assert!(found.is_empty(), "Envoy's log shows {found:?}");
        }
    }
}

/// Envoy with this bootstrap in a file of `folder`.
fn command(bootstrap: &str, folder: &Path) -> io::Result<Command> {
    // JSON is YAML too.
    let path = folder.join("envoy.yaml");
    fs::write(&path, bootstrap)?;
    let mut command = Command::new(tools::envoy());
    // Envoys side by side would share memory for hot restarts, and refuse.
    command
        .arg("--disable-hot-restart")
        .arg("--config-path")
        .arg(path)
        .env_clear();
    Ok(command)
}
