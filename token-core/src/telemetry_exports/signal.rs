//! What is exported by OTLP, and how: the names and paths of the OTLP specification 1.9,
//! <https://opentelemetry.io/docs/specs/otlp/>.

use core::fmt;

use deserr::Deserr;
use serde::{Deserialize, Serialize};

/// What is exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Deserr)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[deserr(rename_all = camelCase)]
pub enum Signal {
    /// Metrics.
    Metrics,
    /// Spans.
    Traces,
    /// The records of the access log.
    Logs,
}

impl Signal {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Metrics, Self::Traces, Self::Logs];

    /// Its name: in metrics, in messages, and in the path of an OTLP/HTTP endpoint.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Metrics => "metrics",
            Self::Traces => "traces",
            Self::Logs => "logs",
        }
    }

    /// The path by which this signal is exported: by HTTP that of "OTLP/HTTP request" in the specification, by gRPC
    /// that of its service (`opentelemetry/proto/collector/*/v1/*_service.proto`).
    #[must_use]
    pub const fn path(self, protocol: Protocol) -> &'static str {
        match (protocol, self) {
            (Protocol::HttpProtobuf, Self::Metrics) => "/v1/metrics",
            (Protocol::HttpProtobuf, Self::Traces) => "/v1/traces",
            (Protocol::HttpProtobuf, Self::Logs) => "/v1/logs",
            (Protocol::Grpc, Self::Metrics) => {
                "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
            }
            (Protocol::Grpc, Self::Traces) => {
                "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
            }
            (Protocol::Grpc, Self::Logs) => {
                "/opentelemetry.proto.collector.logs.v1.LogsService/Export"
            }
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The transport of OTLP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// gRPC, by HTTP/2.
    Grpc,
    /// A POST request with a binary protobuf body.
    HttpProtobuf,
}

impl Protocol {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Grpc, Self::HttpProtobuf];

    /// Its name in `OTEL_EXPORTER_OTLP_PROTOCOL`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::HttpProtobuf => "http/protobuf",
        }
    }

    /// The protocol of a request with this path to export this signal; `None` if it is no export of the signal.
    #[must_use]
    pub fn of(signal: Signal, path: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|protocol| signal.path(*protocol) == path)
    }
}
