//! An application that exports by OTLP over HTTP, as one with an SDK does: numbered spans, data points
//! and log records, no two of which are alike.

use std::time::{SystemTime, UNIX_EPOCH};

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

use super::Signal;
use crate::http::{self, Request};

/// An application that exports to this port of this machine.
#[derive(Debug)]
pub struct Application {
    port: u16,
    exported: u64,
}

impl Application {
    /// One that has exported nothing yet.
    #[must_use]
    pub fn exporting_to(port: u16) -> Self {
        Self { port, exported: 0 }
    }

    /// How many spans, and as many data points and log records, it has exported.
    #[must_use]
    pub fn exported(&self) -> u64 {
        self.exported
    }

    /// Exports so many more of each of these signals, each in a request of its own.
    ///
    /// # Panics
    /// When they are not taken.
    #[track_caller]
    pub fn export(&mut self, signals: &[Signal], count: u64) {
        for number in self.exported..self.exported + count {
            for signal in signals {
                let (path, body) = match signal {
                    Signal::Traces => ("traces", trace(number)),
                    Signal::Metrics => ("metrics", metric(number)),
                    Signal::Logs => ("logs", log(number)),
                };
                let request = Request::post(format!("http://127.0.0.1:{}/v1/{path}", self.port))
                    .header("Content-Type", "application/x-protobuf")
                    .body(body)
                    .expect("a request");
                let answer = http::send(request).expect("an answer");
                assert_eq!(answer.status, 200, "{path}: {}", answer.text());
            }
        }
        self.exported += count;
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    })
}

fn trace(number: u64) -> Vec<u8> {
    let span = Span {
        name: "work".to_owned(),
        trace_id: [[1; 8], number.to_be_bytes()].concat(),
        span_id: (number + 1).to_be_bytes().to_vec(),
        start_time_unix_nano: now(),
        end_time_unix_nano: now(),
        ..Span::default()
    };
    let scope = ScopeSpans {
        spans: vec![span],
        ..ScopeSpans::default()
    };
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            scope_spans: vec![scope],
            ..ResourceSpans::default()
        }],
    }
    .encode_to_vec()
}

fn metric(number: u64) -> Vec<u8> {
    let point = NumberDataPoint {
        // No two points of a metric have one time.
        time_unix_nano: now() + number,
        ..NumberDataPoint::default()
    };
    let metric = Metric {
        name: "depth".to_owned(),
        data: Some(Data::Gauge(Gauge {
            data_points: vec![point],
        })),
        ..Metric::default()
    };
    let scope = ScopeMetrics {
        metrics: vec![metric],
        ..ScopeMetrics::default()
    };
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            scope_metrics: vec![scope],
            ..ResourceMetrics::default()
        }],
    }
    .encode_to_vec()
}

fn log(number: u64) -> Vec<u8> {
    let record = LogRecord {
        time_unix_nano: now() + number,
        ..LogRecord::default()
    };
    let scope = ScopeLogs {
        log_records: vec![record],
        ..ScopeLogs::default()
    };
    ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs {
            scope_logs: vec![scope],
            ..ResourceLogs::default()
        }],
    }
    .encode_to_vec()
}
