//! The simulated Azure, where containers can reach it and nobody outside this machine can.

use std::net::SocketAddr;

use azure_sim::{Application, Options};
use e2e::azure::Azure;

use crate::engine::GATEWAY;

/// Its name in containers, and in its certificate.
pub const HOST: &str = "azure.test";

/// Starts one with these applications.
#[must_use]
pub fn azure(applications: Vec<Application>) -> Azure {
    let here = SocketAddr::from((*GATEWAY, 0));
    Azure::start(Options {
        imds: here,
        entra_tls: here,
        target_tls: here,
        certificate_names: vec![HOST.to_owned()],
        applications,
        ..Options::default()
    })
}
