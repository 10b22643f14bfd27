//! The environment variables that the launcher knows: one table for `--help`, for suggestions on
//! misspelt names, and for those of aad-auth-proxy that have no effect yet.

use entra_auth_settings_input::Variables;

/// A variable in the table.
pub struct Known {
    /// Its name.
    pub name: &'static str,
    /// What it means, for `--help`.
    pub meaning: &'static str,
}

/// Variables that this version acts on, in the order in which `--help` shows them.
pub const SERVED: &[Known] = &[
    known(
        "ENTRA_AUTH_CONFIG",
        "YAML or JSON file with identities, targets and listeners, in place of the variables that name one of each",
    ),
    known(
        "ENTRA_AUTH_SETTINGS_FROM",
        "helm: messages name the chart's values, which the chart sets by itself [variables or the file]",
    ),
    known(
        "TARGET_HOST",
        "host to forward to, with optional scheme and port; https unless http:// names a loopback host (required)",
    ),
    known(
        "IDENTITY_TYPE",
        "systemAssigned, userAssigned, aadApplication, workloadIdentity, serviceAccountToken, managedIdentityFederated or tsiam, any case (required, but workloadIdentity where its webhook has set AZURE_FEDERATED_TOKEN_FILE)",
    ),
    known(
        "AAD_CLIENT_ID",
        "client id of the application or of the user-assigned identity; wins over AZURE_CLIENT_ID",
    ),
    known(
        "AAD_TENANT_ID",
        "id or domain of the application's tenant; wins over AZURE_TENANT_ID",
    ),
    known(
        "AAD_OBJECT_ID",
        "userAssigned: the identity's object id, instead of its client id",
    ),
    known(
        "AAD_RESOURCE_ID",
        "userAssigned: the identity's resource id, instead of its client id",
    ),
    known(
        "AAD_CLIENT_SECRET_FILE",
        "aadApplication: file with its secret, read anew for each token",
    ),
    known(
        "AAD_CLIENT_CERTIFICATE_PATH",
        "aadApplication, instead of a secret: file with its certificate and key, PEM or PFX",
    ),
    known(
        "AAD_CLIENT_CERTIFICATE_KEY_PATH",
        "PEM file with the key [in the certificate's file]",
    ),
    known(
        "AAD_CLIENT_CERTIFICATE_PASSWORD_FILE",
        "file with the password of the key or of the PFX",
    ),
    known(
        "AAD_CLIENT_CERTIFICATE_SEND_CHAIN",
        "on or off: whether assertions carry the chain, for trust by subject name and issuer [on]",
    ),
    known(
        "AAD_CLIENT_ASSERTION_ALGORITHM",
        "PS256 or RS256: how assertions are signed [PS256]",
    ),
    known(
        "TOKEN_SIDECAR_SOCKET",
        "Unix socket of a token-sidecar in another container, which has the certificate",
    ),
    known(
        "TOKEN_SIDECAR_BINARY",
        "the token-sidecar's program, for a certificate [token-sidecar beside the launcher, else on PATH]",
    ),
    known(
        "AZURE_FEDERATED_TOKEN_FILE",
        "workloadIdentity: file with the token, set by its webhook; serviceAccountToken: instead of Kubernetes' own",
    ),
    known(
        "MANAGED_IDENTITY_CLIENT_ID",
        "managedIdentityFederated: the user-assigned identity that speaks for the application [the machine's own]",
    ),
    known(
        "TSIAM_ENDPOINT",
        "tsiam: its address; its token goes to Entra if AAD_CLIENT_ID names an application, else to the target",
    ),
    known(
        "AZURE_AUTHORITY_HOST",
        "where the application's Entra is; http for loopback hosts only [that of the cloud]",
    ),
    known("AUDIENCE", "audience of the token [from TARGET_HOST]"),
    known(
        "AZURE_CLOUD",
        "public, usgovernment or china; the audience must be of that cloud [from AUDIENCE and TARGET_HOST]",
    ),
    known(
        "AAD_TOKEN_REFRESH_INTERVAL_IN_PERCENTAGE",
        "1-99: how much of a token's life is left when it is renewed [10]",
    ),
    known(
        "AUTH_ERRORS_RETRYABLE",
        "remoteWrite, always or never: whose 401 and 403 that no fresh token heals become 503 [remoteWrite]",
    ),
    known("LISTENING_PORT", "port of the proxy [8081]"),
    known(
        "LISTENING_ADDRESS",
        "address on which that port is open, as 127.0.0.1 or ::1; whoever reaches it sends with the identity [all]",
    ),
    known(
        "STATUS_PORT",
        "port of /metrics, /status, /health and /ready [9464]",
    ),
    known(
        "STATUS_ADDRESS",
        "address on which that port is open; probes and scrapes of a pod come to the pod's own [all]",
    ),
    known(
        "PROXY_HEALTH_PATHS",
        "on or off: whether the proxy port, too, answers GET /health and GET /ready [on]",
    ),
    known(
        "OVERRIDE_REQUEST_HEADERS",
        "JSON object of request headers to set; not Authorization",
    ),
    known(
        "SSL_CERT_FILE",
        "PEM file of the authorities trusted for the certificates of the target and of Entra [the system's]",
    ),
    known(
        "HTTPS_PROXY",
        "proxy through which the target, Entra and tsiam are reached by CONNECT, http:// or https://, with user:password@ if need be; https_proxy, too",
    ),
    known(
        "NO_PROXY",
        "hosts, .domains, addresses and networks that are reached without it, separated by commas; no_proxy, too",
    ),
    known(
        "AZURE_POD_IDENTITY_AUTHORITY_HOST",
        "where the instance metadata service is [http://169.254.169.254]",
    ),
    known(
        "IDENTITY_ENDPOINT",
        "set with IDENTITY_HEADER by App Service, Functions and Container Apps: used instead of it",
    ),
    known("IDENTITY_HEADER", "see IDENTITY_ENDPOINT"),
    known(
        "ENVOY_CONCURRENCY",
        "Envoy's worker threads [the container's CPU limit, else 2]",
    ),
    known(
        "MEMORY_LIMIT",
        "bytes or a quantity as 256Mi: beyond it new requests get 503 [the container's limit]",
    ),
    known(
        "IDLE_TIMEOUT_SECONDS",
        "a request on which no byte moves for so long ends, with 504 or a broken connection; 0: never [240]",
    ),
    known(
        "TOKEN_REQUEST_TIMEOUT",
        "how long the answer to a call for a token may take, in seconds or as 1m30s, from 1s to 5m [30]",
    ),
    known(
        "DRAIN_SECONDS",
        "from SIGTERM to the end, while /ready says 503 and requests finish; below the pod's grace period [25]",
    ),
    known(
        "LOG_LEVEL",
        "trace, debug, info, warning, error, critical or off [info]",
    ),
    known("ACCESS_LOG", "all, errors or off [all]"),
    known(
        "ENVOY_BINARY",
        "Envoy's program [envoy beside the launcher, else on PATH]",
    ),
    known(
        "ENTRA_AUTH_MODULE",
        "the filter [entra_auth_filter.wasm beside the launcher]",
    ),
];

