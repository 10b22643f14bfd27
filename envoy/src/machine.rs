//! What the launcher looks up about the machine it runs on, once and before anything is decided.
//! Tests make one by hand.

use std::net::TcpListener;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::limits::Limits;
use crate::settings::Settings;
use crate::settings::authority::{Endpoint, Host};
use crate::settings::mistake::{Mistake, Place, Problem};
use crate::settings::trust_store::OF_SYSTEMS;

/// The machine, as far as it matters.
#[derive(Debug, Clone, Default)]
pub struct Machine {
    /// Where the launcher's own program is; Envoy and the filter may lie beside it.
    pub launcher_dir: Option<PathBuf>,
    /// Files that may be the system's trust store, in order of preference.
    pub trust_stores: Vec<PathBuf>,
    /// Whether a listener can have an IPv6 address.
    pub ipv6: bool,
    /// What the container may use.
    pub limits: Limits,
}

impl Machine {
    /// The machine this process runs on.
    #[must_use]
    pub fn detect() -> Self {
        let launcher = std::env::current_exe().ok();
        Self {
            launcher_dir: launcher
                .as_deref()
                .and_then(Path::parent)
                .map(Path::to_path_buf),
            trust_stores: OF_SYSTEMS.iter().map(PathBuf::from).collect(),
            // The one sure test: a kernel may have IPv6 and a container's network may not.
            ipv6: TcpListener::bind("[::]:0").is_ok(),
            limits: Limits::detect(Path::new("/")),
        }
    }
}

/// The addresses in these settings that need IPv6, on a machine without it. Envoy refuses each with its
/// whole bootstrap.
#[must_use]
pub fn out_of_reach(settings: &Settings) -> Vec<Mistake> {
    if settings.ipv6 {
        return Vec::new();
    }
    let is_v6 =
        |(_, endpoint): &(Place, &Endpoint)| matches!(endpoint.host, Host::Ip(it) if it.is_ipv6());
    let endpoints = settings.endpoints();
    let needed = endpoints.into_iter().filter(is_v6);
    let mistake = |(place, endpoint): (Place, &Endpoint)| {
        Problem::new(
            format!(
                "is at {}, an IPv6 address, but this machine has no IPv6",
                endpoint.host
            ),
            "Give its name or an IPv4 address, or switch IPv6 on.",
        )
        .of(place)
    };
    needed.map(mistake).collect()
}

/// The ports and addresses of these settings that cannot be listened on. Envoy would not notice
/// another Envoy of the same user: the two would share the port, each with a part of the connections.
#[must_use]
pub fn taken_ports(settings: &Settings) -> Vec<Mistake> {
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
