//! OpenTelemetry, by OTLP over HTTP:
//! `POST /dataCollectionRules/{dcr}/streams/{stream}/otlp/v1/{signal}`, as in Microsoft's "Ingest OTLP
//! data into Azure Monitor with OTel Collector"
//! (learn.microsoft.com/azure/azure-monitor/containers/opentelemetry-protocol-ingestion). Azure
//! takes protobuf, plain or by gzip, and no JSON.

use std::collections::{BTreeSet, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Read;

use bytes::Bytes;
use flate2::read::GzDecoder;
use hyper::body::Incoming;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName};
use hyper::{HeaderMap, Request, Response, StatusCode};
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;

use super::{Refusal, check_method, check_rule, check_stream, checked};
use crate::cloud::{Cloud, lock};
use crate::http::{Body, answer, full};
use crate::report::{ItemCounts, OtlpReport};

/// The media type of OTLP's binary form.
const PROTOBUF: &str = "application/x-protobuf";
/// The most that a body may take when decompressed, in bytes.
const MAX_DECOMPRESSED: u64 = 64 << 20;

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Signal {
    Traces,
    Metrics,
    Logs,
}

impl Signal {
    /// The signal whose path ends in this name.
    fn named(name: &str) -> Option<Self> {
        match name {
            "traces" => Some(Self::Traces),
            "metrics" => Some(Self::Metrics),
            "logs" => Some(Self::Logs),
            _ => None,
        }
    }

    /// The stream of a data collection rule that takes it.
    fn stream(self) -> &'static str {
        match self {
            Self::Traces => "Microsoft-OTLP-Traces",
            Self::Metrics => "Custom-Metrics-Otel",
            Self::Logs => "Microsoft-OTLP-Logs",
        }
    }
}

/// Where an export goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Route {
    rule: String,
    stream: String,
    signal: Signal,
}

/// The route that a path names, if it is one of OTLP. Microsoft writes the first part both as
/// `dataCollectionRules` and as `datacollectionRules`; the rest is compared as sent.
pub(super) fn route(path: &str) -> Option<Route> {
    let (collection, rest) = path.strip_prefix('/')?.split_once('/')?;
    if !collection.eq_ignore_ascii_case("dataCollectionRules") {
        return None;
    }
    let (rule, rest) = rest.split_once("/streams/")?;
    let (stream, signal) = rest.split_once("/otlp/v1/")?;
    Some(Route {
        rule: rule.to_owned(),
        stream: stream.to_owned(),
        signal: Signal::named(signal)?,
    })
}

/// Checks, decodes and stores an authorised export.
pub(super) async fn take(
    cloud: &Cloud,
    request: Request<Incoming>,
    route: &Route,
) -> Response<Body> {
    let read = read(request, route).await;
    let mut store = lock(&cloud.target.otlp);
    match read.and_then(|body| store.add(route.signal, body)) {
        Ok(confirmation) => answer(StatusCode::OK, PROTOBUF, full(confirmation)),
        Err(refusal) => {
            store.malformed += 1;
            drop(store);
            refusal.answer()
        }
    }
}

async fn read(request: Request<Incoming>, route: &Route) -> Result<Bytes, Refusal> {
    let head = check_head(&request, route);
    let (headers, body) = checked(request, head).await?;
    match text(&headers, &CONTENT_ENCODING) {
        "" | "identity" => Ok(body),
        "gzip" => unzipped(&body),
        other => Err(Refusal::unsupported_media_type(format!(
            "Content-Encoding must be gzip, found '{other}'"
        ))),
    }
}