/// Variables that belong together and are not served yet.
struct NotServed {
    names: &'static [&'static str],
    consequence: &'static str,
}

const NOT_SERVED: &[NotServed] = &[
    NotServed {
        names: &["OTEL_SERVICE_NAME", "OTEL_GRPC_ENDPOINT"],
        consequence: "no telemetry is sent by OTLP; /metrics on STATUS_PORT serves Prometheus",
    },
    NotServed {
        names: &[
            "APPLICATIONINSIGHTS_CONNECTION_STRING",
            "APPLICATIONINSIGHTS_AUTHENTICATION_STRING",
        ],
        consequence: "no target is made from them; TARGET_HOST is the only one",
    },
];

const fn known(name: &'static str, meaning: &'static str) -> Known {
    Known { name, meaning }
}

/// One warning for each kind of variable that is set and not served yet.
#[must_use]
pub fn warnings_of_not_served(variables: &Variables) -> Vec<String> {
    NOT_SERVED
        .iter()
        .filter_map(|kind| {
            let set: Vec<&str> = kind
                .names
                .iter()
                .copied()
                .filter(|name| variables.value(name).is_some())
                .collect();
            let verb = if set.len() > 1 { "are" } else { "is" };
            (!set.is_empty()).then(|| {
                format!(
                    "{} {verb} not served yet by this version: {}",
                    set.join(" and "),
                    kind.consequence
                )
            })
        })
        .collect()
}

/// How the variables begin by which Envoy gets the values of headers. The launcher sets them; whoever
/// runs a rendered bootstrap or a rendered file does, too.
pub const HEADER: &str = "ENTRA_AUTH_HEADER_";

/// The names of all that is known, served or not.
pub(super) fn all_names() -> impl Iterator<Item = &'static str> {
    let not_served = NOT_SERVED.iter().flat_map(|kind| kind.names).copied();
    SERVED.iter().map(|known| known.name).chain(not_served)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(names: &[&str]) -> Variables {
        names.iter().map(|name| (*name, "x")).collect()
    }

    #[test]
    fn an_empty_variable_counts_as_unset() {
        let variables: Variables = [("OTEL_SERVICE_NAME", "")].into_iter().collect();
        assert!(warnings_of_not_served(&variables).is_empty());
    }

    #[test]
    fn each_kind_that_is_not_served_yet_is_one_warning() {
        let warnings = warnings_of_not_served(&of(&["OTEL_SERVICE_NAME", "OTEL_GRPC_ENDPOINT"]));
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].starts_with(
            "OTEL_SERVICE_NAME and OTEL_GRPC_ENDPOINT are not served yet by this version"
        ));

        let everything: Vec<&str> = NOT_SERVED
            .iter()
            .flat_map(|kind| kind.names)
            .copied()
            .collect();
        assert_eq!(
            warnings_of_not_served(&of(&everything)).len(),
            NOT_SERVED.len()
        );
    }
}
