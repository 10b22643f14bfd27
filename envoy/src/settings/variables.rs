//! The environment variables that the launcher knows: one table for `--help`, for suggestions on
//! misspelt names, and for those of aad-auth-proxy that have no effect yet.

use entra_auth_settings_input::Variables;

use super::telemetry::signal::{self as telemetry, ExporterOption};

/// A variable in the table.
pub struct Known {
    /// Its name.
    pub name: &'static str,
    /// The variables with the same meaning for one signal of telemetry each, which win over it.
    pub of_one_signal: &'static [&'static str],
    /// What it means, for `--help`.
    pub meaning: &'static str,
}

/// Variables that this version acts on, in the order in which `--help` shows them.
pub const SERVED: &[Known] = &[
    known(
        "ENTRA_AUTH_CONFIG",
        "YAML or JSON file with several identities, targets and listeners; it replaces the variables for one of each",
    ),
    known(
        "ENTRA_AUTH_SETTINGS_FROM",
        "helm: messages use the names of the chart's values; set by the chart [messages use variables and paths in the file]",
    ),
    known(
        "TARGET_HOST",
        "host to forward to, with optional scheme and port; https, except for http:// with a loopback host (required)",
    ),
    known(
        "IDENTITY_TYPE",
        "systemAssigned, userAssigned, aadApplication, workloadIdentity, serviceAccountToken, managedIdentityFederated or tsiam, in any case (required; workloadIdentity if its webhook has set AZURE_FEDERATED_TOKEN_FILE)",
    ),
    known(
        "AAD_CLIENT_ID",
        "client id of the application or of the user-assigned identity; takes precedence over AZURE_CLIENT_ID",
    ),
    known(
        "AAD_TENANT_ID",
        "id or domain of the application's tenant; takes precedence over AZURE_TENANT_ID",
    ),
    known(
        "AAD_OBJECT_ID",
        "userAssigned: object id of the identity, instead of its client id",
    ),
    known(
        "AAD_RESOURCE_ID",
        "userAssigned: resource id of the identity, instead of its client id",
    ),
    known(
        "AAD_CLIENT_SECRET_FILE",
        "aadApplication: file with the secret; it is read for each token request",
    ),
    known(
        "AAD_CLIENT_CERTIFICATE_PATH",
        "aadApplication: file with the certificate and its key, as PEM or PFX, instead of a secret",
    ),
    known(
        "AAD_CLIENT_CERTIFICATE_KEY_PATH",
        "PEM file with the key [the file of the certificate]",
    ),
    known(
        "AAD_CLIENT_CERTIFICATE_PASSWORD_FILE",
        "file with the password of the key or of the PFX file",
    ),
    known(
        "AAD_CLIENT_CERTIFICATE_SEND_CHAIN",
        "on or off: whether assertions include the certificate chain, which trust by subject name and issuer needs [on]",
    ),
    known(
        "AAD_CLIENT_ASSERTION_ALGORITHM",
        "algorithm that signs assertions: PS256 or RS256 [PS256]",
    ),
    known(
        "TOKEN_SIDECAR_SOCKET",
        "Unix socket of a token-sidecar that runs in another container and has the certificate",
    ),
    known(
        "TOKEN_SIDECAR_BINARY",
        "program of the token-sidecar, which a certificate needs [token-sidecar in the launcher's directory, else on PATH]",
    ),
    known(
        "AZURE_FEDERATED_TOKEN_FILE",
        "workloadIdentity: file with the token, set by the webhook; serviceAccountToken: file to use instead of Kubernetes' own",
    ),
    known(
        "MANAGED_IDENTITY_CLIENT_ID",
        "managedIdentityFederated: client id of the user-assigned identity whose token authenticates the application [the system-assigned identity]",
    ),
    known(
        "TSIAM_ENDPOINT",
        "tsiam: address of the service; its token is exchanged at Entra if AAD_CLIENT_ID is set, else sent to the target",
    ),
    known(
        "AZURE_AUTHORITY_HOST",
        "address of Entra for the application; http:// only with a loopback host [that of the cloud]",
    ),
    known("AUDIENCE", "audience of the token [from TARGET_HOST]"),
    known(
        "AZURE_CLOUD",
        "public, usgovernment or china; the audience must belong to this cloud [from AUDIENCE and TARGET_HOST]",
    ),
    known(
        "AAD_TOKEN_REFRESH_INTERVAL_IN_PERCENTAGE",
        "remaining share of a token's lifetime at which it is refreshed, in percent, 1-99 [10]",
    ),
    known(
        "AUTH_ERRORS_RETRYABLE",
        "remoteWrite, always or never: which requests get 503 instead of a 401 or 403 that a fresh token does not cure [remoteWrite]",
    ),
    known("LISTENING_PORT", "port of the proxy [8081]"),
    known(
        "LISTENING_ADDRESS",
        "address on which the proxy listens, such as 127.0.0.1 or ::1; every client that reaches it uses the identity [all addresses]",
    ),
    known(
        "STATUS_PORT",
        "port of /metrics, /status, /health and /ready [9464]",
    ),
    known(
        "STATUS_ADDRESS",
        "address on which the status port listens; in a pod, probes and scrapes use the pod's address [all addresses]",
    ),
    known(
        "PROXY_HEALTH_PATHS",
        "on or off: whether the proxy port answers GET /health and GET /ready, too, instead of forwarding them [on]",
    ),
    known(
        "OVERRIDE_REQUEST_HEADERS",
        "JSON object of headers to set on every request; not Authorization",
    ),
    known(
        "SSL_CERT_FILE",
        "PEM file with the CA certificates for the target, for Entra and for collectors [the system's]",
    ),
    known(
        "HTTPS_PROXY",
        "HTTP proxy for https connections to the target, Entra, tsiam and collectors (CONNECT): http:// or https://, optionally with user:password@; https_proxy works, too",
    ),
    known(
        "NO_PROXY",
        "hosts, .domains, addresses and networks that are reached without the proxy, separated by commas; no_proxy works, too",
    ),
    known(
        "AZURE_POD_IDENTITY_AUTHORITY_HOST",
        "address of the instance metadata service [http://169.254.169.254]",
    ),
    known(
        "IDENTITY_ENDPOINT",
        "managed identity endpoint of App Service, Functions and Container Apps, which set it together with IDENTITY_HEADER; used instead of the instance metadata service",
    ),
    known("IDENTITY_HEADER", "the key for IDENTITY_ENDPOINT"),
    known(
        "ENVOY_CONCURRENCY",
        "number of Envoy's worker threads [the container's CPU limit, else 2]",
    ),
    known(
        "MEMORY_LIMIT",
        "memory that Envoy may use, in bytes or as a quantity such as 256Mi; requests that do not fit get 503 [the container's limit]",
    ),
    known(
        "IDLE_TIMEOUT_SECONDS",
        "a request without data in either direction for this time ends with 504, or with a reset connection if the response has begun; 0 disables the timeout [240]",
    ),
    known(
        "TOKEN_REQUEST_TIMEOUT",
        "timeout of a token request, in seconds or as 1m30s, from 1s to 5m [30]",
    ),
    known(
        "DRAIN_SECONDS",
        "time from SIGTERM to the exit: /ready answers 503 at once, and requests finish; keep it below the pod's grace period [25]",
    ),
    known(
        "LOG_LEVEL",
        "trace, debug, info, warning, error, critical or off [info]",
    ),
    known(
        "ACCESS_LOG",
        "requests that are logged: all, errors or off [all]",
    ),
    exporter_option(
        telemetry::ENDPOINT,
        "URL of the collector that telemetry is sent to; nothing is sent unless an endpoint is set. http/protobuf appends /v1/metrics, /v1/traces or /v1/logs, but uses the endpoint of one signal as it is",
    ),
    exporter_option(telemetry::PROTOCOL, "grpc or http/protobuf [http/protobuf]"),
    exporter_option(
        telemetry::HEADERS,
        "headers of each export, as name1=value1,name2=value2 with percent-encoded values; they may hold secrets",
    ),
    exporter_option(
        telemetry::CERTIFICATE,
        "PEM file with the CA certificates for the collector [SSL_CERT_FILE, else the system's]",
    ),
    exporter_option(
        telemetry::TIMEOUT,
        "timeout of an export in milliseconds; 0 and more than 600000 count as 600000 [10000]",
    ),
    exporter_option(
        telemetry::INSECURE,
        "true: a grpc endpoint without a scheme is reached without TLS [false]",
    ),
    known(
        telemetry::GRPC_ENDPOINT,
        "collector for grpc, as aad-auth-proxy named it: host:port (without TLS), http:// or https://; the standard variables take precedence",
    ),
    known(
        "OTEL_SERVICE_NAME",
        "service.name of the telemetry [entra-auth-envoy; with OTEL_GRPC_ENDPOINT alone aad_auth_proxy]",
    ),
    known(
        "OTEL_RESOURCE_ATTRIBUTES",
        "attributes of the telemetry's resource, as key1=value1,key2=value2, percent-encoded",
    ),
    known(
        "OTEL_METRICS_EXPORTER",
        "otlp or none: whether metrics are sent [otlp]",
    ),
    known(
        "OTEL_TRACES_EXPORTER",
        "otlp or none: whether traces are sent [otlp]",
    ),
    known(
        "OTEL_LOGS_EXPORTER",
        "otlp or none: whether access logs are sent [none]",
    ),
    known(
        "OTEL_SDK_DISABLED",
        "true: nothing is sent, and no OTEL_ variable has an effect [false]",
    ),
    known(
        "OTEL_TRACES_SAMPLER",
        "always_on, always_off, traceidratio, parentbased_always_on, parentbased_always_off or parentbased_traceidratio [parentbased_always_on]",
    ),
    known(
        "OTEL_TRACES_SAMPLER_ARG",
        "share of the traces that a traceidratio sampler records, from 0 to 1 [1]",
    ),
    known(
        "OTEL_METRIC_EXPORT_INTERVAL",
        "milliseconds between two exports of metrics, from 100 [60000, but at most half of DRAIN_SECONDS]",
    ),
    known(
        "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
        "cumulative, delta or lowmemory, which means delta here [cumulative]",
    ),
    known(
        "OLD_METRIC_NAMES",
        "on or off: whether aad-auth-proxy's metrics are sent, too [on]",
    ),
    known(
        "ENVOY_BINARY",
        "program of Envoy [envoy in the launcher's directory, else on PATH]",
    ),
    known(
        "ENTRA_AUTH_MODULE",
        "the filter's Wasm module [entra_auth_filter.wasm in the launcher's directory]",
    ),
];

