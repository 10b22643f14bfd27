//! What is fixed at start: addresses, identities, audiences, the names in the certificate.

use std::net::{Ipv4Addr, SocketAddr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::applications::{Application, FederatedCredential};
use crate::directory::Identity;
use crate::settings::Settings;

/// The audience of Azure Monitor ingestion in the public cloud.
pub const AZURE_MONITOR: &str = "https://monitor.azure.com";

/// A cloud of Azure: each has its own Entra.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AzureCloud {
    /// The public cloud.
    Public,
    /// Azure US Government.
    UsGovernment,
    /// Azure operated by 21Vianet in China.
    China,
}

impl AzureCloud {
    /// The host of its Entra.
    pub(crate) fn authority(self) -> &'static str {
        match self {
            Self::Public => "login.microsoftonline.com",
            Self::UsGovernment => "login.microsoftonline.us",
            Self::China => "login.partner.microsoftonline.cn",
        }
    }

    /// The host in the issuer of its tokens of version 1.0.
    pub(crate) fn token_service(self) -> &'static str {
        match self {
            Self::Public | Self::UsGovernment => "sts.windows.net",
            Self::China => "sts.chinacloudapi.cn",
        }
    }

    /// Its name in error messages of Entra.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Public => "MicrosoftOnline.COM",
            Self::UsGovernment => "MicrosoftOnline.US",
            Self::China => "PartnerMicrosoftOnline.CN",
        }
    }

    /// The cloud whose Entra has this origin (scheme and authority), if it is a real one's.
    pub(crate) fn of_origin(origin: &str) -> Option<Self> {
        let (_, authority) = origin.split_once("://")?;
        let host = authority.split(':').next()?.to_ascii_lowercase();
        match host.as_str() {
            "login.microsoftonline.com" | "login.microsoft.com" | "login.windows.net" => {
                Some(Self::Public)
            }
            "login.microsoftonline.us" => Some(Self::UsGovernment),
            "login.partner.microsoftonline.cn" | "login.chinacloudapi.cn" => Some(Self::China),
            _ => None,
        }
    }
}

/// A tenant that exists, without any application of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherTenant {
    /// Its id or a domain name of it.
    pub id: String,
    /// Where it lives.
    pub cloud: AzureCloud,
}

/// What is fixed when the stand-in starts. Everything that may change later is in [`Settings`].
#[derive(Debug, Clone)]
pub struct Options {
    /// Where IMDS listens (plain HTTP, as the real one). Port 0 takes a free one.
    pub imds: SocketAddr,
    /// Where App Service's identity endpoint listens (plain HTTP).
    pub app_service: SocketAddr,
    /// Where tsiam listens with TLS.
    pub tsiam_tls: SocketAddr,
    /// Where the same tsiam listens without TLS.
    pub tsiam_plain: SocketAddr,
    /// Where Entra listens with TLS.
    pub entra_tls: SocketAddr,
    /// Where the same Entra listens without TLS.
    pub entra_plain: SocketAddr,
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
    /// Whether the TLS listeners offer `h2` by ALPN; `http/1.1` is always offered.
    pub http2: bool,
    /// The system-assigned identity of the machine, if it has one.
    pub system_assigned: Option<Identity>,
    /// The user-assigned identities of the machine.
    pub user_assigned: Vec<Identity>,
    /// The cloud that this is. Under a host name that no Entra has, `localhost` above all, it is
    /// this cloud's Entra that answers.
    pub cloud: AzureCloud,
    /// The applications registered in the tenant at start.
    pub applications: Vec<Application>,
    /// Tenants that exist in addition to ours.
    pub other_tenants: Vec<OtherTenant>,
    /// The value of `IDENTITY_HEADER` that App Service gives to the app.
    pub identity_header: String,
    /// The audiences that tsiam gives tokens for.
    pub tsiam_audiences: Vec<String>,
    /// Resources that the tenant knows beyond those of Azure: tokens are issued for them.
    pub extra_audiences: Vec<String>,
    /// Audiences that the target accepts; each with and without one trailing slash.
    pub target_audiences: Vec<String>,
    /// Whose tokens the target accepts in addition to Entra's: of these issuers, for these audiences and
    /// subjects.
    pub target_trusts: Vec<FederatedCredential>,
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
            app_service: free_port,
            tsiam_tls: free_port,
            tsiam_plain: free_port,
            entra_tls: free_port,
            entra_plain: free_port,
            target_tls: free_port,
            target_plain: free_port,
            admin: free_port,
            certificate_names: Vec::new(),
            http2: true,
            system_assigned: Some(Identity::system_assigned()),
            user_assigned: Vec::new(),
            cloud: AzureCloud::Public,
            applications: Vec::new(),
            other_tenants: Vec::new(),
            identity_header: Uuid::new_v4().simple().to_string().to_uppercase(),
            tsiam_audiences: vec!["api://AzureADTokenExchange".to_owned()],
            extra_audiences: Vec::new(),
            target_audiences: vec![AZURE_MONITOR.to_owned()],
            target_trusts: Vec::new(),
            samples_kept_per_series: 20_000,
            settings: Settings::default(),
        }
    }
}
