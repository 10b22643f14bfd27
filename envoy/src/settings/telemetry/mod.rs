//! Telemetry by OTLP: which signals Envoy exports, where to and how. The variables are the standard ones
//! of OpenTelemetry
//! (<https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>,
//! <https://opentelemetry.io/docs/specs/otel/protocol/exporter/>), aad-auth-proxy's `OTEL_GRPC_ENDPOINT`,
//! and our own `OLD_METRIC_NAMES`. They describe the process, so they are read from the environment also
//! where a configuration file is used.
//!
//! Two things differ from the specification. Nothing is sent unless an endpoint is set, because a proxy
//! must not send by default. A value that cannot be used is an error, as for every other setting; the
//! specification, written for libraries, ignores it with a warning.

mod endpoint;
mod exporter;
mod headers;
mod list;
mod metrics;
mod notices;
mod resource;
mod sampler;
pub mod signal;
mod unserved;

use std::time::Duration;

use entra_auth_settings_input::{Endpoint, Scheme};

use super::Reader;
use super::trust_store::TrustStore;
pub use exporter::{Exporter, Protocol};
pub use headers::ExportHeader;
pub use metrics::{Metrics, Temporality};
pub use sampler::Sampler;
use signal::Signal;
pub(super) use unserved::is_standard;

/// What is sent by OTLP, and where. The default sends nothing.
#[derive(Debug, Clone, Default)]
pub struct Telemetry {
    /// The attributes of the resource: `service.name` first, then those of `OTEL_RESOURCE_ATTRIBUTES`, and
    /// `service.instance.id`. Empty if nothing is sent.
    pub resource: Vec<(String, String)>,
    /// Metrics, if they are sent.
    pub metrics: Option<Metrics>,
    /// Traces, if they are sent.
    pub traces: Option<Traces>,
    /// Where access logs are sent, if they are.
    pub logs: Option<Exporter>,
}

/// How traces are sent.
#[derive(Debug, Clone)]
pub struct Traces {
    /// Where they go.
    pub exporter: Exporter,
    /// Which of them are recorded.
    pub sampler: Sampler,
}

impl Telemetry {
    /// The exporters that are in use, with their signals.
    pub fn exporters(&self) -> impl Iterator<Item = (Signal, &Exporter)> {
        let metrics = self.metrics.as_ref().map(|it| &it.exporter);
        let traces = self.traces.as_ref().map(|it| &it.exporter);
        let all = [
            (Signal::Metrics, metrics),
            (Signal::Traces, traces),
            (Signal::Logs, self.logs.as_ref()),
        ];
        all.into_iter()
            .filter_map(|(signal, exporter)| Some((signal, exporter?)))
    }

    /// Each collector's endpoint, with the variable that names it.
    pub(super) fn endpoints(&self) -> impl Iterator<Item = (&'static str, &Endpoint)> {
        self.exporters()
            .map(|(_, exporter)| (exporter.endpoint_variable, &exporter.endpoint))
    }

    /// Whether a collector is reached by TLS and `_CERTIFICATE` names no authorities for it.
    pub(super) fn needs_trust_store(&self) -> bool {
        self.exporters().any(|(_, exporter)| exporter.lacks_trust())
    }

    /// The same, with these authorities for the collectors that have none of their own.
    pub(super) fn trusting(mut self, trust_store: Option<&TrustStore>) -> Self {
        let metrics = self.metrics.iter_mut().map(|it| &mut it.exporter);
        let traces = self.traces.iter_mut().map(|it| &mut it.exporter);
        for exporter in metrics.chain(traces).chain(&mut self.logs) {
            if exporter.lacks_trust() {
                exporter.trust_store = trust_store.cloned();
            }
        }
        self
    }
}

impl Exporter {
    fn lacks_trust(&self) -> bool {
        self.endpoint.scheme == Scheme::Https && self.trust_store.is_none()
    }
}

impl Reader<'_> {
    /// What the environment says about telemetry. Mistakes are noted as errors. `drain` is how long Envoy
    /// goes on after SIGTERM, and `instance` tells this proxy from others.
    pub(super) fn telemetry(&mut self, drain: Duration, instance: Option<String>) -> Telemetry {
        let is_disabled = self.boolean("OTEL_SDK_DISABLED").unwrap_or(false);
        // Everything is read, so that all mistakes are reported, also those that have no effect now.
        let before = self.warnings.len();
        let destinations = self.destinations();
        let resource = self.resource(instance);
        let sampler = self.sampler();
        let interval = self.metric_interval(drain);
        let temporality = self.temporality();
        let old_names = self.old_metric_names();
        if is_disabled {
            self.warnings.truncate(before);
            return Telemetry::default();
        }
        self.warn_of_unserved();
        if !self.has_endpoint() {
            self.warn_of_no_endpoint();
            return Telemetry::default();
        }
        self.warn_of_ignored(&destinations);
        let metrics = destinations.exporter(Signal::Metrics).cloned();
        let traces = destinations.exporter(Signal::Traces).cloned().zip(sampler);
        if metrics.is_some() {
            self.warn_of_interval(interval, drain);
        }
        if traces.is_some() {
            self.tell_cost_of_traces();
        }
        let telemetry = Telemetry {
            metrics: metrics.map(|exporter| Metrics {
                exporter,
                interval: interval.value,
                temporality,
                old_names,
            }),
            traces: traces.map(|(exporter, sampler)| Traces { exporter, sampler }),
            logs: destinations.exporter(Signal::Logs).cloned(),
            resource,
        };
        match telemetry.exporters().count() {
            0 => Telemetry::default(),
            _ => telemetry,
        }
    }

    /// A variable of the specification's type Boolean, of which only `true`, in any case, is true.
    fn boolean(&mut self, name: &'static str) -> Option<bool> {
        let value = self.variables.value(name)?;
        let is_true = value.eq_ignore_ascii_case("true");
        if !is_true && !value.eq_ignore_ascii_case("false") {
            self.warnings.push(format!(
                "{name} is neither true nor false, and counts as false, as OpenTelemetry specifies"
            ));
        }
        Some(is_true)
    }
}
