//! Environment → checked settings, with every mistake found at once. The files are looked into
//! here too: what cannot work is said before anything listens.

pub mod authority;
pub mod config_error;
pub mod variables;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use entra_token_core::config::Uuid;
use jiff::Timestamp;

use crate::credential::{Algorithm, Form};
use crate::file::FileName;
use crate::log::{Level, Log};
use crate::served_file::ServedFile;
use crate::signer::Signer;
use crate::store::{CertificateFiles, Store};
use config_error::{ConfigError, quoted};
use variables::{
    ADDRESS, ALGORITHM, AUTHORITY_HOST, CERTIFICATE, CLIENT_ID, CLIENT_SECRET, CLOUD,
    FEDERATED_TOKEN, KEY, LOG_LEVEL, PASSWORD, SEND_CHAIN, SOCKET, TENANT_ID, Variables,
};

/// Where the socket is unless a variable says otherwise.
const DEFAULT_SOCKET: &str = "/run/entra-auth/token-sidecar.sock";

/// All that the sidecar needs to know.
#[derive(Debug)]
pub struct Settings {
    /// Who signs; none where only files are handed out.
    pub signer: Option<Signer>,
    /// The file behind `GET /federated-token`.
    pub federated_token: ServedFile,
    /// The file behind `GET /client-secret`.
    pub client_secret: ServedFile,
    /// The Unix socket.
    pub socket: Option<PathBuf>,
    /// The loopback address.
    pub address: Option<SocketAddr>,
    /// Where lines go.
    pub log: Log,
}

/// What came of reading the environment.
#[derive(Debug)]
pub struct Reading {
    /// The settings, or everything that is wrong with them.
    pub outcome: Result<Settings, Vec<ConfigError>>,
    /// What deserves a warning either way.
    pub warnings: Vec<String>,
}

/// Reads the environment and the files that it names.
#[must_use]
pub fn read(variables: &Variables, now: Timestamp) -> Reading {
    let mut reader = Reader {
        variables,
        errors: Vec::new(),
        warnings: Vec::new(),
    };
    let settings = reader.settings(now);
    Reading {
        outcome: match settings {
            Some(settings) if reader.errors.is_empty() => Ok(settings),
            _ => Err(reader.errors),
        },
        warnings: reader.warnings,
    }
}

/// Collects mistakes; whatever is missing because of one is `None`.
struct Reader<'a> {
    variables: &'a Variables,
    errors: Vec<ConfigError>,
    warnings: Vec<String>,
}

impl Reader<'_> {
    fn settings(&mut self, now: Timestamp) -> Option<Settings> {
        let level = self.parsed(LOG_LEVEL, log_level).unwrap_or(Level::Info);
        let log = Log(level);
        let signer = self.signer(log, now);
        let federated_token = self.served_file(FEDERATED_TOKEN);
        let client_secret = self.served_file(CLIENT_SECRET);
        let nothing_to_do = [CERTIFICATE, FEDERATED_TOKEN, CLIENT_SECRET]
            .iter()
            .all(|name| self.variables.value(name).is_none());
        if nothing_to_do {
            self.errors.push(ConfigError::new(
                CERTIFICATE,
                "is not set",
                format!(
                    "Name the PEM or PFX file to sign with (or, for a sidecar that only hands out \
                     files, set {FEDERATED_TOKEN} or {CLIENT_SECRET})."
                ),
            ));
        }
        let address = self.parsed(ADDRESS, loopback);
        let socket = match (self.variables.value(SOCKET), address) {
            (Some(socket), _) => Some(PathBuf::from(socket)),
            (None, Some(_)) => None,
            (None, None) => Some(DEFAULT_SOCKET.into()),
        };
        Some(Settings {
            signer: signer?,
            federated_token,
            client_secret,
            socket,
            address,
            log,
        })
    }

    /// `Some(None)` where no certificate is asked for; `None` after a mistake.
    fn signer(&mut self, log: Log, now: Timestamp) -> Option<Option<Signer>> {
        let form = Form {
            algorithm: self
                .parsed(ALGORITHM, algorithm)
                .unwrap_or(Algorithm::Ps256),
            send_chain: self.parsed(SEND_CHAIN, on_or_off).unwrap_or(true),
        };
        let Some(certificate) = self.file(CERTIFICATE) else {
            for name in [KEY, PASSWORD] {
                if self.variables.value(name).is_some() {
                    self.errors.push(ConfigError::new(
                        name,
                        format!("is set, but {CERTIFICATE} is not"),
                        "Name the certificate, or unset this variable too.",
                    ));
                }
            }
            return Some(None);
        };
        let files = CertificateFiles {
            certificate,
            key: self.file(KEY),
            password: self.file(PASSWORD),
        };
        let store = Store::open(files, form, log, now);
        let store = store.map_err(|error| self.errors.push(error)).ok();
        let client_id = self.one_of(CLIENT_ID, "the application's client id", client_id);
        let tenant = self.one_of(TENANT_ID, "the tenant's id or domain", tenant);
        let (cloud, host) = (
            self.variables.value(CLOUD),
            self.variables.value(AUTHORITY_HOST),
        );
        // Without a tenant the host is still looked at, so that all is said at once.
        let endpoint =
            authority::token_endpoint(cloud, host, tenant.as_deref().unwrap_or_default())
                .map_err(|error| self.errors.push(error))
                .ok();
        tenant?;
        Some(Some(Signer {
            client_id: client_id?,
            token_endpoint: endpoint?,
            store: store?,
        }))
    }

    fn file(&self, setting: &'static str) -> Option<FileName> {
        self.variables.value(setting).map(|path| FileName {
            setting,
            path: path.into(),
        })
    }

    fn served_file(&mut self, setting: &'static str) -> ServedFile {
        let served_file = ServedFile {
            setting,
            file: self.file(setting),
        };
        if let Some(Err(error)) = served_file.content() {
            self.errors.push(error);
        }
        served_file
    }

    fn parsed<T>(
        &mut self,
        setting: &'static str,
        parse: impl FnOnce(&str) -> Result<T, (String, String)>,
    ) -> Option<T> {
        let value = self.variables.value(setting)?;
        match parse(value) {
            Ok(parsed) => Some(parsed),
            Err((wrong, fix)) => {
                let wrong = format!("is {}, which {wrong}", quoted(value));
                self.errors.push(ConfigError::new(setting, wrong, fix));
                None
            }
        }
    }

    /// The first of two names wins; a difference is worth a warning.
    fn one_of<T>(
        &mut self,
        [ours, sdks]: [&'static str; 2],
        what: &str,
        parse: impl FnOnce(&str) -> Result<T, (String, String)>,
    ) -> Option<T> {
        let (first, second) = (self.variables.value(ours), self.variables.value(sdks));
        match (first, second) {
            (None, None) => {
                let fix = format!("Set it to {what}.");
                self.errors.push(ConfigError::new(ours, "is not set", fix));
                None
            }
            (None, Some(_)) => self.parsed(sdks, parse),
            (Some(first), second) => {
                if second.is_some_and(|second| !second.eq_ignore_ascii_case(first)) {
                    self.warnings
                        .push(format!("{ours} and {sdks} differ; {ours} is used"));
                }
                self.parsed(ours, parse)
            }
        }
    }
}

