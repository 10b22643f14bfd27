//! Warns about variables that have one of our prefixes but no meaning, and about those whose names differ
//! from one of OpenTelemetry's by a typing mistake.

use std::net::IpAddr;

use entra_auth_settings_input::Variables;

use super::telemetry::is_standard;
use super::variables::{HEADER, all_names, served_names};

const PREFIXES: [&str; 2] = ["AAD_", "ENTRA_AUTH_"];

/// The prefix of OpenTelemetry, which other programs share.
const OPEN_TELEMETRY: &str = "OTEL_";

/// A warning for each variable that is unknown and hardly meant for somebody else.
#[must_use]
pub(super) fn warnings_of_unknown(variables: &Variables) -> Vec<String> {
    let unknown: Vec<&str> = variables
        .names()
        .filter(|name| !all_names().any(|known| known == *name))
        .collect();
    let misspelt = unknown.iter().filter_map(|name| {
        let meant = misspelt(name)?;
        Some(format!(
            "{name} is unknown and ignored; did you mean {meant}?"
        ))
    });
    let mut warnings = warnings_of_ours(&unknown, variables);
    warnings.extend(misspelt);
    warnings
}

/// The variable of OpenTelemetry that this one is when up to two characters are corrected. SDKs, agents
/// and operators have many others, some of them with names that are not much further apart.
fn misspelt(name: &str) -> Option<&'static str> {
    const MOST_MISTAKES: usize = 2;
    if !name.starts_with(OPEN_TELEMETRY) || is_standard(name) {
        return None;
    }
    served_names()
        .filter(|known| known.starts_with(OPEN_TELEMETRY))
        .map(|known| (known, strsim::damerau_levenshtein(name, known)))
        .filter(|(_, mistakes)| *mistakes <= MOST_MISTAKES)
        .min_by_key(|(_, mistakes)| *mistakes)
        .map(|(known, _)| known)
}

/// A warning for each of these that carries a prefix of ours.
fn warnings_of_ours(unknown: &[&str], variables: &Variables) -> Vec<String> {
    unknown
        .iter()
        .filter(|name| PREFIXES.iter().any(|prefix| name.starts_with(prefix)))
        .filter(|name| !is_service_link(name, variables) && !name.starts_with(HEADER))
        .map(|name| match nearest(name) {
            Some(near) => format!("{name} is unknown and ignored; did you mean {near}?"),
            None => format!("{name} is unknown and ignored"),
        })
        .collect()
}

/// Kubernetes sets such variables for every Service in the namespace, and one may well be called
/// `aad-auth-proxy` (Kubernetes: "Discovering services", Docker-links form).
/// Names alone do not tell them from a setting that somebody has misspelt: `ENTRA_AUTH_STATUS_PORT=9465`
/// is none, and its value says so.
fn is_service_link(name: &str, variables: &Variables) -> bool {
    let value = variables.value(name).unwrap_or_default();
    let is_url = PROTOCOLS
        .iter()
        .filter_map(|protocol| value.strip_prefix(&protocol.to_ascii_lowercase()))
        .any(|rest| rest.starts_with("://"));
    let is_address = value.parse::<IpAddr>().is_ok();
    let is_port = value.parse::<u16>().is_ok();
    if name.ends_with("_SERVICE_HOST") {
        return is_address;
    }
    if let Some((_, rest)) = name.split_once("_SERVICE_PORT")
        && (rest.is_empty() || rest.starts_with('_'))
    {
        return is_port;
    }
    // As in `PORT_8081_TCP`, `PORT_8081_TCP_ADDR`.
    let of_one_port = name.match_indices("_PORT_").find_map(|(at, marker)| {
        let (port, rest) = name[at + marker.len()..].split_once('_')?;
        port.parse::<u16>().ok()?;
        PROTOCOLS.iter().find_map(|it| rest.strip_prefix(it))
    });
    match of_one_port {
        Some("") => is_url,
        Some("_ADDR") => is_address,
        Some("_PORT") => is_port,
        Some("_PROTO") => PROTOCOLS.iter().any(|it| it.eq_ignore_ascii_case(value)),
        Some(_) => false,
        None => name.ends_with("_PORT") && is_url,
    }
}

