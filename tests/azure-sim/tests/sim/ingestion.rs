//! Ingestion stores what remote write sends, counts it, and refuses everything else.

use std::collections::BTreeMap;

use crate::client::{Reply, call, get, started, token};
use azure_sim::remote_write::{Histogram, Sample, encode, v1, v2};
use azure_sim::{AzureSim, SampleCounts, SeriesQuery, WriteReport};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, StatusCode};

const WRITE: &str = "/dataCollectionRules/dcr-0123456789abcdef/streams/Microsoft-PrometheusMetrics\
                     /api/v1/write?api-version=2023-04-24";
const V1: &str = "application/x-protobuf";
const V2: &str = "application/x-protobuf;proto=io.prometheus.write.v2.Request";

async fn send(
    sim: &AzureSim,
    method: Method,
    target: &str,
    headers: &[(&str, &str)],
    body: Vec<u8>,
) -> Reply {
    let mut request = get(target)
        .method(method)
        .header("authorization", format!("Bearer {}", token(sim).await));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(Bytes::from(body))).unwrap();
    call(sim.addresses().target_plain, request).await.unwrap()
}

async fn post(sim: &AzureSim, content_type: &str, body: Vec<u8>) -> Reply {
    let headers = [
        ("content-encoding", "snappy"),
        ("content-type", content_type),
    ];
    send(sim, Method::POST, WRITE, &headers, body).await
}

fn labels(pairs: &[(&str, &str)]) -> Vec<v1::Label> {
    let label = |&(name, value): &(&str, &str)| v1::Label {
        name: name.to_owned(),
        value: value.to_owned(),
    };
    pairs.iter().map(label).collect()
}

fn samples(points: &[(i64, f64)]) -> Vec<Sample> {
    points
        .iter()
        .map(|&(timestamp, value)| Sample { value, timestamp })
        .collect()
}

type Names<'a> = &'a [(&'a str, &'a str)];

fn write_v1(series: &[(Names, &[(i64, f64)])]) -> Vec<u8> {
    let timeseries = series
        .iter()
        .map(|(names, points)| v1::TimeSeries {
            labels: labels(names),
            samples: samples(points),
            histograms: Vec::new(),
        })
        .collect();
    encode(&v1::WriteRequest {
        timeseries,
        metadata: Vec::new(),
    })
}

const UP: Names = &[("__name__", "up"), ("job", "a")];

#[tokio::test]
async fn samples_are_stored_once_and_repetitions_are_counted() {
    let sim = started().await;
    let down: Names = &[("__name__", "up"), ("job", "b")];
    let batch = write_v1(&[
        (UP, &[(1000, 1.0), (2000, f64::NAN)]),
        (down, &[(1000, 0.5)]),
    ]);
    for _ in 0..2 {
        assert_eq!(post(&sim, V1, batch.clone()).await.status, StatusCode::OK);
    }
    let state = sim.state().target;
    let counts = SampleCounts {
        received: 6,
        distinct: 3,
        duplicate: 3,
        ..SampleCounts::default()
    };
    assert_eq!(state.samples, counts);
    assert_eq!(state.series, 2);
    assert_eq!(state.highest_timestamp_ms, Some(2000));
    assert_eq!(
        state.writes,
        WriteReport {
            v1: 2,
            ..WriteReport::default()
        }
    );

    let query = SeriesQuery {
        name: Some("up".to_owned()),
        labels: BTreeMap::from([("job".to_owned(), "a".to_owned())]),
        full: true,
    };
    let [series] = sim.series(&query).try_into().unwrap();
    assert_eq!((series.count, series.last_timestamp_ms), (2, Some(2000)));
    let values: Vec<_> = series
        .samples
        .unwrap()
        .into_iter()
        .map(|s| s.value)
        .collect();
    assert_eq!(values, ["1", "NaN"]);
}

#[tokio::test]
async fn histograms_and_metadata_are_counted_apart_from_samples() {
    let sim = started().await;
    let write = v1::WriteRequest {
        timeseries: vec![v1::TimeSeries {
            labels: labels(&[("__name__", "latency")]),
            samples: Vec::new(),
            histograms: vec![Histogram {
                sum: 2.5,
                timestamp: 3000,
            }],
        }],
        metadata: vec![v1::MetricMetadata {
            metric_family_name: "latency".to_owned(),
        }],
    };
    assert_eq!(post(&sim, V1, encode(&write)).await.status, StatusCode::OK);
    let state = sim.state().target;
    assert_eq!((state.samples.received, state.histograms.distinct), (0, 1));
    assert_eq!(
        (state.writes.metadata, state.highest_timestamp_ms),
        (1, Some(3000))
    );
}

