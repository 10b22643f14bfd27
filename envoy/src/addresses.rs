//! Finds addresses and ports in the settings that cannot be used on this machine.

use std::net::TcpListener;

use entra_auth_settings_input::{ConfigError, Endpoint, Host, Place, Problem};
use rustix::io::Errno;

use crate::settings::Settings;

/// The IPv6 addresses in these settings, if this machine has no IPv6. Envoy would refuse the whole
/// bootstrap because of one.
#[must_use]
pub(crate) fn unreachable_ipv6(settings: &Settings) -> Vec<ConfigError> {
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

/// The ports and addresses of these settings that cannot be listened on. Envoy itself does not detect
/// another Envoy of the same user on a port: the kernel would distribute the connections over both.
#[must_use]
pub(crate) fn unavailable_ports(settings: &Settings) -> Vec<ConfigError> {
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
        // These errors mean that the machine does not have the address, which therefore was set.
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
