//! The addresses and ports in the settings that this machine cannot serve.

use std::net::TcpListener;

use entra_auth_settings_input::{ConfigError, Endpoint, Host, Place, Problem};
use rustix::io::Errno;

use crate::settings::Settings;

/// The addresses in these settings that need IPv6, on a machine without it. Envoy refuses each with its
/// whole bootstrap.
#[must_use]
pub(crate) fn out_of_reach(settings: &Settings) -> Vec<ConfigError> {
    if settings.ipv6 {
        return Vec::new();
    }
    let is_v6 =
        |(_, endpoint): &(Place, &Endpoint)| matches!(endpoint.host, Host::Ip(it) if it.is_ipv6());
    let endpoints = settings.endpoints();
    let needed = endpoints.into_iter().filter(is_v6);
    let error = |(place, endpoint): (Place, &Endpoint)| {
        Problem::new(
            format!(
                "is at {}, an IPv6 address, but this machine has no IPv6",
                endpoint.host
            ),
            "Give its name or an IPv4 address, or switch IPv6 on.",
        )
        .of(place)
    };
    needed.map(error).collect()
}

/// The ports and addresses of these settings that cannot be listened on. Envoy would not notice
/// another Envoy of the same user: the two would share the port, each with a part of the connections.
#[must_use]
pub(crate) fn taken_ports(settings: &Settings) -> Vec<ConfigError> {
    let proxy = settings.listeners.iter().map(|listener| {
        let places = (listener.place.clone(), listener.address_place.clone());
        (places, listener.address, listener.port)
    });
    let status = (
        ("STATUS_PORT".into(), "STATUS_ADDRESS".into()),
        settings.status_address,
        settings.status_port,
    );
    let taken = proxy.chain([status]).filter_map(|(places, address, port)| {
        let error = TcpListener::bind(settings.bound_to(address, port)).err()?;
        let (port_place, address_place) = places;
        // Only an address that was named can be none of this machine.
        let not_ours = [Errno::ADDRNOTAVAIL, Errno::AFNOSUPPORT, Errno::INVAL];
        let errno = Errno::from_io_error(&error);
        Some(if errno.is_some_and(|errno| not_ours.contains(&errno)) {
            Problem::new(
                format!("is {address}, which cannot be listened on: {error}"),
                "Give an address that this machine has, as 127.0.0.1, or leave it out for all.",
            )
            .of(address_place)
        } else {
            Problem::new(
                format!("is {port}, which cannot be listened on: {error}"),
                "Stop what listens there, or set another port.",
            )
            .of(port_place)
        })
    });
    taken.collect()
}
