//! What the launcher looks up about the machine it runs on, once and before anything is decided.
//! Tests make one by hand.

use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};
use std::path::{Path, PathBuf};

use crate::limits::Limits;
use crate::settings::Settings;
use crate::settings::files::SYSTEM_TRUST_STORES;
use crate::settings::mistake::{Mistake, Problem};

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
            trust_stores: SYSTEM_TRUST_STORES.iter().map(PathBuf::from).collect(),
            // The one sure test: a kernel may have IPv6 and a container's network may not.
            ipv6: TcpListener::bind("[::]:0").is_ok(),
            limits: Limits::detect(Path::new("/")),
        }
    }
}

/// The ports of these settings that cannot be listened on. Envoy would not notice another Envoy of
/// the same user: the two would share the port, each with a part of the connections.
#[must_use]
pub fn taken_ports(settings: &Settings) -> Vec<Mistake> {
    let listening = settings.listeners.iter();
    let ports = listening
        .map(|listener| (listener.place.clone(), listener.port))
        .chain([("STATUS_PORT".into(), settings.status_port)]);
    let taken = ports.filter_map(|(place, port)| {
        let attempt = if settings.ipv6 {
            TcpListener::bind((Ipv6Addr::UNSPECIFIED, port))
        } else {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))
        };
        let error = attempt.err()?;
        let problem = Problem::new(
            format!("is {port}, which cannot be listened on: {error}"),
            "Stop what listens there, or set another port.",
        );
        Some(problem.of(place))
    });
    taken.collect()
}
