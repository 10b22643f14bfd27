//! What the launcher needs to know about its machine. It is detected once, at the start; tests
//! construct it.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use crate::limits::Limits;

/// Where systems have their trust store: Debian and Alpine, Fedora and RHEL, openSUSE, CentOS, macOS
/// and the BSDs.
pub const TRUST_STORES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The properties of a machine.
#[derive(Debug, Clone, Default)]
pub struct Machine {
    /// The directory of the launcher's program, which may also contain Envoy and the filter.
    pub launcher_dir: Option<PathBuf>,
    /// The possible paths of the system's trust store, in order of preference.
    pub trust_stores: Vec<PathBuf>,
    /// Whether a listener can have an IPv6 address.
    pub ipv6: bool,
    /// The container's resource limits.
    pub limits: Limits,
    /// Its name in the network, which is the pod's in Kubernetes.
    pub hostname: Option<String>,
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
            // The only reliable test: a container's network may lack IPv6 although the kernel has it.
            ipv6: TcpListener::bind("[::]:0").is_ok(),
            limits: Limits::detect(Path::new("/")),
            hostname: hostname(),
        }
    }
}

/// The kernel's word (uts_namespaces(7)).
fn hostname() -> Option<String> {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    let name = name.trim();
    (!name.is_empty()).then(|| name.to_owned())
}
