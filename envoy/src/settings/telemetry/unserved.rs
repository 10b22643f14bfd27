//! The variables of OpenTelemetry's specification that are known and have no effect here. Each kind that
//! is set is one warning.

use super::notices::listed;
use super::signal::{CLIENT_CERTIFICATE, CLIENT_KEY, COMPRESSION};
use crate::settings::Reader;

/// Variables that have no effect for the same reason.
struct Unserved {
    /// Whether a variable of this name is one of them.
    is: fn(&str) -> bool,
    /// Whether a value, in lower case, asks for what is done anyway.
    is_done: fn(&str) -> bool,
    /// What follows for who has set them.
    consequence: &'static str,
}

const UNSERVED: [Unserved; 9] = [
    Unserved {
        is: |name| COMPRESSION.all().any(|it| it == name),
        is_done: |value| value == "none",
        consequence: "exports are not compressed",
    },
    Unserved {
        is: |name| {
            let mut all = CLIENT_KEY.all().chain(CLIENT_CERTIFICATE.all());
            all.any(|it| it == name)
        },
        is_done: never,
        consequence: "no client certificate is shown to a collector",
    },
    Unserved {
        is: |name| name == "OTEL_PROPAGATORS",
        is_done: |value| {
            let mut names = value.split(',').map(str::trim);
            names.all(|it| matches!(it, "" | "tracecontext" | "baggage"))
        },
        consequence: "a trace is continued by traceparent and tracestate, and other headers are \
                      passed on as they are",
    },
    Unserved {
        is: |name| {
            let batches = ["OTEL_BSP_", "OTEL_BLRP_"];
            name == "OTEL_METRIC_EXPORT_TIMEOUT" || batches.iter().any(|it| name.starts_with(it))
        },
        is_done: never,
        consequence: "Envoy decides what it sends at once; OTEL_EXPORTER_OTLP_TIMEOUT limits an export",
    },
    Unserved {
        is: |name| {
            let of = ["ATTRIBUTE_", "SPAN_", "EVENT_", "LINK_", "LOGRECORD_"];
            let mut of = of.iter();
            name.strip_prefix("OTEL_").is_some_and(|rest| {
                rest.ends_with("_LIMIT") && of.any(|prefix| rest.starts_with(prefix))
            })
        },
        is_done: never,
        consequence: "what Envoy sends has few attributes and no events",
    },
    Unserved {
        is: |name| {
            matches!(
                name,
                "OTEL_METRICS_EXEMPLAR_FILTER"
                    | "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION"
            )
        },
        is_done: |value| matches!(value, "always_off" | "explicit_bucket_histogram"),
        consequence: "histograms have explicit buckets and no exemplars",
    },
    Unserved {
        is: |name| {
            let others = ["ZIPKIN_", "JAEGER_", "PROMETHEUS_"];
            let rest = name.strip_prefix("OTEL_EXPORTER_");
            rest.is_some_and(|rest| others.iter().any(|it| rest.starts_with(it)))
        },
        is_done: never,
        consequence: "telemetry is sent by OTLP only, and /metrics is on STATUS_PORT",
    },
    Unserved {
        is: |name| matches!(name, "OTEL_CONFIG_FILE" | "OTEL_EXPERIMENTAL_CONFIG_FILE"),
        is_done: never,
        consequence: "the file is not read, and the variables count",
    },
    Unserved {
        is: |name| name == "OTEL_LOG_LEVEL",
        is_done: never,
        consequence: "LOG_LEVEL says what Envoy logs",
    },
];

fn never(_: &str) -> bool {
    false
}

/// Whether a variable is one of the specification's that are not served.
pub(in crate::settings) fn is_standard(name: &str) -> bool {
    UNSERVED.iter().any(|kind| (kind.is)(name))
}

impl Reader<'_> {
    /// One warning for each kind that is set.
    pub(super) fn warn_of_unserved(&mut self) {
        for kind in &UNSERVED {
            let names: Vec<&str> = self
                .variables
                .names()
                .filter(|name| (kind.is)(name))
                .filter(|name| {
                    let value = self.variables.value(name).unwrap_or_default();
                    !(kind.is_done)(&value.to_ascii_lowercase())
                })
                .collect();
            if let Some((names, is_one)) = listed(&names) {
                let are = if is_one { "is" } else { "are" };
                self.warnings
                    .push(format!("{names} {are} not served: {}", kind.consequence));
            }
        }
    }
}
