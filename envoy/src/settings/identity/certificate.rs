//! A certificate: which files it is in, or where a token-sidecar listens that knows them.

use deserr::Deserr;
use entra_auth_settings_input::choices::{AssertionAlgorithm, on_or_off};
use serde::Serialize;

use super::from_environment::CERTIFICATE_PATH;
use crate::settings::values::{Algorithm, AnyFile, Socket};
use crate::settings::{Reader, credential_file};

const KEY_PATH: &str = "AAD_CLIENT_CERTIFICATE_KEY_PATH";
const PASSWORD_FILE: &str = "AAD_CLIENT_CERTIFICATE_PASSWORD_FILE";
const SEND_CHAIN: &str = "AAD_CLIENT_CERTIFICATE_SEND_CHAIN";
const ALGORITHM: &str = "AAD_CLIENT_ASSERTION_ALGORITHM";
/// Names the socket of a token-sidecar that somebody else runs.
pub(super) const SOCKET: &str = "TOKEN_SIDECAR_SOCKET";

/// Who signs assertions with the certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Sidecar {
    /// The application's certificate, with which a token-sidecar of the launcher's signs.
    #[serde(rename = "certificate")]
    Own(Certificate),
    /// In place of `certificate`: Unix socket of a token-sidecar in another container.
    #[serde(rename = "tokenSidecarSocket")]
    OfOthers(Socket),
}

/// A certificate and how assertions are signed with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserr)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[deserr(rename_all = camelCase, deny_unknown_fields)]
pub struct Certificate {
    /// File with the certificate, and with its key or without: PEM or PFX.
    pub path: AnyFile,
    /// PEM file with the key, where that is in a file of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[deserr(default)]
    pub key_path: Option<AnyFile>,
    /// File with the password of the key or of the PFX.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[deserr(default)]
    pub password_file: Option<AnyFile>,
    /// Whether assertions carry the chain, for trust by subject name and issuer.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    #[deserr(default = yes())]
    pub send_chain: bool,
    /// `PS256` or `RS256`.
    #[serde(default, skip_serializing_if = "Algorithm::is_default")]
    #[deserr(default)]
    pub algorithm: Algorithm,
}

fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_yes(value: &bool) -> bool {
    *value
}

impl Certificate {
    /// The variables by which a token-sidecar learns of it.
    #[must_use]
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        let on_or_off = if self.send_chain { "on" } else { "off" };
        let mut variables = vec![
            (CERTIFICATE_PATH, self.path.to_string()),
            (SEND_CHAIN, on_or_off.to_owned()),
            (ALGORITHM, self.algorithm.to_string()),
        ];
        variables.extend(
            self.key_path
                .as_ref()
                .map(|key| (KEY_PATH, key.to_string())),
        );
        let password = self.password_file.as_ref();
        variables.extend(password.map(|password| (PASSWORD_FILE, password.to_string())));
        variables
    }
}

impl Reader<'_> {
    pub(super) fn has_certificate(&self) -> bool {
        [CERTIFICATE_PATH, SOCKET]
            .iter()
            .any(|name| self.variables.value(name).is_some())
    }

    pub(super) fn sidecar(&mut self) -> Option<Sidecar> {
        match self.variables.value(SOCKET) {
            Some(value) => {
                for name in [CERTIFICATE_PATH, KEY_PATH, PASSWORD_FILE] {
                    if self.variables.value(name).is_some() {
                        self.warnings.push(format!(
                            "{name} is ignored: the token-sidecar at {SOCKET} reads its own"
                        ));
                    }
                }
                let socket = self.note(SOCKET, credential_file::socket(value))?;
                Some(Sidecar::OfOthers(Socket(socket)))
            }
            None => self.certificate().map(Sidecar::Own),
        }
    }

    fn certificate(&mut self) -> Option<Certificate> {
        let path = self.part_of_certificate(CERTIFICATE_PATH);
        let key = self.part_of_certificate(KEY_PATH);
        let password = self.part_of_certificate(PASSWORD_FILE);
        let send_chain = self.or(SEND_CHAIN, true, on_or_off);
        let algorithm = self.or(
            ALGORITHM,
            AssertionAlgorithm::default(),
            AssertionAlgorithm::parse,
        );
        Some(Certificate {
            path: path??,
            key_path: key?,
            password_file: password?,
            send_chain: send_chain?,
            algorithm: Algorithm(algorithm?),
        })
    }

    /// `Some(None)` where the variable is not set. What is in the file the token-sidecar judges.
    fn part_of_certificate(&mut self, name: &'static str) -> Option<Option<AnyFile>> {
        let Some(value) = self.variables.value(name) else {
            return Some(None);
        };
        let file = self.note(name, credential_file::any(value))?;
        Some(Some(AnyFile(file)))
    }
}
