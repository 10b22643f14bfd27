//! Prometheus remote write: the headers of the protocol, snappy, and the two messages.
//!
//! The message types carry only the fields that are counted here, with the field numbers of
//! `prompb/remote.proto` and `prompb/types.proto` (1.0, `prometheus.WriteRequest`) and of
//! `prompb/io/prometheus/write/v2/types.proto` (2.0, `io.prometheus.write.v2.Request`) in
//! prometheus/prometheus. protobuf skips the others.

use std::collections::BTreeMap;
use std::fmt;

use hyper::HeaderMap;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE};
use prost::Message;

/// Labels of a series by name.
pub(crate) type Labels = BTreeMap<String, String>;

/// The most that a body may take when decompressed, in bytes. Prometheus sends well below
/// 1 MiB; the bound keeps a damaged length from taking the machine's memory.
const MAX_DECOMPRESSED: usize = 64 << 20;

/// A value at a time; of a native histogram, its sum.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Point {
    pub(crate) timestamp_ms: i64,
    pub(crate) value: f64,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct WrittenSeries {
    pub(crate) labels: Labels,
    pub(crate) samples: Vec<Point>,
    pub(crate) histograms: Vec<Point>,
}

/// A remote-write request of either version.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DecodedWrite {
    pub(crate) series: Vec<WrittenSeries>,
    /// Number of metadata entries (1.0 sends them apart from samples).
    pub(crate) metadata: u64,
}

/// Which message the sender says it sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    V1,
    V2,
}

/// Why a request is not remote write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NotRemoteWrite {
    /// 415: the headers name another format.
    MediaType(String),
    /// 400: the content is not what the headers say.
    Content(String),
}

impl fmt::Display for NotRemoteWrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MediaType(problem) | Self::Content(problem) => f.write_str(problem),
        }
    }
}

/// The protocol that the headers name: `Content-Encoding: snappy`, and in `Content-Type`
/// `application/x-protobuf`, with the message in `proto` where it is not 1.0's.
pub(crate) fn protocol(headers: &HeaderMap) -> Result<Protocol, NotRemoteWrite> {
    let value = |name| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };
    let media_type = |problem: &str, found: &str| {
        Err(NotRemoteWrite::MediaType(format!(
            "{problem}, found '{found}'"
        )))
    };
    let encoding = value(CONTENT_ENCODING);
    if !encoding.eq_ignore_ascii_case("snappy") {
        return media_type("Content-Encoding must be snappy", encoding);
    }
    let content_type = value(CONTENT_TYPE);
    let mut parts = content_type.split(';').map(str::trim);
    if !parts
        .next()
        .unwrap_or_default()
        .eq_ignore_ascii_case("application/x-protobuf")
    {
        return media_type("Content-Type must be application/x-protobuf", content_type);
    }
    match parts.find_map(|parameter| parameter.strip_prefix("proto=")) {
        None | Some("prometheus.WriteRequest") => Ok(Protocol::V1),
        Some("io.prometheus.write.v2.Request") => Ok(Protocol::V2),
        Some(other) => media_type("unknown message in Content-Type", other),
    }
}

/// Decompresses and decodes a body, and checks the labels as the specification asks.
pub(crate) fn decode(protocol: Protocol, body: &[u8]) -> Result<DecodedWrite, NotRemoteWrite> {
    let content = |problem: String| NotRemoteWrite::Content(problem);
    let length = snap::raw::decompress_len(body).map_err(|e| content(format!("snappy: {e}")))?;
    if length > MAX_DECOMPRESSED {
        return Err(content(format!("snappy: {length} bytes are too many")));
    }
    let plain = snap::raw::Decoder::new()
        .decompress_vec(body)
        .map_err(|e| content(format!("snappy: {e}")))?;
    let problem = |e: prost::DecodeError| content(format!("protobuf: {e}"));
    match protocol {
        Protocol::V1 => v1::WriteRequest::decode(plain.as_slice())
            .map_err(problem)?
            .read(),
        Protocol::V2 => v2::Request::decode(plain.as_slice())
            .map_err(problem)?
            .read(),
    }
}

/// A body as a sender makes it: protobuf, compressed with snappy.
///
/// # Panics
/// When the message is longer than the 4 GiB that snappy can hold.
#[must_use]
pub fn encode(message: &impl Message) -> Vec<u8> {
    let compressed = snap::raw::Encoder::new().compress_vec(&message.encode_to_vec());
    compressed.expect("the message is within snappy's 4 GiB")
}

/// Labels in the order sent: sorted by name, no name twice or empty, a metric name.
fn read_labels<'a>(
    pairs: impl Iterator<Item = Result<(&'a str, &'a str), NotRemoteWrite>>,
) -> Result<Labels, NotRemoteWrite> {
    let content = |problem: &str, name: &str| {
        Err(NotRemoteWrite::Content(format!(
            "labels: {problem} '{name}'"
        )))
    };
    let mut labels = Labels::new();
    let mut previous = "";
    for pair in pairs {
        let (name, value) = pair?;
        if name.is_empty() {
            return content("an empty name after", previous);
        }
        if name <= previous {
            return content("doubled or not in order:", name);
        }
        previous = name;
        labels.insert(name.to_owned(), value.to_owned());
    }
    if labels.get("__name__").is_none_or(String::is_empty) {
        return content("a series without", "__name__");
    }
    Ok(labels)
}

/// A float sample, the same in both versions.
#[derive(Clone, PartialEq, Message)]
pub struct Sample {
    /// The value.
    #[prost(double, tag = "1")]
    pub value: f64,
    /// Milliseconds since 1970.
    #[prost(int64, tag = "2")]
    pub timestamp: i64,
}

