//! A certificate: which files it is in, or where a token-sidecar listens that knows them.

use std::path::PathBuf;

use super::CERTIFICATE_PATH;
use crate::settings::credential_file;
use crate::settings::{Reader, choices};

const KEY_PATH: &str = "AAD_CLIENT_CERTIFICATE_KEY_PATH";
const PASSWORD_FILE: &str = "AAD_CLIENT_CERTIFICATE_PASSWORD_FILE";
const SEND_CHAIN: &str = "AAD_CLIENT_CERTIFICATE_SEND_CHAIN";
const ALGORITHM: &str = "AAD_CLIENT_ASSERTION_ALGORITHM";
/// Names the socket of a token-sidecar that somebody else runs.
pub(super) const SOCKET: &str = "TOKEN_SIDECAR_SOCKET";

/// Who signs assertions with the certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sidecar {
    /// A token-sidecar that somebody else runs, by its socket.
    OfOthers(PathBuf),
    /// One that the launcher runs.
    Own(Certificate),
}

/// The files of a certificate, and how assertions are signed with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The certificate, with its key or without.
    pub path: PathBuf,
    /// Its key, where that is in a file of its own.
    pub key: Option<PathBuf>,
    /// The password of either.
    pub password: Option<PathBuf>,
    /// Whether assertions carry the chain.
    pub send_chain: bool,
    /// How they are signed.
    pub algorithm: &'static str,
}

impl Certificate {
    /// The variables by which a token-sidecar learns of it.
    #[must_use]
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        let path = |path: &PathBuf| path.to_string_lossy().into_owned();
        let on_or_off = if self.send_chain { "on" } else { "off" };
        let mut variables = vec![
            (CERTIFICATE_PATH, path(&self.path)),
            (SEND_CHAIN, on_or_off.to_owned()),
            (ALGORITHM, self.algorithm.to_owned()),
        ];
        variables.extend(self.key.as_ref().map(|key| (KEY_PATH, path(key))));
        let password = self.password.as_ref();
        variables.extend(password.map(|password| (PASSWORD_FILE, path(password))));
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
                Some(Sidecar::OfOthers(socket))
            }
            None => self.certificate().map(Sidecar::Own),
        }
    }

    fn certificate(&mut self) -> Option<Certificate> {
        let path = self.part_of_certificate(CERTIFICATE_PATH);
        let key = self.part_of_certificate(KEY_PATH);
        let password = self.part_of_certificate(PASSWORD_FILE);
        let send_chain = self.or(SEND_CHAIN, true, choices::on_or_off);
        let algorithm = self.or(ALGORITHM, choices::PS256, choices::assertion_algorithm);
        Some(Certificate {
            path: path??,
            key: key?,
            password: password?,
            send_chain: send_chain?,
            algorithm: algorithm?,
        })
    }

    /// `Some(None)` where the variable is not set. What is in the file the token-sidecar judges.
    fn part_of_certificate(&mut self, name: &'static str) -> Option<Option<PathBuf>> {
        let Some(value) = self.variables.value(name) else {
            return Some(None);
        };
        self.note(name, credential_file::any(value)).map(Some)
    }
}
