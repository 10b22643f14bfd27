//! What every measurement needs: two cores, a simulated Azure, a target, and Envoys that start on
//! the proxy's core.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use azure_sim::{Identity, Options, Settings};
use e2e::azure::Azure;
use e2e::{Envoy, stop_signal};
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::{self, Runtime};
use tokio::task::LocalSet;

use crate::cores::Cores;
use crate::load::{Client, Load};
use crate::target::{Seen, Target};

/// How the proxy speaks to the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Upstream {
    Plain,
    Tls,
}

/// All of it.
pub(crate) struct TestBed {
    pub(crate) cores: Cores,
    pub(crate) azure: Azure,
    pub(crate) target: Target,
    /// Signed the target's certificate.
    pub(crate) authority: PathBuf,
    folder: TempDir,
    /// Of the load and the target, which share one thread.
    runtime: Runtime,
    tasks: LocalSet,
    stop: Arc<AtomicBool>,
}

impl TestBed {
    pub(crate) fn set(audiences: Vec<String>) -> Result<Self, String> {
        let stop = stop_signal()?;
        let cores = Cores::take()?;
        let azure = Azure::try_start(Options {
            extra_audiences: audiences,
            settings: Settings {
                // Each slot asks at once.
                rate_limit: false,
                ..Settings::default()
            },
            ..Options::default()
        })?;
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| error.to_string())?;
        let tasks = LocalSet::new();
        let target = tasks.block_on(&runtime, Target::start())?;
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let authority = folder.path().join("target.pem");
        fs::write(&authority, &target.authority).map_err(|error| error.to_string())?;
        Ok(Self {
            cores,
            azure,
            target,
            authority,
            folder,
            runtime,
            tasks,
            stop,
        })
    }

    /// A folder that is removed with the test bed.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs a future among the tasks of the target, which answers only meanwhile.
    pub(crate) fn run<T>(
        &self,
        future: impl Future<Output = Result<T, String>>,
    ) -> Result<T, String> {
        if self.stop.load(Ordering::Relaxed) {
            return Err("stopped before all was measured".to_owned());
        }
        self.tasks.block_on(&self.runtime, future)
    }

    /// Starts an Envoy on the proxy's core.
    pub(crate) fn envoy(
        &self,
        bootstrap: &Value,
        port: u16,
        workers: u32,
    ) -> Result<Envoy, String> {
        let workers = workers.to_string();
        let text = bootstrap.to_string();
        self.cores
            .on_proxys(|| Envoy::try_start_with(&text, port, &["--concurrency", &workers]))
    }

    /// The header value that requests have to arrive with: the token that the metadata service gives
    /// out for this audience.
    pub(crate) fn authorization(&self, audience: &str) -> Result<String, String> {
        let token = self.azure.token(&Identity::system_assigned(), audience);
        let token = token.map_err(|error| format!("no token: {error}"))?;
        Ok(format!("Bearer {token}"))
    }

    /// Sends one request and gives back what the target saw of it.
    pub(crate) fn sees(&self, load: &Load, port: u16, host: &str) -> Result<Seen, String> {
        let request = load.request(host)?;
        self.run(async {
            let mut client = Client::open(port).await?;
            self.target.look();
            client.exchange(request).await?;
            self.target
                .seen()
                .ok_or_else(|| "an answer came, but not from the target".to_owned())
        })
    }
}