/// A native histogram, the same in both versions.
#[derive(Clone, PartialEq, Message)]
pub struct Histogram {
    /// Sum of the observations.
    #[prost(double, tag = "3")]
    pub sum: f64,
    /// Milliseconds since 1970.
    #[prost(int64, tag = "15")]
    pub timestamp: i64,
}

fn sample_points(samples: &[Sample]) -> Vec<Point> {
    let point = |s: &Sample| Point {
        timestamp_ms: s.timestamp,
        value: s.value,
    };
    samples.iter().map(point).collect()
}

fn histogram_points(histograms: &[Histogram]) -> Vec<Point> {
    let point = |h: &Histogram| Point {
        timestamp_ms: h.timestamp,
        value: h.sum,
    };
    histograms.iter().map(point).collect()
}

pub mod v1 {
    //! Remote write 1.0.

    use prost::Message;

    use super::{
        DecodedWrite, Histogram, NotRemoteWrite, Sample, WrittenSeries, histogram_points,
        read_labels, sample_points,
    };

    /// `prometheus.WriteRequest`.
    #[derive(Clone, PartialEq, Message)]
    pub struct WriteRequest {
        /// Series with their samples.
        #[prost(message, repeated, tag = "1")]
        pub timeseries: Vec<TimeSeries>,
        /// What metrics mean; Prometheus sends it apart from samples.
        #[prost(message, repeated, tag = "3")]
        pub metadata: Vec<MetricMetadata>,
    }

    /// A series.
    #[derive(Clone, PartialEq, Message)]
    pub struct TimeSeries {
        /// Its labels, sorted by name.
        #[prost(message, repeated, tag = "1")]
        pub labels: Vec<Label>,
        /// Its float samples.
        #[prost(message, repeated, tag = "2")]
        pub samples: Vec<Sample>,
        /// Its native histograms.
        #[prost(message, repeated, tag = "4")]
        pub histograms: Vec<Histogram>,
    }

    /// `prometheus.Label`.
    #[derive(Clone, PartialEq, Message)]
    pub struct Label {
        /// The name.
        #[prost(string, tag = "1")]
        pub name: String,
        /// The value.
        #[prost(string, tag = "2")]
        pub value: String,
    }

    /// `prometheus.MetricMetadata`.
    #[derive(Clone, PartialEq, Message)]
    pub struct MetricMetadata {
        /// The metric.
        #[prost(string, tag = "2")]
        pub metric_family_name: String,
    }

    impl WriteRequest {
        pub(super) fn read(self) -> Result<DecodedWrite, NotRemoteWrite> {
            let metadata = self.metadata.len() as u64;
            let read = |series: TimeSeries| {
                let pairs = series
                    .labels
                    .iter()
                    .map(|l| Ok((l.name.as_str(), l.value.as_str())));
                Ok(WrittenSeries {
                    labels: read_labels(pairs)?,
                    samples: sample_points(&series.samples),
                    histograms: histogram_points(&series.histograms),
                })
            };
            let series = self
                .timeseries
                .into_iter()
                .map(read)
                .collect::<Result<_, _>>()?;
            Ok(DecodedWrite { series, metadata })
        }
    }
}

pub mod v2 {
    //! Remote write 2.0: strings stand once, in a table.

    use prost::Message;

    use super::{
        DecodedWrite, Histogram, NotRemoteWrite, Sample, WrittenSeries, histogram_points,
        read_labels, sample_points,
    };

    /// `io.prometheus.write.v2.Request`.
    #[derive(Clone, PartialEq, Message)]
    pub struct Request {
        /// The first symbol is the empty string.
        #[prost(string, repeated, tag = "4")]
        pub symbols: Vec<String>,
        /// Series with their samples.
        #[prost(message, repeated, tag = "5")]
        pub timeseries: Vec<TimeSeries>,
    }

    /// A series.
    #[derive(Clone, PartialEq, Message)]
    pub struct TimeSeries {
        /// Pairs of name and value, as indices into the symbols.
        #[prost(uint32, repeated, tag = "1")]
        pub labels_refs: Vec<u32>,
        /// Its float samples.
        #[prost(message, repeated, tag = "2")]
        pub samples: Vec<Sample>,
        /// Its native histograms.
        #[prost(message, repeated, tag = "3")]
        pub histograms: Vec<Histogram>,
    }

    impl Request {
        pub(super) fn read(self) -> Result<DecodedWrite, NotRemoteWrite> {
            let content = |problem: &str| NotRemoteWrite::Content(format!("symbols: {problem}"));
            if self.symbols.first().is_none_or(|first| !first.is_empty()) {
                return Err(content("the first must be the empty string"));
            }
            let symbol = |index: u32| {
                let found = usize::try_from(index)
                    .ok()
                    .and_then(|i| self.symbols.get(i));
                found
                    .map(String::as_str)
                    .ok_or_else(|| content("an index beyond the table"))
            };
            let read = |series: &TimeSeries| {
                let (pairs, rest) = series.labels_refs.as_chunks::<2>();
                if !rest.is_empty() {
                    return Err(content("a label name without a value"));
                }
                let pairs = pairs
                    .iter()
                    .map(|&[name, value]| Ok((symbol(name)?, symbol(value)?)));
                Ok(WrittenSeries {
                    labels: read_labels(pairs)?,
                    samples: sample_points(&series.samples),
                    histograms: histogram_points(&series.histograms),
                })
            };
            let series = self.timeseries.iter().map(read).collect::<Result<_, _>>()?;
            Ok(DecodedWrite {
                series,
                metadata: 0,
            })
        }
    }
}
