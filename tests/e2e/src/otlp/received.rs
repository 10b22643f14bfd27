//! What a receiver has kept, in a form that tests can compare.

use std::collections::BTreeMap;
use std::fmt::Write;

use hyper::HeaderMap;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, HistogramDataPoint, Metric, NumberDataPoint,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
pub use opentelemetry_proto::tonic::trace::v1::span::SpanKind;

/// Attributes by name; values that are no text are written as text.
pub type Attributes = BTreeMap<String, String>;

/// What was exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Signal {
    /// Metrics.
    Metrics,
    /// Traces.
    Traces,
    /// Logs.
    Logs,
}

/// How it was exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// gRPC.
    Grpc,
    /// A POST of protobuf to a path.
    HttpProtobuf,
}

/// One request to export.
#[derive(Debug, Clone)]
pub struct Export {
    /// How it came.
    pub protocol: Protocol,
    /// Its headers.
    pub headers: HeaderMap,
    /// What it holds.
    pub content: Content,
}

/// What a request holds.
#[derive(Debug, Clone)]
pub enum Content {
    /// Metrics.
    Metrics(ExportMetricsServiceRequest),
    /// Traces.
    Traces(ExportTraceServiceRequest),
    /// Logs.
    Logs(ExportLogsServiceRequest),
}

/// A data point of a metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// The metric's name.
    pub name: String,
    /// The metric's unit.
    pub unit: String,
    /// The point's attributes.
    pub attributes: Attributes,
    /// The resource's attributes.
    pub resource: Attributes,
    /// Whether sums start anew at each export.
    pub is_delta: bool,
    /// Its value.
    pub value: Value,
}

/// The value of a data point.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Of a counter.
    Sum(f64),
    /// Of a gauge.
    Gauge(f64),
    /// Of a histogram.
    Histogram {
        /// How many were observed.
        count: u64,
        /// Their sum.
        sum: f64,
    },
}

/// A span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Its name.
    pub name: String,
    /// Server, client, …
    pub kind: SpanKind,
    /// The trace's id, in hex.
    pub trace_id: String,
    /// Its own id, in hex.
    pub span_id: String,
    /// The id of the span above, in hex; empty where there is none.
    pub parent: String,
    /// Its attributes.
    pub attributes: Attributes,
    /// The resource's attributes.
    pub resource: Attributes,
    /// Whether its status is an error.
    pub is_error: bool,
}

/// A log record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its body, as text.
    pub body: String,
    /// Its attributes.
    pub attributes: Attributes,
    /// The resource's attributes.
    pub resource: Attributes,
    /// The trace that it belongs to, in hex; empty where there is none.
    pub trace_id: String,
    /// The span that it belongs to, in hex.
    pub span_id: String,
}

impl Export {
    /// What it is about.
    #[must_use]
    pub fn signal(&self) -> Signal {
        match self.content {
            Content::Metrics(_) => Signal::Metrics,
            Content::Traces(_) => Signal::Traces,
            Content::Logs(_) => Signal::Logs,
        }
    }

    /// A header's value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(super) fn points(&self) -> Vec<Point> {
        let Content::Metrics(export) = &self.content else {
            return Vec::new();
        };
        let mut found = Vec::new();
        for group in &export.resource_metrics {
            let resource = of_resource(group.resource.as_ref());
            let metrics = group.scope_metrics.iter().flat_map(|scope| &scope.metrics);
            found.extend(metrics.flat_map(|metric| points_of(metric, &resource)));
        }
        found
    }

    pub(super) fn spans(&self) -> Vec<Span> {
        let Content::Traces(export) = &self.content else {
            return Vec::new();
        };
        let mut found = Vec::new();
        for group in &export.resource_spans {
            let resource = of_resource(group.resource.as_ref());
            let spans = group.scope_spans.iter().flat_map(|scope| &scope.spans);
            found.extend(spans.map(|span| Span {
                name: span.name.clone(),
                kind: span.kind(),
                trace_id: hex(&span.trace_id),
                span_id: hex(&span.span_id),
                parent: hex(&span.parent_span_id),
                attributes: attributes(&span.attributes),
                resource: resource.clone(),
                is_error: span.status.as_ref().is_some_and(|status| status.code == 2),
            }));
        }
        found
    }

    pub(super) fn records(&self) -> Vec<Record> {
        let Content::Logs(export) = &self.content else {
            return Vec::new();
        };
        let mut found = Vec::new();
        for group in &export.resource_logs {
            let resource = of_resource(group.resource.as_ref());
            let records = group.scope_logs.iter().flat_map(|scope| &scope.log_records);
            found.extend(records.map(|record| Record {
                body: text(record.body.as_ref()),
                attributes: attributes(&record.attributes),
                resource: resource.clone(),
                trace_id: hex(&record.trace_id),
                span_id: hex(&record.span_id),
            }));
        }
        found
    }
}

fn points_of(metric: &Metric, resource: &Attributes) -> Vec<Point> {
    let point = |attributes_: &[KeyValue], is_delta, value| Point {
        name: metric.name.clone(),
        unit: metric.unit.clone(),
        attributes: attributes(attributes_),
        resource: resource.clone(),
        is_delta,
        value,
    };
    match &metric.data {
        Some(Data::Gauge(gauge)) => gauge
            .data_points
            .iter()
            .map(|it| point(&it.attributes, false, Value::Gauge(number(it))))
            .collect(),
        Some(Data::Sum(sum)) => {
            let delta = is_delta(sum.aggregation_temporality());
            let points = sum.data_points.iter();
            points
                .map(|it| point(&it.attributes, delta, Value::Sum(number(it))))
                .collect()
        }
        Some(Data::Histogram(histogram)) => {
            let delta = is_delta(histogram.aggregation_temporality());
            let points = histogram.data_points.iter();
            points
                .map(|it| point(&it.attributes, delta, observed(it)))
                .collect()
        }
        Some(Data::ExponentialHistogram(_) | Data::Summary(_)) | None => Vec::new(),
    }
}

fn is_delta(temporality: AggregationTemporality) -> bool {
    temporality == AggregationTemporality::Delta
}

fn observed(point: &HistogramDataPoint) -> Value {
    Value::Histogram {
        count: point.count,
        sum: point.sum.unwrap_or_default(),
    }
}

fn number(point: &NumberDataPoint) -> f64 {
    match point.value {
        Some(Number::AsDouble(value)) => value,
        // Counts of a test are far below 2^53.
        Some(Number::AsInt(value)) => value as f64,
        None => f64::NAN,
    }
}

fn of_resource(resource: Option<&Resource>) -> Attributes {
    resource
        .map(|it| attributes(&it.attributes))
        .unwrap_or_default()
}

fn attributes(pairs: &[KeyValue]) -> Attributes {
    let pair = |pair: &KeyValue| (pair.key.clone(), text(pair.value.as_ref()));
    pairs.iter().map(pair).collect()
}

fn text(value: Option<&AnyValue>) -> String {
    match value.and_then(|value| value.value.as_ref()) {
        None => String::new(),
        Some(Any::StringValue(text)) => text.clone(),
        Some(Any::BoolValue(value)) => value.to_string(),
        Some(Any::IntValue(value)) => value.to_string(),
        Some(Any::DoubleValue(value)) => value.to_string(),
        Some(Any::BytesValue(bytes)) => hex(bytes),
        Some(other) => format!("{other:?}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
