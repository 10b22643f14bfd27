//! The names of the environment variables that the token-sidecar reads, and their table in
//! `--help`.

/// The application's client id: aad-auth-proxy's name, which wins, and the Azure SDKs' name.
pub const CLIENT_ID: [&str; 2] = ["AAD_CLIENT_ID", "AZURE_CLIENT_ID"];
/// The application's tenant: aad-auth-proxy's name, which wins, and the Azure SDKs' name.
pub const TENANT_ID: [&str; 2] = ["AAD_TENANT_ID", "AZURE_TENANT_ID"];
/// The Azure cloud, or Entra's host.
pub const CLOUD: &str = "AZURE_CLOUD";
/// Entra's host, as the webhook of Azure workload identity sets it. It wins over [`CLOUD`].
pub const AUTHORITY_HOST: &str = "AZURE_AUTHORITY_HOST";
/// The file with the certificate.
pub const CERTIFICATE: &str = "AAD_CLIENT_CERTIFICATE_PATH";
/// The file with the private key, where the certificate's file does not hold it.
pub const KEY: &str = "AAD_CLIENT_CERTIFICATE_KEY_PATH";
/// The file with the password of the PFX file or of the private key.
pub const PASSWORD: &str = "AAD_CLIENT_CERTIFICATE_PASSWORD_FILE";
/// Whether assertions carry the certificate chain.
pub const SEND_CHAIN: &str = "AAD_CLIENT_CERTIFICATE_SEND_CHAIN";
/// The algorithm that signs assertions.
pub const ALGORITHM: &str = "AAD_CLIENT_ASSERTION_ALGORITHM";
/// The file that `GET /federated-token` serves.
pub const FEDERATED_TOKEN: &str = "AZURE_FEDERATED_TOKEN_FILE";
/// The file that `GET /client-secret` serves.
pub const CLIENT_SECRET: &str = "AAD_CLIENT_SECRET_FILE";
/// The Unix socket to listen on.
pub const SOCKET: &str = "TOKEN_SIDECAR_SOCKET";
/// The loopback address and port to listen on.
pub const ADDRESS: &str = "TOKEN_SIDECAR_ADDRESS";
/// The log level.
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
