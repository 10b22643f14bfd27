//! A real OpenTelemetry Collector gets all three signals, and hands them on.

use azure_sim::Options;
use e2e::azure::{Azure, ECHO};
use e2e::otlp::{Receiver, SpanKind};
use e2e::{Collector, eventually, free_port};

use super::{PATIENCE, of_trace, send};

#[test]
#[cfg_attr(
    not(feature = "collector"),
    ignore = "needs an OpenTelemetry Collector, which Go builds: `make test-all` runs it"
)]
fn a_real_collector_takes_all_three_signals_by_grpc_and_by_http() {
    let azure = Azure::start(Options::default());
    let receiver = Receiver::start();
    let (grpc, http) = (free_port(), free_port());
    let configuration = format!(
        "receivers:
  otlp:
    protocols:
      grpc: {{ endpoint: localhost:{grpc} }}
      http: {{ endpoint: localhost:{http} }}
exporters:
  otlp_http: {{ endpoint: {} }}
service:
  pipelines:
    metrics: {{ receivers: [otlp], exporters: [otlp_http] }}
    traces: {{ receivers: [otlp], exporters: [otlp_http] }}
    logs: {{ receivers: [otlp], exporters: [otlp_http] }}
",
        receiver.url()
    );
    let _collector = Collector::start(&configuration, http);
    // One signal by gRPC, the others by HTTP: one start shows both.
    let proxy = azure
        .proxy()
        .set(
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            format!("http://localhost:{http}"),
        )
        .set(
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
            format!("http://localhost:{grpc}"),
        )
        .set("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "grpc")
        .set("OTEL_METRIC_EXPORT_INTERVAL", "1000")
        .set("OTEL_LOGS_EXPORTER", "otlp")
        .start();
    proxy.wait_until_ready();
    for _ in 0..3 {
        assert_eq!(send(&proxy, "GET", ECHO, true).status, 200);
    }
    eventually(PATIENCE, "the collector hands everything on", || {
        let spans = of_trace(&receiver);
        let servers = spans.iter().filter(|span| span.kind == SpanKind::Server);
        let counted = receiver
            .points()
            .iter()
            .any(|it| it.name == "entra_auth_requests_total");
        match (servers.count(), receiver.records().len(), counted) {
            (3, 3, true) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
}
