//! Warnings about variables that are set and have no effect, or not the one that one may think.

use super::endpoint::{GRPC_PORT, HTTP_PORT};
use super::exporter::{Destinations, Exporter, Protocol};
use super::signal::{
    CERTIFICATE, ENDPOINT, GRPC_ENDPOINT, HEADERS, INSECURE, PROTOCOL, Signal, TIMEOUT, selection,
};
use crate::settings::Reader;

/// What has an effect only if something is sent, besides the options of the exporter.
const OF_WHAT_IS_SENT: [&str; 6] = [
    "OTEL_SERVICE_NAME",
    "OTEL_RESOURCE_ATTRIBUTES",
    "OTEL_TRACES_SAMPLER",
    "OTEL_TRACES_SAMPLER_ARG",
    "OTEL_METRIC_EXPORT_INTERVAL",
    "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
];

impl Reader<'_> {
    /// Whether anything says where a signal goes.
    pub(super) fn has_endpoint(&self) -> bool {
        self.has_standard_endpoint() || self.is_set(GRPC_ENDPOINT)
    }

    /// Whether a variable of OpenTelemetry says so.
    pub(super) fn has_standard_endpoint(&self) -> bool {
        ENDPOINT.all().any(|name| self.is_set(name))
    }

    fn is_set(&self, name: &str) -> bool {
        self.variables.value(name).is_some()
    }

    /// Without an endpoint nothing is sent, whatever else is set.
    pub(super) fn warn_of_no_endpoint(&mut self) {
        let options = [PROTOCOL, HEADERS, CERTIFICATE, TIMEOUT, INSECURE];
        let options = options.iter().flat_map(|option| option.all());
        let selections = Signal::ALL.map(selection).into_iter();
        let selections = selections.filter(|name| {
            let selection = self.variables.value(name).unwrap_or_default();
            !selection.eq_ignore_ascii_case("none")
        });
        let names: Vec<&str> = OF_WHAT_IS_SENT
            .into_iter()
            .chain(selections)
            .chain(options)
            .filter(|name| self.is_set(name))
            .collect();
        if let Some((names, is_one)) = listed(&names) {
            let have = if is_one { "has" } else { "have" };
            self.warnings.push(format!(
                "{names} {have} no effect: nothing is sent by OTLP without an endpoint \
                 ({} or {GRPC_ENDPOINT})",
                ENDPOINT.general
            ));
        }
    }

    /// Says which of the variables that are set do not count.
    pub(super) fn warn_of_ignored(&mut self, destinations: &Destinations) {
        let sent: Vec<(Signal, &Exporter)> = Signal::ALL
            .into_iter()
            .filter_map(|signal| Some((signal, destinations.exporter(signal)?)))
            .collect();
        if self.is_set(GRPC_ENDPOINT) {
            let (of_it, others): (Vec<_>, Vec<_>) = sent
                .iter()
                .copied()
                .partition(|(_, exporter)| exporter.endpoint_variable == GRPC_ENDPOINT);
            for (signal, exporter) in others {
                self.warnings.push(format!(
                    "{GRPC_ENDPOINT} is ignored for {}: {} wins over it",
                    signal.as_str(),
                    exporter.endpoint_variable
                ));
            }
            for (signal, _) in of_it {
                let own = [PROTOCOL.of(signal), PROTOCOL.general];
                let protocol = own.into_iter().find(|name| self.is_set(name));
                if let Some(name) = protocol
                    && self
                        .variables
                        .value(name)
                        .is_some_and(|it| !it.eq_ignore_ascii_case(Protocol::Grpc.as_str()))
                {
                    self.warn_once(format!(
                        "{name} has no effect on {GRPC_ENDPOINT}, which is reached by gRPC"
                    ));
                }
            }
        }
        let options = [ENDPOINT, PROTOCOL, HEADERS, CERTIFICATE, TIMEOUT, INSECURE];
        let of_logs = options.map(|option| option.of(Signal::Logs));
        let of_logs: Vec<&str> = of_logs.into_iter().filter(|it| self.is_set(it)).collect();
        let selection = selection(Signal::Logs);
        if let Some((names, is_one)) = listed(&of_logs).filter(|_| !self.is_set(selection)) {
            let have = if is_one { "has" } else { "have" };
            self.warnings.push(format!(
                "{names} {have} no effect: access logs are sent only with {selection}=otlp"
            ));
        }
        for (signal, exporter) in sent {
            self.warn_of_port(signal, exporter);
            self.warn_of_no_scheme(signal, exporter);
        }
    }

    /// The default protocol is not the one that port 4317 is for, which many find out by the failures.
    fn warn_of_port(&mut self, signal: Signal, exporter: &Exporter) {
        let other = match (exporter.protocol, exporter.endpoint.port) {
            (Protocol::HttpProtobuf, GRPC_PORT) => Protocol::Grpc,
            (Protocol::Grpc, HTTP_PORT) => Protocol::HttpProtobuf,
            _ => return,
        };
        let is_own = exporter.endpoint_variable == ENDPOINT.of(signal);
        let protocol = if is_own {
            PROTOCOL.of(signal)
        } else {
            PROTOCOL.general
        };
        self.warn_once(format!(
            "{} names port {}, which is usually for {}, but the protocol is {}; if exports fail, \
             set {protocol}={}",
            exporter.endpoint_variable,
            exporter.endpoint.port,
            other.as_str(),
            exporter.protocol.as_str(),
            other.as_str()
        ));
    }

    /// The specification's default for gRPC without a scheme is TLS, which surprises.
    fn warn_of_no_scheme(&mut self, signal: Signal, exporter: &Exporter) {
        let variable = exporter.endpoint_variable;
        let value = self.variables.value(variable).unwrap_or_default();
        let is_said = [INSECURE.general, INSECURE.of(signal)]
            .iter()
            .any(|name| self.is_set(name));
        if variable != GRPC_ENDPOINT && !value.contains("://") && !is_said {
            self.warn_once(format!(
                "{variable} has no scheme, and is reached by TLS, as OpenTelemetry specifies; write \
                 http:// before it if the collector has no TLS"
            ));
        }
    }

    fn warn_once(&mut self, warning: String) {
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }
}

/// Names as the subject of a sentence, and whether it is one; `None` for none.
pub(super) fn listed(names: &[&str]) -> Option<(String, bool)> {
    match names {
        [] => None,
        [one] => Some(((*one).to_owned(), true)),
        [first @ .., last] => Some((format!("{} and {last}", first.join(", ")), false)),
    }
}