/// Variables that belong together and are not served yet.
struct NotServed {
    names: &'static [&'static str],
    consequence: &'static str,
}

const NOT_SERVED: &[NotServed] = &[NotServed {
    names: &[
        "APPLICATIONINSIGHTS_CONNECTION_STRING",
        "APPLICATIONINSIGHTS_AUTHENTICATION_STRING",
    ],
    consequence: "no target is made from them; TARGET_HOST is the only one",
}];

const fn known(name: &'static str, meaning: &'static str) -> Known {
    Known {
        name,
        of_one_signal: &[],
        meaning,
    }
}

const fn exporter_option(option: &'static ExporterOption, meaning: &'static str) -> Known {
    Known {
        name: option.general,
        of_one_signal: &option.own,
        meaning,
    }
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

/// The names of all that is served.
pub(super) fn served_names() -> impl Iterator<Item = &'static str> {
    SERVED.iter().flat_map(|known| {
        let of_one_signal = known.of_one_signal.iter().copied();
        [known.name].into_iter().chain(of_one_signal)
    })
}

/// The names of all that is known, served or not.
pub(super) fn all_names() -> impl Iterator<Item = &'static str> {
    let not_served = NOT_SERVED.iter().flat_map(|kind| kind.names).copied();
    served_names().chain(not_served)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(names: &[&str]) -> Variables {
        names.iter().map(|name| (*name, "x")).collect()
    }

    #[test]
    fn an_empty_variable_counts_as_unset() {
        let variables: Variables = [("APPLICATIONINSIGHTS_CONNECTION_STRING", "")]
            .into_iter()
            .collect();
        assert!(warnings_of_not_served(&variables).is_empty());
    }

    #[test]
    fn each_kind_that_is_not_served_yet_is_one_warning() {
        let both = [
            "APPLICATIONINSIGHTS_CONNECTION_STRING",
            "APPLICATIONINSIGHTS_AUTHENTICATION_STRING",
        ];
        let warnings = warnings_of_not_served(&of(&both));
        assert_eq!(warnings.len(), 1);
        let expected = format!("{} are not served yet by this version", both.join(" and "));
        assert!(warnings[0].starts_with(&expected), "{warnings:?}");
        let one = warnings_of_not_served(&of(&both[..1]));
        assert!(one[0].contains("_STRING is not served yet"), "{one:?}");
    }

    #[test]
    fn no_name_is_known_twice() {
        let mut names: Vec<&str> = all_names().collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
