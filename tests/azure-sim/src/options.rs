//! What is fixed at start: addresses, identities, audiences, the names in the certificate.

use std::net::{Ipv4Addr, SocketAddr};

use crate::directory::Identity;
use crate::settings::Settings;

/// The audience of Azure Monitor ingestion in the public cloud.
pub const AZURE_MONITOR: &str = "https://monitor.azure.com";

/// What is fixed when the stand-in starts. Everything that may change later is in [`Settings`].
#[derive(Debug, Clone)]
pub struct Options {
    /// Where IMDS listens (plain HTTP, as the real one). Port 0 takes a free one.
    pub imds: SocketAddr,
    /// Where the target listens with TLS.
    pub target_tls: SocketAddr,
    /// Where the same target listens without TLS.
    pub target_plain: SocketAddr,
    /// Where the admin service listens.
    pub admin: SocketAddr,
    /// Names in the server certificate beyond `localhost`, `*.localhost`, `127.0.0.1` and `::1`;
    /// an IP address becomes an address entry. Name every host that a client asks for: OpenSSL
    /// takes no wildcard with a single dot.
    pub certificate_names: Vec<String>,
    /// Whether the TLS listener offers `h2` by ALPN; `http/1.1` is always offered.
    pub http2: bool,
    /// The system-assigned identity of the machine, if it has one.
    pub system_assigned: Option<Identity>,
    /// The user-assigned identities of the machine.
    pub user_assigned: Vec<Identity>,
    /// Resources that the tenant knows beyond those of Azure: IMDS issues tokens for them.
    pub extra_audiences: Vec<String>,
    /// Audiences that the target accepts; each with and without one trailing slash.
    pub target_audiences: Vec<String>,
    /// How many samples are remembered for each series, the newest first. What is older than
    /// the remembered ones counts as a duplicate.
    pub samples_kept_per_series: usize,
    /// The settings to begin with.
    pub settings: Settings,
}

impl Default for Options {
    fn default() -> Self {
        let free_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            imds: free_port,
            target_tls: free_port,
            target_plain: free_port,
            admin: free_port,
            certificate_names: Vec::new(),
            http2: true,
            system_assigned: Some(Identity::system_assigned()),
            user_assigned: Vec::new(),
            extra_audiences: Vec::new(),
            target_audiences: vec![AZURE_MONITOR.to_owned()],
            samples_kept_per_series: 20_000,
            settings: Settings::default(),
        }
    }
}
