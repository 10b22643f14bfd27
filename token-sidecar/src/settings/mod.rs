//! Reads the settings from the environment and reports all errors at once. The files that the
//! variables name are read here too, so that a file that cannot be used ends the start before
//! anything listens.

mod token_endpoint;
mod values;

use std::net::SocketAddr;
use std::path::PathBuf;

use entra_auth_settings_input::choices::{AssertionAlgorithm, on_or_off};
use entra_auth_settings_input::{ConfigError, Problem, Variables};
use entra_token_core::config::Tenant;
use jiff::Timestamp;

use crate::client_assertion::Signer;
use crate::credential::{AssertionFormat, CertificateFiles};
use crate::file::NamedFile;
use crate::log::{Level, Log};
use crate::served_file::ServedFile;
use crate::store::Store;
use crate::variables::{
    ADDRESS, ALGORITHM, AUTHORITY_HOST, CERTIFICATE, CLIENT_ID, CLIENT_SECRET, CLOUD,
    FEDERATED_TOKEN, KEY, LOG_LEVEL, PASSWORD, SEND_CHAIN, SOCKET, TENANT_ID,
};
use token_endpoint::token_endpoint;

/// The socket where neither a socket nor an address is set.
const DEFAULT_SOCKET: &str = "/run/entra-auth/token-sidecar.sock";

/// The settings of the token-sidecar.
#[derive(Debug)]
pub struct Settings {
    /// Signs assertions; none where no certificate is set and the sidecar only serves files.
    pub signer: Option<Signer>,
    /// The file that `GET /federated-token` serves.
    pub federated_token: ServedFile,
    /// The file that `GET /client-secret` serves.
    pub client_secret: ServedFile,
    /// The Unix socket to listen on.
    pub socket: Option<PathBuf>,
    /// The loopback address to listen on.
    pub address: Option<SocketAddr>,
    /// The log, at the level that is set.
    pub log: Log,
}

/// The outcome of reading the environment.
#[derive(Debug)]
pub struct Reading {
    /// The settings, or all errors in them.
    pub outcome: Result<Settings, Vec<ConfigError>>,
    /// Warnings, in either case.
    pub warnings: Vec<String>,
}

/// Reads the environment and the files that it names. `now` decides whether the certificate is valid.
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

/// Collects errors and warnings. A method that gives `None` has added an error, unless its
/// documentation says otherwise.
struct Reader<'a> {
    variables: &'a Variables,
    errors: Vec<ConfigError>,
    warnings: Vec<String>,
}

impl Reader<'_> {
    fn settings(&mut self, now: Timestamp) -> Option<Settings> {
        let level = self
            .parsed(LOG_LEVEL, values::log_level)
            .unwrap_or(Level::Info);
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
        let address = self.parsed(ADDRESS, values::loopback_address);
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

    /// The signer; `Some(None)` where no certificate is set, `None` after an error.
    fn signer(&mut self, log: Log, now: Timestamp) -> Option<Option<Signer>> {
        let format = AssertionFormat {
            algorithm: self
                .parsed(ALGORITHM, AssertionAlgorithm::parse)
                .unwrap_or_default(),
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
        let store = self.noted(Store::open(files, format, log, now));
        let client_id = self.first_set(CLIENT_ID, "the application's client id", values::client_id);
        let tenant = self.first_set(TENANT_ID, "the tenant's id or domain", values::tenant);
        // The host is checked even without a tenant, so that all errors are reported at once.
        let token_endpoint = self.noted(token_endpoint(
            self.variables.value(CLOUD),
            self.variables.value(AUTHORITY_HOST),
            tenant.as_ref().map_or("", Tenant::as_str),
        ));
        tenant?;
        Some(Some(Signer {
            client_id: client_id?,
            token_endpoint: token_endpoint?,
            store: store?,
        }))
    }

    /// The value, after an error has been added where there is none.
    fn noted<T>(&mut self, result: Result<T, ConfigError>) -> Option<T> {
        result.map_err(|error| self.errors.push(error)).ok()
    }

    /// The file that a variable names; `None` where the variable is not set.
    fn file(&self, setting: &'static str) -> Option<NamedFile> {
        self.variables.value(setting).map(|path| NamedFile {
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

    /// The value of a variable; `None` also where the variable is not set.
    fn parsed<T>(
        &mut self,
        setting: &'static str,
        parse: impl FnOnce(&str) -> Result<T, Problem>,
    ) -> Option<T> {
        let value = self.variables.value(setting)?;
        self.noted(parse(value).map_err(|problem| problem.of(setting)))
    }

    /// The value of the first of two variables that is set. Different values are a warning.
    fn first_set<T>(
        &mut self,
        [ours, sdks]: [&'static str; 2],
        what: &str,
        parse: impl FnOnce(&str) -> Result<T, Problem>,
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
