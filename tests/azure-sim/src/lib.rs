//! A strict stand-in for the parts of Azure that the proxy talks to: what hands out tokens, and
//! Azure Monitor ingestion, which checks them and counts what is written.
//!
//! | service | who proves what |
//! |---|---|
//! | IMDS | a machine, by being asked on it |
//! | App Service | an app, by `X-IDENTITY-HEADER` |
//! | tsiam | a Tailscale node; its tokens are assertions for Entra |
//! | Entra | an application, by a secret, a certificate or a federated token |
//! | target | whoever has a token, by it |
//!
//! A file of `src/` for each says which rules it follows and where they are written down.
//!
//! It refuses what Azure refuses, shows what arrived, and can be made to fail in every way a
//! network service fails. It never shows a token: not in a log, not in an answer of the admin
//! service. It listens on loopback and trusts nobody outside this process.
//!
//! A test starts it in its own process and drives it by the handle:
//!
//! ```no_run
//! use azure_sim::{AzureSim, Fault, FaultKind, Options, Service};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let sim = AzureSim::start_blocking(Options::default())?;
//! sim.inject(Fault::new(Service::Imds, FaultKind::status(503)).times(2))?;
//! println!("IMDS is at {}", sim.addresses().imds);
//! assert_eq!(sim.state().target.samples.duplicate, 0);
//! # Ok(())
//! # }
//! ```
//!
//! The admin service offers the same over HTTP, for the `azure-sim` binary and for people.

mod admin;
mod app_service;
mod applications;
mod availability;
mod cloud;
mod diagnostics;
mod directory;
mod entra;
mod expiry;
mod fault_play;
mod faults;
mod held_port;
mod http;
mod imds;
mod ingestion;
mod issuers;
mod managed_identity;
mod options;
mod placeholders;
mod refusals;
mod register;
pub mod remote_write;
mod report;
mod requests;
mod secrets;
mod series;
mod server;
mod settings;
mod sim;
mod sim_trust;
mod source;
mod target;
mod target_trust;
mod tls;
mod tokens;
mod tsiam;

pub use applications::{
    Application, ApplicationReport, AuthorityCertificate, ClientSecret, FederatedCredential,
    InvalidCertificate, RegisteredCertificate, TrustedSubject,
};
pub use availability::{Availability, SwitchedListener};
pub use directory::{Identity, METRICS_PUBLISHER, RoleAssignment};
pub use entra::EntraRefusal;
pub use faults::{Fault, FaultKind, InvalidFault, RawContent};
pub use held_port::HeldPort;
pub use issuers::FederatedClaims;
pub use options::{AZURE_MONITOR, AzureCloud, Options, OtherTenant};
pub use placeholders::fill_in;
pub use refusals::{AppServiceRefusal, ImdsRefusal, TokenRefusal, TsiamRefusal};
pub use report::{
    ConnectionReport, EchoReport, EntraReport, FaultReport, ItemCounts, OtlpReport, ProbeReport,
    RequestIdReport, RequestRecord, SampleCounts, SamplePoint, SeriesQuery, SeriesReport,
    SourceReport, StateReport, TargetReport, TokenReport, TokenSummary, WriteReport,
};
pub use secrets::{FoundSecret, KnownSecrets, SecretKind};
pub use settings::{
    AccessTokenVersion, ExpiresInForm, ExpiresOnForm, FederationErrors, InvalidSettings, Settings,
};
pub use sim::{Addresses, AzureSim, CachedTokens, StartError};
pub use tsiam::{TSIAM_ISSUER, TSIAM_NODE};

/// The services that a fault or a recorded request can belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Service {
    /// The instance metadata service: tokens for managed identities.
    Imds,
    /// App Service's identity endpoint: the same.
    AppService,
    /// tsiam: federated tokens for Tailscale nodes.
    Tsiam,
    /// Entra: tokens for applications.
    Entra,
    /// Azure Monitor ingestion and the echo paths behind the same token check.
    Target,
}
