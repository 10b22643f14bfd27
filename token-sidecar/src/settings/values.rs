//! The values of single variables.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use entra_auth_settings_input::Problem;
use entra_auth_settings_input::choices::unknown;
use entra_token_core::config::{Tenant, Uuid};

use crate::log::Level;

pub(super) fn client_id(value: &str) -> Result<Uuid, Problem> {
    value.parse().map_err(|_| {
        Problem::which(
            value,
            "is no UUID",
            "Give the application's client id, as 00000000-0000-0000-0000-000000000000.",
        )
    })
}

pub(super) fn tenant(value: &str) -> Result<Tenant, Problem> {
    value.parse().map_err(|_| {
        Problem::which(
            value,
            "is no tenant",
            "Give the tenant's id or domain; common, organizations and consumers have no \
             applications of their own.",
        )
    })
}

/// `LOG_LEVEL` takes Envoy's levels and `warn`, because all programs in a container share it.
pub(super) fn log_level(value: &str) -> Result<Level, Problem> {
    match value.to_ascii_lowercase().as_str() {
        "trace" | "debug" => Ok(Level::Debug),
        "info" => Ok(Level::Info),
        "warning" | "warn" => Ok(Level::Warning),
        "error" | "critical" => Ok(Level::Error),
        "off" => Ok(Level::Off),
        _ => Err(unknown(
            value,
            &[
                "trace", "debug", "info", "warning", "error", "critical", "off",
            ],
        )),
    }
}

/// A loopback address with a port; `localhost` is 127.0.0.1.
pub(super) fn loopback_address(value: &str) -> Result<SocketAddr, Problem> {
    let address = match value.strip_prefix("localhost:") {
        Some(port) => port
            .parse()
            .ok()
            .map(|port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)),
        None => value.parse().ok(),
    };
    match address {
        Some(address) if address.ip().is_loopback() => Ok(address),
        Some(_) => Err(Problem::which(
            value,
            "is reached by others",
            "Use a loopback address, as 127.0.0.1:8190: whoever reaches it is given assertions.",
        )),
        None => Err(Problem::which(
            value,
            "is no address with a port",
            "Give a loopback address, as 127.0.0.1:8190.",
        )),
    }
}