fn client_id(value: &str) -> Result<Uuid, (String, String)> {
    value.parse().map_err(|_| {
        (
            "is no UUID".into(),
            "Give the application's client id, as 00000000-0000-0000-0000-000000000000.".into(),
        )
    })
}

fn tenant(value: &str) -> Result<String, (String, String)> {
    let lower = value.to_ascii_lowercase();
    let is_domain = lower.contains('.')
        && lower.split('.').all(|label| !label.is_empty())
        && lower
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.');
    if is_domain || lower.parse::<Uuid>().is_ok() {
        Ok(lower)
    } else {
        Err((
            "is no tenant".into(),
            "Give the tenant's id or domain; common, organizations and consumers have no \
             applications of their own."
                .into(),
        ))
    }
}

fn algorithm(value: &str) -> Result<Algorithm, (String, String)> {
    match value.to_ascii_uppercase().as_str() {
        "PS256" => Ok(Algorithm::Ps256),
        "RS256" => Ok(Algorithm::Rs256),
        _ => Err(("is unknown".into(), "Use PS256 or RS256.".into())),
    }
}

fn on_or_off(value: &str) -> Result<bool, (String, String)> {
    match value.to_ascii_lowercase().as_str() {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(("is unknown".into(), "Use on or off.".into())),
    }
}

/// The names are Envoy's and `warn`, because one `LOG_LEVEL` is for all programs in a container.
fn log_level(value: &str) -> Result<Level, (String, String)> {
    match value.to_ascii_lowercase().as_str() {
        "trace" | "debug" => Ok(Level::Debug),
        "info" => Ok(Level::Info),
        "warning" | "warn" => Ok(Level::Warning),
        "error" | "critical" => Ok(Level::Error),
        "off" => Ok(Level::Off),
        _ => Err((
            "is unknown".into(),
            "Use one of trace, debug, info, warning, error, critical, off.".into(),
        )),
    }
}

fn loopback(value: &str) -> Result<SocketAddr, (String, String)> {
    let address = match value.strip_prefix("localhost:") {
        Some(port) => port
            .parse()
            .ok()
            .map(|port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)),
        None => value.parse().ok(),
    };
    match address {
        Some(address) if address.ip().is_loopback() => Ok(address),
        Some(_) => Err((
            "is reached by others".into(),
            "Use a loopback address, as 127.0.0.1:8190: whoever reaches it is given assertions."
                .into(),
        )),
        None => Err((
            "is no address with a port".into(),
            "Give a loopback address, as 127.0.0.1:8190.".into(),
        )),
    }
}
