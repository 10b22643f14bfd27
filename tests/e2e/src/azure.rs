//! The simulated Azure that a test or the demo talks to, and the settings of a proxy to it.

use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;
use std::{fs, io};

use azure_sim::{AZURE_MONITOR, Application, AzureSim, KnownSecrets, Options, Settings};
use tempfile::TempDir;

use crate::{Proxy, ProxyBuilder, secrecy};

/// Where Azure Monitor takes Prometheus' samples.
pub const WRITE: &str = "/dataCollectionRules/dcr-0123456789abcdef0123456789abcdef\
                         /streams/Microsoft-PrometheusMetrics/api/v1/write?api-version=2023-04-24";

/// A path at which the target answers with what it received.
pub const ECHO: &str = "/echo";

/// A simulated Azure in this process; dereferences to its handle.
#[derive(Debug)]
pub struct Azure {
    sim: AzureSim,
    folder: TempDir,
    /// Known to every proxy that starts while this runs.
    _secrets: Arc<KnownSecrets>,
}

impl Azure {
    /// Starts it.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    #[track_caller]
    pub fn start(options: Options) -> Self {
        Self::try_start(options).unwrap_or_else(|reason| panic!("{reason}"))
    }

    /// Starts one with other settings than the real service's.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    #[track_caller]
    pub fn with(settings: Settings) -> Self {
        Self::start(Options {
            settings,
            ..Options::default()
        })
    }

    /// Starts one that knows this application.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    #[track_caller]
    pub fn knowing(application: &Application) -> Self {
        Self::start(Options {
            applications: vec![application.clone()],
            ..Options::default()
        })
    }

    /// Like [`Azure::start`], but gives the reason instead of panicking.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn try_start(options: Options) -> Result<Self, String> {
        let why = |what: &dyn std::fmt::Display| format!("no simulated Azure: {what}");
        let sim = AzureSim::start_blocking(options).map_err(|error| why(&error))?;
        let folder = tempfile::tempdir().map_err(|error| why(&error))?;
        let azure = Self {
            _secrets: secrecy::make_known(sim.known_secrets()),
            sim,
            folder,
        };
        azure
            .sim
            .write_ca(azure.authority())
            .map_err(|error: io::Error| why(&error))?;
        Ok(azure)
    }

    /// The file with the authority that signed the target's certificate.
    #[must_use]
    pub fn authority(&self) -> PathBuf {
        self.folder.path().join("authority.pem")
    }

    /// Settings for a proxy to the target, over TLS, with the machine's own identity.
    #[must_use]
    pub fn proxy(&self) -> ProxyBuilder {
        let addresses = self.sim.addresses();
        Proxy::to(&format!(
            "https://localhost:{}",
            addresses.target_tls.port()
        ))
        .set("IDENTITY_TYPE", "systemAssigned")
        .set(
            "AZURE_POD_IDENTITY_AUTHORITY_HOST",
            format!("http://{}", addresses.imds),
        )
        .set("AUDIENCE", AZURE_MONITOR)
        .set("SSL_CERT_FILE", self.authority())
    }

    /// The same, but as an application that proves who it is to Entra, over TLS. What proves it is
    /// still to be set.
    #[must_use]
    pub fn proxy_as(&self, kind: &str, application: &Application) -> ProxyBuilder {
        let entra = self.sim.addresses().entra_tls.port();
        self.proxy()
            .set("IDENTITY_TYPE", kind)
            .set("AAD_CLIENT_ID", &application.client_id)
            .set("AAD_TENANT_ID", self.sim.state().tenant_id)
            .set("AZURE_AUTHORITY_HOST", format!("https://localhost:{entra}"))
    }

    /// The same for an application that proves who it is by this secret, in [`Azure::secret_file`].
    ///
    /// # Panics
    /// When the file cannot be written.
    #[must_use]
    pub fn proxy_with_secret(&self, application: &Application, secret: &str) -> ProxyBuilder {
        let file = self.secret_file(application);
        fs::write(&file, secret).expect("a file");
        self.proxy_as("aadApplication", application)
            .set("AAD_CLIENT_SECRET_FILE", file)
    }

    /// The file with an application's secret. It goes with this value.
    #[must_use]
    pub fn secret_file(&self, application: &Application) -> PathBuf {
        let name = format!("secret-of-{}", application.client_id);
        self.folder.path().join(name)
    }
}

impl Deref for Azure {
    type Target = AzureSim;

    fn deref(&self) -> &AzureSim {
        &self.sim
    }
}