fn check_head(request: &Request<Incoming>, route: &Route) -> Result<(), Refusal> {
    check_method(request)?;
    check_rule(&route.rule)?;
    check_stream(&route.stream, route.signal.stream())?;
    match text(request.headers(), &CONTENT_TYPE) {
        PROTOBUF => Ok(()),
        other => Err(Refusal::unsupported_media_type(format!(
            "Content-Type must be {PROTOBUF}, found '{other}'"
        ))),
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> &'a str {
    let value = headers.get(name);
    value
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

fn unzipped(body: &[u8]) -> Result<Bytes, Refusal> {
    let mut plain = Vec::new();
    let mut limited = GzDecoder::new(body).take(MAX_DECOMPRESSED + 1);
    match limited.read_to_end(&mut plain) {
        Ok(length) if length as u64 <= MAX_DECOMPRESSED => Ok(plain.into()),
        Ok(_) => Err(Refusal::bad_request(format!(
            "gzip: more than {MAX_DECOMPRESSED} bytes are too many"
        ))),
        Err(error) => Err(Refusal::bad_request(format!("gzip: {error}"))),
    }
}

/// What was exported so far.
#[derive(Debug, Default)]
pub(crate) struct OtlpStore {
    spans: Items,
    data_points: Items,
    log_records: Items,
    names: BTreeSet<String>,
    malformed: u64,
}

/// Spans, data points or log records.
#[derive(Debug, Default)]
struct Items {
    received: u64,
    distinct: HashSet<u64>,
}

impl Items {
    /// Adds one, which is known by its content and by what it belongs to.
    fn add(&mut self, resource: &Resource, name: &str, item: &[u8]) {
        let mut hasher = DefaultHasher::new();
        (resource.encode_to_vec(), name, item).hash(&mut hasher);
        self.received += 1;
        self.distinct.insert(hasher.finish());
    }

    fn report(&self) -> ItemCounts {
        let distinct = self.distinct.len() as u64;
        ItemCounts {
            received: self.received,
            distinct,
            duplicate: self.received - distinct,
        }
    }
}

impl OtlpStore {
    pub(crate) fn report(&self) -> OtlpReport {
        OtlpReport {
            spans: self.spans.report(),
            data_points: self.data_points.report(),
            log_records: self.log_records.report(),
            names: self.names.clone(),
            malformed: self.malformed,
        }
    }

    /// Adds what a body holds, and gives the answer that confirms it.
    fn add(&mut self, signal: Signal, body: Bytes) -> Result<Vec<u8>, Refusal> {
        let problem =
            |error: prost::DecodeError| Refusal::bad_request(format!("protobuf: {error}"));
        Ok(match signal {
            Signal::Traces => {
                self.add_traces(&ExportTraceServiceRequest::decode(body).map_err(problem)?);
                ExportTraceServiceResponse::default().encode_to_vec()
            }
            Signal::Metrics => {
                self.add_metrics(&ExportMetricsServiceRequest::decode(body).map_err(problem)?);
                ExportMetricsServiceResponse::default().encode_to_vec()
            }
            Signal::Logs => {
                self.add_logs(&ExportLogsServiceRequest::decode(body).map_err(problem)?);
                ExportLogsServiceResponse::default().encode_to_vec()
            }
        })
    }

    fn add_traces(&mut self, export: &ExportTraceServiceRequest) {
        for group in &export.resource_spans {
            let resource = group.resource.clone().unwrap_or_default();
            for span in group.scope_spans.iter().flat_map(|scope| &scope.spans) {
                self.names.insert(span.name.clone());
                self.spans.add(&resource, &span.name, &span.encode_to_vec());
            }
        }
    }

    fn add_metrics(&mut self, export: &ExportMetricsServiceRequest) {
        for group in &export.resource_metrics {
            let resource = group.resource.clone().unwrap_or_default();
            for metric in group.scope_metrics.iter().flat_map(|scope| &scope.metrics) {
                self.names.insert(metric.name.clone());
                for point in metric.data.iter().flat_map(points) {
                    self.data_points.add(&resource, &metric.name, &point);
                }
            }
        }
    }

    fn add_logs(&mut self, export: &ExportLogsServiceRequest) {
        for group in &export.resource_logs {
            let resource = group.resource.clone().unwrap_or_default();
            for record in group.scope_logs.iter().flat_map(|scope| &scope.log_records) {
                self.log_records.add(&resource, "", &record.encode_to_vec());
            }
        }
    }
}

/// The data points of a metric, encoded.
fn points(data: &Data) -> Vec<Vec<u8>> {
    fn encoded(points: &[impl Message]) -> Vec<Vec<u8>> {
        points.iter().map(Message::encode_to_vec).collect()
    }
    match data {
        Data::Gauge(gauge) => encoded(&gauge.data_points),
        Data::Sum(sum) => encoded(&sum.data_points),
        Data::Histogram(histogram) => encoded(&histogram.data_points),
        Data::ExponentialHistogram(histogram) => encoded(&histogram.data_points),
        Data::Summary(summary) => encoded(&summary.data_points),
    }
}