#[tokio::test]
async fn remote_write_2_is_the_same_series_and_is_confirmed() {
    let sim = started().await;
    post(&sim, V1, write_v1(&[(UP, &[(1000, 1.0)])])).await;
    let write = v2::Request {
        symbols: ["", "__name__", "up", "job", "a"]
            .map(str::to_owned)
            .to_vec(),
        timeseries: vec![v2::TimeSeries {
            labels_refs: vec![1, 2, 3, 4],
            samples: samples(&[(1000, 1.0), (2000, 1.0)]),
            histograms: vec![Histogram {
                sum: 1.0,
                timestamp: 4000,
            }],
        }],
    };
    let reply = post(&sim, V2, encode(&write)).await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(
        reply.headers["x-prometheus-remote-write-samples-written"],
        "2"
    );
    assert_eq!(
        reply.headers["x-prometheus-remote-write-histograms-written"],
        "1"
    );
    let state = sim.state().target;
    assert_eq!((state.writes.v1, state.writes.v2, state.series), (1, 1, 1));
    assert_eq!((state.samples.distinct, state.samples.duplicate), (2, 1));
}

#[tokio::test]
async fn what_is_not_remote_write_is_refused_and_nothing_is_stored() {
    let sim = started().await;
    let good = write_v1(&[(UP, &[(1000, 1.0)])]);
    let snappy = ("content-encoding", "snappy");
    let cut = good[..good.len() - 1].to_vec();
    let not_protobuf = snap::raw::Encoder::new().compress_vec(&[0xff; 64]).unwrap();
    let unsorted = write_v1(&[(&[("job", "a"), ("__name__", "up")], &[(1, 1.0)])]);
    let doubled = write_v1(&[(&[("__name__", "up"), ("__name__", "up")], &[(1, 1.0)])]);
    let nameless = write_v1(&[(&[("job", "a")], &[(1, 1.0)])]);
    let beyond = v2::Request {
        symbols: vec![String::new()],
        timeseries: vec![v2::TimeSeries {
            labels_refs: vec![1, 2],
            ..v2::TimeSeries::default()
        }],
    };
    let v1 = [snappy, ("content-type", V1)];
    let v2 = [snappy, ("content-type", V2)];
    let json = [snappy, ("content-type", "application/json")];
    let other = [snappy, ("content-type", "application/x-protobuf;proto=x.Y")];
    let no_version = WRITE.split('?').next().unwrap();
    let no_rule = WRITE.replace("dcr-", "x-");
    let no_stream = WRITE.replace("-Prom", "-Graf");
    let at = |target, headers, body| send(&sim, Method::POST, target, headers, body);
    let replies = [
        (
            "a GET",
            405,
            send(&sim, Method::GET, WRITE, &v1, good.clone()).await,
        ),
        ("no version", 400, at(no_version, &v1, good.clone()).await),
        ("no rule", 404, at(&no_rule, &v1, good.clone()).await),
        ("no stream", 404, at(&no_stream, &v1, good.clone()).await),
        ("no snappy", 415, at(WRITE, &v1[1..], good.clone()).await),
        ("no type", 415, at(WRITE, &v1[..1], good.clone()).await),
        ("JSON", 415, at(WRITE, &json, good.clone()).await),
        ("another message", 415, at(WRITE, &other, good).await),
        ("cut", 400, at(WRITE, &v1, cut).await),
        ("not protobuf", 400, at(WRITE, &v1, not_protobuf).await),
        ("unsorted labels", 400, at(WRITE, &v1, unsorted).await),
        ("a label twice", 400, at(WRITE, &v1, doubled).await),
        ("no metric name", 400, at(WRITE, &v1, nameless).await),
        (
            "beyond the table",
            400,
            at(WRITE, &v2, encode(&beyond)).await,
        ),
    ];
    let count = replies.len() as u64;
    for (what, status, reply) in replies {
        assert_eq!(reply.status.as_u16(), status, "{what}");
        assert!(reply.json()["error"]["message"].is_string(), "{what}");
    }
    let state = sim.state().target;
    assert_eq!(
        state.writes,
        WriteReport {
            malformed: count,
            ..WriteReport::default()
        }
    );
    assert_eq!(state.samples, SampleCounts::default());
}

#[tokio::test]
async fn a_length_that_would_take_all_memory_is_refused() {
    let sim = started().await;
    // snappy's own length field, saying 4 GiB - 1.
    let reply = post(&sim, V1, vec![0xff, 0xff, 0xff, 0xff, 0x0f, 0x00]).await;
    assert_eq!(reply.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused() {
    let sim = started().await;
    let reply = post(&sim, V1, vec![0; (16 << 20) + 1]).await;
    assert_eq!(reply.status, StatusCode::PAYLOAD_TOO_LARGE);
}
