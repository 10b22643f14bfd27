//! A real OpenTelemetry Collector, as `scripts/setup collector` builds it of `tests/collector`.

use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::process::Command;
use std::time::Duration;

use crate::{Process, tools};

const START: Duration = Duration::from_secs(30);

/// Else each would listen on port 8888, for its own metrics.
const NO_METRICS_OF_ITS_OWN: &str = "service: { telemetry: { metrics: { level: none } } }";

/// A running collector.
#[derive(Debug)]
pub struct Collector {
    process: Process,
}

impl Collector {
    /// Starts one with this configuration (YAML) and waits until `port` takes connections.
    ///
    /// # Panics
    /// When it ends, or does not listen within half a minute.
    #[must_use]
    #[track_caller]
    pub fn start(configuration: &str, port: u16) -> Self {
        let process = Process::spawn("otelcol", |folder| {
            let mut command = Command::new(tools::collector());
            for (name, content) in [
                ("collector.yaml", configuration),
                ("more.yaml", NO_METRICS_OF_ITS_OWN),
            ] {
                let file = folder.join(name);
                fs::write(&file, content)?;
                command.arg("--config").arg(file);
            }
            command.env_clear();
            Ok(command)
        });
        let mut process = process.unwrap_or_else(|reason| panic!("{reason}"));
        let ready = process.wait_ready(START, || {
            TcpStream::connect((Ipv4Addr::LOCALHOST, port))
                .map(drop)
                .map_err(|error| format!("port {port}: {error}"))
        });
        ready.unwrap_or_else(|reason| panic!("{reason}"));
        Self { process }
    }

    /// The process: its logs, its end.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// The process, to signal, stop or wait for it.
    pub fn process_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}
