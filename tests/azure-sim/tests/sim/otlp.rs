//! Ingestion takes OTLP as protobuf, counts it, and refuses everything else.

use std::io::Write;

use crate::client::{Reply, call, get, started, token};
use azure_sim::{AZURE_MONITOR, AzureSim, Identity, ItemCounts, METRICS_PUBLISHER, RoleAssignment};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::Full;
use hyper::{Method, StatusCode};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics,
};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;

const TRACES: &str =
    "/dataCollectionRules/dcr-0123456789abcdef/streams/Microsoft-OTLP-Traces/otlp/v1/traces";
const METRICS: &str =
    "/datacollectionRules/dcr-0123456789abcdef/streams/Custom-Metrics-Otel/otlp/v1/metrics";
const LOGS: &str =
    "/dataCollectionRules/dcr-0123456789abcdef/streams/Microsoft-OTLP-Logs/otlp/v1/logs";
const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");

async fn send(
    sim: &AzureSim,
    method: Method,
    target: &str,
    token: &str,
    headers: &[(&str, &str)],
    body: Vec<u8>,
) -> Reply {
    let mut request = get(target)
        .method(method)
        .header("authorization", format!("Bearer {token}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(Bytes::from(body))).unwrap();
    call(sim.addresses().target_plain, request).await.unwrap()
}

fn spans(ids: &[u8]) -> Vec<u8> {
    let span = |id: &u8| Span {
        name: "ask".to_owned(),
        trace_id: vec![1; 16],
        span_id: vec![*id; 8],
        ..Span::default()
    };
    let scope = ScopeSpans {
        spans: ids.iter().map(span).collect(),
        ..ScopeSpans::default()
    };
    let resource = ResourceSpans {
        scope_spans: vec![scope],
        ..ResourceSpans::default()
    };
    ExportTraceServiceRequest {
        resource_spans: vec![resource],
    }
    .encode_to_vec()
}

fn gauge(times: &[u64]) -> Vec<u8> {
    let point = |time: &u64| NumberDataPoint {
        time_unix_nano: *time,
        ..NumberDataPoint::default()
    };
    let metric = Metric {
        name: "depth".to_owned(),
        data: Some(Data::Gauge(Gauge {
            data_points: times.iter().map(point).collect(),
        })),
        ..Metric::default()
    };
    let scope = ScopeMetrics {
        metrics: vec![metric],
        ..ScopeMetrics::default()
    };
    let resource = ResourceMetrics {
        scope_metrics: vec![scope],
        ..ResourceMetrics::default()
    };
    ExportMetricsServiceRequest {
        resource_metrics: vec![resource],
    }
    .encode_to_vec()
}

fn records(times: &[u64]) -> Vec<u8> {
    let record = |time: &u64| LogRecord {
        time_unix_nano: *time,
        ..LogRecord::default()
    };
    let scope = ScopeLogs {
        log_records: times.iter().map(record).collect(),
        ..ScopeLogs::default()
    };
    let resource = ResourceLogs {
        scope_logs: vec![scope],
        ..ResourceLogs::default()
    };
    ExportLogsServiceRequest {
        resource_logs: vec![resource],
    }
    .encode_to_vec()
}

fn zipped(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn counts(received: u64, distinct: u64) -> ItemCounts {
    ItemCounts {
        received,
        distinct,
        duplicate: received - distinct,
    }
}

#[tokio::test]
async fn each_signal_is_stored_plain_and_by_gzip_and_what_comes_twice_is_counted() {
    let sim = started().await;
    let token = token(&sim).await;
    let gzip = [PROTOBUF, ("content-encoding", "gzip")];
    for (target, headers, body) in [
        (TRACES, &gzip[..1], spans(&[1, 2])),
        (TRACES, &gzip, zipped(&spans(&[2, 3]))),
        (METRICS, &gzip, zipped(&gauge(&[1, 2, 3]))),
        (LOGS, &gzip[..1], records(&[1])),
    ] {
        let reply = send(&sim, Method::POST, target, &token, headers, body).await;
        assert_eq!(reply.status, StatusCode::OK, "{target}");
        assert_eq!(reply.headers["content-type"], "application/x-protobuf");
        assert!(reply.body.is_empty());
    }
    let stored = sim.state().target.otlp;
    assert_eq!(stored.spans, counts(4, 3));
    assert_eq!(stored.data_points, counts(3, 3));
    assert_eq!(stored.log_records, counts(1, 1));
    assert!(stored.names.iter().eq(["ask", "depth"]));
    assert_eq!(stored.malformed, 0);
}

#[tokio::test]
async fn what_is_not_otlp_for_that_stream_is_refused_and_nothing_is_stored() {
    let sim = started().await;
    let token = token(&sim).await;
    let good = spans(&[1]);
    let plain = [PROTOBUF];
    let zstd = [PROTOBUF, ("content-encoding", "zstd")];
    let gzip = [PROTOBUF, ("content-encoding", "gzip")];
    let json = [("content-type", "application/json")];
    let no_rule = TRACES.replace("dcr-", "x-");
    let of_logs = TRACES.replace("-Traces", "-Logs");
    let lower_case = TRACES.replace("OTLP", "otlp");
    let at = |target, headers, body| send(&sim, Method::POST, target, &token, headers, body);
    let replies = [
        (
            "a GET",
            405,
            send(&sim, Method::GET, TRACES, &token, &plain, good.clone()).await,
        ),
        ("no rule", 404, at(&no_rule, &plain, good.clone()).await),
        (
            "another signal",
            404,
            at(&of_logs, &plain, good.clone()).await,
        ),
        (
            "another case",
            404,
            at(&lower_case, &plain, good.clone()).await,
        ),
        ("no type", 415, at(TRACES, &[], good.clone()).await),
        ("JSON", 415, at(TRACES, &json, good.clone()).await),
        ("zstd", 415, at(TRACES, &zstd, good.clone()).await),
        ("no gzip", 400, at(TRACES, &gzip, good.clone()).await),
        (
            "cut",
            400,
            at(TRACES, &plain, good[..good.len() - 1].to_vec()).await,
        ),
    ];
    let count = replies.len() as u64;
    for (what, status, reply) in replies {
        assert_eq!(reply.status.as_u16(), status, "{what}");
        assert!(reply.json()["error"]["message"].is_string(), "{what}");
    }
    let stored = sim.state().target.otlp;
    assert_eq!((stored.spans, stored.malformed), (counts(0, 0), count));
}

#[tokio::test]
async fn a_token_for_another_audience_is_401_and_a_missing_role_403() {
    let sim = started().await;
    let machine = Identity::system_assigned();
    let other = sim.token(&machine, "https://vault.azure.net").unwrap();
    let reply = send(&sim, Method::POST, TRACES, &other, &[PROTOBUF], spans(&[1])).await;
    assert_eq!(reply.status, StatusCode::UNAUTHORIZED);

    let token = token(&sim).await;
    sim.remove_role(RoleAssignment {
        object_id: machine.object_id,
        audience: AZURE_MONITOR.to_owned(),
        role: METRICS_PUBLISHER.to_owned(),
    });
    let reply = send(&sim, Method::POST, TRACES, &token, &[PROTOBUF], spans(&[1])).await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN);
    assert_eq!(sim.state().target.otlp.spans, counts(0, 0));
}
