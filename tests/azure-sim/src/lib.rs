//! A strict stand-in for the parts of Azure that the proxy talks to: IMDS, which hands out
//! tokens, and Azure Monitor ingestion, which checks them and counts what is written.
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
mod cloud;
mod diagnostics;
mod directory;
mod door;
mod expiry;
mod fault_play;
mod faults;
mod http;
mod imds;
mod ingestion;
mod options;
mod placeholders;
mod register;
pub mod remote_write;
mod report;
mod requests;
mod series;
mod server;
mod settings;
mod sim;
mod target;
mod tls;
mod tokens;

pub use directory::{Identity, METRICS_PUBLISHER, RoleAssignment};
pub use faults::{Fault, FaultKind, InvalidFault, RawContent};
pub use options::{AZURE_MONITOR, Options};
pub use placeholders::fill_in;
pub use report::{
    ConnectionReport, EchoReport, FaultReport, ImdsRefusal, ImdsReport, ProbeReport, RequestRecord,
    SampleCounts, SamplePoint, SeriesQuery, SeriesReport, StateReport, TargetReport, TokenRefusal,
    TokenReport, TokenSummary, WriteReport,
};
pub use settings::{ExpiresInForm, ExpiresOnForm, InvalidSettings, Settings};
pub use sim::{Addresses, AzureSim, CachedTokens, StartError};

/// The services that a fault or a recorded request can belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Service {
    /// The instance metadata service: tokens for managed identities.
    Imds,
    /// Azure Monitor ingestion and the echo paths behind the same token check.
    Target,
}
