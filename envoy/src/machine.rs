//! What the launcher looks up about the machine it runs on, once and before anything is decided.
//! Tests make one by hand.

use std::net::TcpListener;
use std::path::{Path, PathBuf};

use crate::limits::Limits;

/// Where the trust store of a system is: Debian and Alpine, Fedora and RHEL, openSUSE, CentOS,
/// macOS and the BSDs.
pub const TRUST_STORES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

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
            trust_stores: TRUST_STORES.iter().map(PathBuf::from).collect(),
            // The one sure test: a kernel may have IPv6 and a container's network may not.
            ipv6: TcpListener::bind("[::]:0").is_ok(),
            limits: Limits::detect(Path::new("/")),
        }
    }
}
