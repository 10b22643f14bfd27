//! The values of single variables.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use entra_auth_settings_input::Problem;
use entra_token_core::config::{Tenant, Uuid};

use crate::credential::Algorithm;
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

pub(super) fn algorithm(value: &str) -> Result<Algorithm, Problem> {
    match value.to_ascii_uppercase().as_str() {
        "PS256" => Ok(Algorithm::Ps256),
        "RS256" => Ok(Algorithm::Rs256),
        _ => Err(unknown(value, "Use PS256 or RS256.")),
    }
}

pub(super) fn on_or_off(value: &str) -> Result<bool, Problem> {
    match value.to_ascii_lowercase().as_str() {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(unknown(value, "Use on or off.")),
    }
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
            "Use one of trace, debug, info, warning, error, critical, off.",
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

fn unknown(value: &str, fix: &str) -> Problem {
    Problem::which(value, "is unknown", fix)
}
