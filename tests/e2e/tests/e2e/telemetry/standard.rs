//! With the standard's variables: gRPC and http/protobuf by TLS, headers, the access log, counters as
//! deltas.

use std::fs;

use azure_sim::Options;
use e2e::azure::{Azure, ECHO};
use e2e::credentials::Authority;
use e2e::eventually;
use e2e::otlp::{Protocol, Receiver, Signal, SpanKind};

use super::{PATIENCE, TRACE, number, of_trace, send};

/// Values of `OTEL_EXPORTER_OTLP_HEADERS`.
const KEY: &str = "Zx8Q~key-of-the-tests_a.b";

#[test]
fn all_three_signals_are_sent_by_tls_with_headers_that_nobody_sees() {
    let azure = Azure::start(Options::default());
    let authority = Authority::new("collectors");
    let receiver = Receiver::start_tls(&authority);
    let settings = azure
        .proxy()
        .set("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url())
        .set("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", receiver.url())
        .set("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "grpc")
        .set("OTEL_EXPORTER_OTLP_CERTIFICATE", authority.file())
        .set(
            "OTEL_EXPORTER_OTLP_HEADERS",
            format!("api-key={KEY},x-tenant=a%2Cb"),
        )
        .set("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta")
        .set(
            "OTEL_RESOURCE_ATTRIBUTES",
            "service.name=shop,deployment.environment=a%20b",
        )
        .set("OTEL_METRIC_EXPORT_INTERVAL", "1000")
        .set("OTEL_LOGS_EXPORTER", "otlp")
        .set("OLD_METRIC_NAMES", "off")
        .set("LOG_LEVEL", "debug");
    let rendered = settings.command("render").output().expect("a launcher");
    assert!(rendered.status.success());
    let rendered = [rendered.stdout, rendered.stderr].concat();
    assert!(
        !String::from_utf8_lossy(&rendered).contains(KEY),
        "in what render prints"
    );

    let proxy = settings.start();
    proxy.wait_until_ready();
    for _ in 0..4 {
        assert_eq!(send(&proxy, "GET", ECHO, true).status, 200);
    }
    let requests = |is_authorized: &str| {
        let points = receiver.points().into_iter().filter(|point| {
            point.name == "entra_auth_requests_total"
                && point
                    .attributes
                    .get("outcome")
                    .is_some_and(|it| it == is_authorized)
        });
        points.map(|point| number(&point.value)).sum::<f64>()
    };
    eventually(
        PATIENCE,
        "four requests, each counted in one delta",
        || match requests("authorized") {
            4.0 => Ok(()),
            other => Err(format!("{other} and not 4")),
        },
    );
    let records = eventually(PATIENCE, "four log records and spans", || {
        let (records, spans) = (receiver.records(), of_trace(&receiver));
        let servers = spans.iter().filter(|span| span.kind == SpanKind::Server);
        match (records.len(), servers.count()) {
            (4, 4) => Ok(records),
            other => Err(format!("{other:?}")),
        }
    });
    for record in records {
        assert_eq!(record.trace_id, TRACE);
        let span = of_trace(&receiver)
            .into_iter()
            .find(|span| span.span_id == record.span_id);
        assert!(
            span.is_some_and(|span| span.kind == SpanKind::Server),
            "{record:?}"
        );
        assert_eq!(record.attributes["path"], ECHO);
        assert_eq!(record.attributes["status"], "200");
        assert_eq!(record.resource["service.name"], "shop");
    }
    let points = receiver.points();
    assert!(
        points
            .iter()
            .all(|point| !point.name.starts_with("aad_auth_proxy_"))
    );
    assert!(points.iter().any(|point| point.is_delta));
    for resource in points.into_iter().map(|point| point.resource) {
        assert_eq!(resource["deployment.environment"], "a b");
    }
    let exported = || {
        let exports = receiver.exports().into_iter();
        let metrics = exports.filter(|export| export.signal() == Signal::Metrics);
        metrics.count()
    };
    let before = exported();
    eventually(PATIENCE, "two more exports of metrics", || {
        match exported() - before {
            2.. => Ok(()),
            more => Err(format!("{more}")),
        }
    });
    // A cumulative counter would have come again and again.
    let counted = requests("authorized");
    assert!((counted - 4.0).abs() < 0.1, "{counted}");
    let exports = receiver.exports();
    for signal in [Signal::Metrics, Signal::Traces, Signal::Logs] {
        assert!(
            exports.iter().any(|export| export.signal() == signal),
            "{signal:?}"
        );
    }
    for export in exports {
        let expected = match export.signal() {
            Signal::Metrics => Protocol::Grpc,
            Signal::Traces | Signal::Logs => Protocol::HttpProtobuf,
        };
        assert_eq!(export.protocol, expected);
        assert_eq!(export.header("api-key"), Some(KEY));
        assert_eq!(export.header("x-tenant"), Some("a,b"));
    }
    let shown = proxy.shows_no_secret();
    // Envoy itself has it from its environment.
    let places = shown.places_with(KEY);
    let places: Vec<_> = places
        .filter(|place| !place.starts_with("environ"))
        .collect();
    assert!(places.is_empty(), "{places:?}");
    let bootstrap = fs::read_dir(proxy.run_folder()).expect("a folder");
    for file in bootstrap.flatten() {
        let text = fs::read(file.path()).unwrap_or_default();
        assert!(
            !String::from_utf8_lossy(&text).contains(KEY),
            "{:?}",
            file.path()
        );
    }
    let exported = format!("{:?}", receiver.exports());
    assert!(azure.secrets_in(&exported).is_empty());
}
