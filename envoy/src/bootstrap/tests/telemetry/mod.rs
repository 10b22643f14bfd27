//! Telemetry by OTLP: what is in the bootstrap for which exporters.

mod collectors;
mod signals;

use std::time::Duration;

use ::http::HeaderName;
use entra_auth_settings_input::{Authority, Scheme};
use entra_token_core::Secret;

use super::*;
use crate::settings::telemetry::{
    ExportHeader, Exporter, Metrics, Protocol, Sampler, Telemetry, Temporality, Traces,
};
use crate::settings::trust_store::TrustStore;

fn exporter(scheme: Scheme, host: &str, protocol: Protocol) -> Exporter {
    let Authority { host, port, .. } = Authority::parse(host).unwrap();
    Exporter {
        endpoint: Endpoint {
            scheme,
            host,
            port: port.unwrap(),
        },
        endpoint_variable: "OTEL_EXPORTER_OTLP_ENDPOINT",
        protocol,
        path: "/otlp/v1/x".into(),
        headers: Vec::new(),
        trust_store: None,
        timeout: Duration::from_secs(10),
    }
}

fn grpc() -> Exporter {
    exporter(Scheme::Http, "otel.example:4317", Protocol::Grpc)
}

fn metrics(exporter: Exporter) -> Metrics {
    Metrics {
        exporter,
        interval: Duration::from_millis(12_500),
        temporality: Temporality::Cumulative,
        old_names: true,
    }
}

fn traces(exporter: Exporter) -> Traces {
    Traces {
        exporter,
        sampler: Sampler::ParentBasedAlwaysOn,
    }
}

/// All signals to these collectors.
fn all(to: [Exporter; 3]) -> Telemetry {
    let [of_metrics, of_traces, of_logs] = to;
    Telemetry {
        resource: vec![("service.name".into(), "it's me".into())],
        metrics: Some(metrics(of_metrics)),
        traces: Some(traces(of_traces)),
        logs: Some(of_logs),
    }
}

fn settings_with(telemetry: Telemetry, more: &[(&str, &str)]) -> Settings {
    let directory = tempfile::tempdir().unwrap();
    let pairs: Vec<_> = LEAST.iter().chain(more).copied().collect();
    Settings {
        telemetry,
        ..read(&machine(directory.path()), &pairs)
    }
}

fn with_telemetry(telemetry: Telemetry) -> Value {
    rendered(&settings_with(telemetry, &[]))
}

fn listener<'a>(bootstrap: &'a Value, name: &str) -> &'a Value {
    let mut listeners = bootstrap["static_resources"]["listeners"]
        .as_array()
        .unwrap()
        .iter();
    listeners.find(|listener| listener["name"] == name).unwrap()
}

fn manager<'a>(bootstrap: &'a Value, name: &str) -> &'a Value {
    &listener(bootstrap, name)["filter_chains"][0]["filters"][0]["typed_config"]
}

/// The clusters to which the routes of the signals lead, in the order of the signals.
fn collectors<'a>(bootstrap: &'a Value) -> Vec<&'a str> {
    let routes = &manager(bootstrap, "telemetry")["route_config"]["virtual_hosts"][0]["routes"];
    let routes = routes.as_array().unwrap().iter();
    let cluster = |route: &'a Value| route["route"]["cluster"].as_str().unwrap();
    routes.map(cluster).collect()
}

#[test]
fn nothing_is_rendered_without_an_exporter() {
    let text = bootstrap(&[]).to_string();
    for trace in [
        "telemetry",
        "stats_sinks",
        "stats_flush",
        "tracing",
        "%TRACE_ID%",
        "aad_auth_proxy",
        "collector",
    ] {
        assert!(!text.contains(trace), "{trace}");
    }
}
