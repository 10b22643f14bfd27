//! The environment variables of the sidecar: one table for `--help`, and the map they are read
//! from.

use std::collections::BTreeMap;

/// `AAD_CLIENT_ID`, the old proxy's name; it wins over the Azure SDKs'.
pub const CLIENT_ID: [&str; 2] = ["AAD_CLIENT_ID", "AZURE_CLIENT_ID"];
/// `AAD_TENANT_ID`, likewise.
pub const TENANT_ID: [&str; 2] = ["AAD_TENANT_ID", "AZURE_TENANT_ID"];
/// Which Azure.
pub const CLOUD: &str = "AZURE_CLOUD";
/// Where Entra is, set by workload identity's webhook.
pub const AUTHORITY_HOST: &str = "AZURE_AUTHORITY_HOST";
/// The certificate.
pub const CERTIFICATE: &str = "AAD_CLIENT_CERTIFICATE_PATH";
/// Its key, where that is in a file of its own.
pub const KEY: &str = "AAD_CLIENT_CERTIFICATE_KEY_PATH";
/// The password of either.
pub const PASSWORD: &str = "AAD_CLIENT_CERTIFICATE_PASSWORD_FILE";
/// Whether assertions carry the chain.
pub const SEND_CHAIN: &str = "AAD_CLIENT_CERTIFICATE_SEND_CHAIN";
/// How assertions are signed.
pub const ALGORITHM: &str = "AAD_CLIENT_ASSERTION_ALGORITHM";
/// A file that is handed out as it is.
pub const FEDERATED_TOKEN: &str = "AZURE_FEDERATED_TOKEN_FILE";
/// Another one.
pub const CLIENT_SECRET: &str = "AAD_CLIENT_SECRET_FILE";
/// Where the sidecar listens.
pub const SOCKET: &str = "TOKEN_SIDECAR_SOCKET";
/// Where else.
pub const ADDRESS: &str = "TOKEN_SIDECAR_ADDRESS";
/// How much is logged.
pub const LOG_LEVEL: &str = "LOG_LEVEL";

/// Every variable with its meaning, in the order in which `--help` shows them.
pub const SERVED: &[(&str, &str)] = &[
    (
        CERTIFICATE,
        "PEM file with the certificate (and its key), or PFX file: makes GET /assertion work",
    ),
    (
        KEY,
        "PEM file with the private key, where it is not in the file above",
    ),
    (
        PASSWORD,
        "file with the password of the PFX file or the encrypted key",
    ),
    (
        SEND_CHAIN,
        "on or off: whether assertions carry the certificate and its chain (x5c) [on]",
    ),
    (
        ALGORITHM,
        "PS256, or RS256 for the old form with a SHA-1 thumbprint [PS256]",
    ),
    (
        CLIENT_ID[0],
        "the application's client id; wins over AZURE_CLIENT_ID (required with a certificate)",
    ),
    (
        TENANT_ID[0],
        "the tenant's id or domain; wins over AZURE_TENANT_ID (required with a certificate)",
    ),
    (CLOUD, "public, usgovernment, china or a host [public]"),
    (
        AUTHORITY_HOST,
        "Entra's host; wins over AZURE_CLOUD; https unless http:// names a loopback host",
    ),
    (
        FEDERATED_TOKEN,
        "file that GET /federated-token hands out, read anew each time",
    ),
    (
        CLIENT_SECRET,
        "file that GET /client-secret hands out, read anew each time",
    ),
    (
        SOCKET,
        "Unix socket to listen on, mode 0660 [/run/entra-auth/token-sidecar.sock]",
    ),
    (
        ADDRESS,
        "loopback address and port to listen on, as 127.0.0.1:8190, instead of the default socket",
    ),
    (LOG_LEVEL, "debug, info, warning, error or off [info]"),
];

/// The text that `--help` shows.
#[must_use]
pub fn help() -> String {
    let mut help = String::from(
        "Signs client assertions for Microsoft Entra with a certificate's key.\n\n\
         Usage: token-sidecar [--help | --version]\n\nEnvironment:\n",
    );
    for (name, meaning) in SERVED {
        help.push_str(&format!("  {name}\n          {meaning}\n"));
    }
    help.push_str(
        "\nAn empty variable counts as unset. Mistakes are reported all at once, with exit code 64.\n",
    );
    help
}

/// The variables of a process: a map, so that reading them needs no process environment.
#[derive(Debug, Default)]
pub struct Variables(BTreeMap<String, String>);

impl Variables {
    /// The variables of this process. Bytes that are not UTF-8 become U+FFFD, which no variable
    /// of ours accepts but in a path, and there the file is then not found.
    #[must_use]
    pub fn of_this_process() -> Self {
        std::env::vars_os()
            .map(|(name, value)| {
                (
                    name.to_string_lossy().into_owned(),
                    value.to_string_lossy().into_owned(),
                )
            })
            .collect()
    }

    /// A variable's value; an empty one counts as unset, because templates often leave it so.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Variables {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        Self(
            pairs
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        )
    }
}