/// Those that a port of a Service may have.
const PROTOCOLS: [&str; 3] = ["TCP", "UDP", "SCTP"];

/// The known name that a misspelt one most probably means.
fn nearest(name: &str) -> Option<&'static str> {
    /// Below this likeness (0 to 1) a proposal would only confuse.
    const LIKE_ENOUGH: f64 = 0.7;
    // Most have no prefix, which somebody may have put before them.
    let bare = PREFIXES
        .iter()
        .find_map(|prefix| name.strip_prefix(prefix))
        .unwrap_or(name);
    let likeness = |known: &str| {
        [name, bare]
            .map(|name| strsim::normalized_damerau_levenshtein(name, known))
            .into_iter()
            .fold(0.0, f64::max)
    };
    all_names()
        .map(|known| (known, likeness(known)))
        .filter(|(_, likeness)| *likeness >= LIKE_ENOUGH)
        .max_by(|(_, a), (_, b)| a.total_cmp(b))
        .map(|(known, _)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(names: &[&str]) -> Variables {
        names.iter().map(|name| (*name, "x")).collect()
    }

    #[test]
    fn an_empty_variable_is_none() {
        let variables = [("AAD_X", "")].into_iter().collect();
        assert!(warnings_of_unknown(&variables).is_empty());
    }

    #[test]
    fn a_misspelt_variable_is_warned_about_with_the_nearest_name() {
        let cases = [
            ("AAD_CLIENTID", "AAD_CLIENT_ID"),
            ("AAD_TENANT", "AAD_TENANT_ID"),
            ("ENTRA_AUTH_MODUL", "ENTRA_AUTH_MODULE"),
            (
                "AAD_TOKEN_REFRESH_INTERVAL_IN_MINUTES",
                "AAD_TOKEN_REFRESH_INTERVAL_IN_PERCENTAGE",
            ),
        ];
        for (misspelt, meant) in cases {
            assert_eq!(
                warnings_of_unknown(&of(&[misspelt])),
                [format!(
                    "{misspelt} is unknown and ignored; did you mean {meant}?"
                )]
            );
        }
        assert_eq!(
            warnings_of_unknown(&of(&["ENTRA_AUTH_WHATEVER_ELSE_THERE_IS"])),
            ["ENTRA_AUTH_WHATEVER_ELSE_THERE_IS is unknown and ignored"]
        );
    }

    #[test]
    fn known_variables_and_those_of_others_are_not_warned_about() {
        let names: Vec<&str> = all_names()
            .chain(["PATH", "AZURE_WHATEVER", "OTEL_OTHER"])
            .collect();
        assert!(warnings_of_unknown(&of(&names)).is_empty());
    }

    #[test]
    fn a_misspelt_variable_of_open_telemetry_is_warned_about() {
        let cases = [
            ("OTEL_EXPORTER_OTLP_ENDPIONT", "OTEL_EXPORTER_OTLP_ENDPOINT"),
            ("OTEL_EXPORTER_OLTP_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"),
            (
                "OTEL_EXPORTER_OTLP_TRACE_ENDPOINT",
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            ),
            ("OTEL_EXPORTER_OTLP_HEADER", "OTEL_EXPORTER_OTLP_HEADERS"),
            ("OTEL_SERVICENAME", "OTEL_SERVICE_NAME"),
            ("OTEL_TRACE_SAMPLER", "OTEL_TRACES_SAMPLER"),
            (
                "OTEL_METRICS_EXPORT_INTERVAL",
                "OTEL_METRIC_EXPORT_INTERVAL",
            ),
            ("OTEL_GPRC_ENDPOINT", "OTEL_GRPC_ENDPOINT"),
        ];
        for (misspelt, meant) in cases {
            assert_eq!(
                warnings_of_unknown(&of(&[misspelt])),
                [format!(
                    "{misspelt} is unknown and ignored; did you mean {meant}?"
                )]
            );
        }
    }

    /// Of the specification, of SDKs and agents, and what the operator for Kubernetes sets.
    #[test]
    fn the_variables_of_other_users_of_open_telemetry_are_not_warned_about() {
        let others = [
            "OTEL_BSP_SCHEDULE_DELAY",
            "OTEL_BLRP_MAX_QUEUE_SIZE",
            "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT",
            "OTEL_EXPORTER_OTLP_COMPRESSION",
            "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
            "OTEL_EXPORTER_OTLP_PROFILES_ENDPOINT",
            "OTEL_EXPORTER_PROMETHEUS_PORT",
            "OTEL_EXPORTER_ZIPKIN_ENDPOINT",
            "OTEL_INSTRUMENTATION_COMMON_DEFAULT_ENABLED",
            "OTEL_JAVAAGENT_ENABLED",
            "OTEL_LOG_LEVEL",
            "OTEL_METRIC_EXPORT_TIMEOUT",
            "OTEL_METRICS_EXEMPLAR_FILTER",
            "OTEL_NODE_IP",
            "OTEL_NODE_RESOURCE_DETECTORS",
            "OTEL_POD_IP",
            "OTEL_PROPAGATORS",
            "OTEL_PYTHON_LOG_CORRELATION",
            "OTEL_RESOURCE_ATTRIBUTES_NODE_NAME",
            "OTEL_RESOURCE_ATTRIBUTES_POD_NAME",
            "OTEL_RESOURCE_ATTRIBUTES_POD_UID",
            "OTEL_SEMCONV_STABILITY_OPT_IN",
            "OTEL_SPAN_LINK_COUNT_LIMIT",
        ];
        assert_eq!(warnings_of_unknown(&of(&others)), [""; 0]);
    }

    #[test]
    fn the_variables_that_kubernetes_sets_for_a_service_are_not_warned_about() {
        let links = [
            ("AAD_AUTH_PROXY_SERVICE_HOST", "10.0.0.1"),
            ("AAD_AUTH_PROXY_SERVICE_PORT", "80"),
            ("AAD_AUTH_PROXY_SERVICE_PORT_HTTP", "80"),
            ("AAD_AUTH_PROXY_PORT", "tcp://10.0.0.1:80"),
            ("AAD_AUTH_PROXY_PORT_80_TCP", "tcp://10.0.0.1:80"),
            ("AAD_AUTH_PROXY_PORT_80_TCP_ADDR", "fd00::1"),
            ("AAD_AUTH_PROXY_PORT_80_TCP_PORT", "80"),
            ("ENTRA_AUTH_ENVOY_PORT_8081_TCP_PROTO", "tcp"),
            ("ENTRA_AUTH_DNS_PORT", "udp://10.0.0.1:53"),
            ("ENTRA_AUTH_DNS_PORT_53_UDP", "udp://[fd00::1]:53"),
            ("ENTRA_AUTH_A_PORT_1_PORT_132_SCTP", "sctp://10.0.0.1:132"),
        ];
        let warnings = warnings_of_unknown(&links.into_iter().collect());
        assert_eq!(warnings, [""; 0]);
    }

    #[test]
    fn a_setting_that_is_only_called_like_one_of_these_is_warned_about() {
        let settings = [
            ("ENTRA_AUTH_STATUS_PORT", "9465", Some("STATUS_PORT")),
            ("ENTRA_AUTH_LISTENING_PORT", "8082", Some("LISTENING_PORT")),
            ("AAD_LISTENING_PORT", "8082", Some("LISTENING_PORT")),
            ("ENTRA_AUTH_PORT", "tcp", None),
            ("ENTRA_AUTH_PROXY_SERVICE_HOST", "proxy.example", None),
            ("ENTRA_AUTH_SERVICE_PORT", "https", None),
            ("ENTRA_AUTH_PORT_8081_TCP", "on", None),
            ("ENTRA_AUTH_PORT_X_UDP", "udp://10.0.0.1:53", None),
        ];
        for (name, value, meant) in settings {
            let warnings = warnings_of_unknown(&[(name, value)].into_iter().collect());
            assert_eq!(warnings.len(), 1, "{name}={value}");
            if let Some(meant) = meant {
                let expected = format!("did you mean {meant}?");
                assert!(warnings[0].ends_with(&expected), "{warnings:?}");
            }
        }
    }
}
