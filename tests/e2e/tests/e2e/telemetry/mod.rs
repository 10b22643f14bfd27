//! Telemetry by OTLP, with receivers made of `opentelemetry-proto` and with a real collector.

mod collector;
mod nothing;
mod old_settings;
mod outages;
mod standard;

use std::collections::BTreeMap;
use std::time::Duration;

use e2e::otlp::{Attributes, Point, Receiver, Span, Value};
use e2e::{Metrics, Proxy, http};

/// The interval of exports is a second, and a worker flushes its spans once a second.
const PATIENCE: Duration = Duration::from_secs(20);

/// A trace of the caller's, and the span in it that calls.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

/// What a client sends and nobody may see in telemetry, logs and dumps.
const QUERY: &str = "query-that-nobody-may-see";
const HEADER: &str = "header-that-nobody-may-see";
const TOKEN: &str = "token-that-nobody-may-see";
const AGENT: &str = "agent-that-nobody-may-see";

/// Sends a request with all of these, whose trace is sampled by the caller or not.
#[track_caller]
fn send(proxy: &Proxy, method: &str, path: &str, is_sampled: bool) -> http::Response {
    let flags = u8::from(is_sampled);
    let request = http::Request::builder()
        .method(method)
        .uri(proxy.url(&format!("{path}?code={QUERY}")))
        // Envoy gives the span of such a request attributes of its own.
        .header(
            "content-type",
            if method == "POST" {
                "application/grpc"
            } else {
                "text/plain"
            },
        )
        .header("x-header", HEADER)
        .header("authorization", format!("Bearer {TOKEN}"))
        .header("user-agent", AGENT)
        .header("traceparent", format!("00-{TRACE}-{CALLER}-{flags:02x}"))
        .body(Vec::new());
    http::send(request.expect("a request")).expect("an answer")
}

/// Checks that nothing of that, and no secret, is in what the receiver got or in what the proxy shows.
#[track_caller]
fn shows_no_secret(proxy: &Proxy, azure: &e2e::azure::Azure, receiver: &Receiver) {
    let exported = format!("{:?}", receiver.exports());
    let shown = proxy.shows_no_secret();
    for secret in [QUERY, HEADER, TOKEN, AGENT] {
        assert!(!exported.contains(secret), "{secret} was exported");
        let places: Vec<_> = shown.places_with(secret).collect();
        assert!(places.is_empty(), "{secret} is in {places:?}");
    }
    let secrets = azure.secrets_in(&exported);
    assert!(
        secrets.is_empty(),
        "{} secrets were exported",
        secrets.len()
    );
}

/// The latest value of each series, by name and attributes.
fn latest(points: Vec<Point>) -> BTreeMap<(String, Attributes), Value> {
    let series = |point: Point| ((point.name, point.attributes), point.value);
    points.into_iter().map(series).collect()
}

/// The sum of a counter over all its latest series with this attribute.
fn sum(points: Vec<Point>, name: &str, (key, value): (&str, &str)) -> f64 {
    let series = latest(points).into_iter();
    let wanted = series.filter(|((of, attributes), _)| {
        of == name && attributes.get(key).is_some_and(|it| it == value)
    });
    wanted.map(|(_, value)| number(&value)).sum()
}

fn number(value: &Value) -> f64 {
    match value {
        Value::Sum(number) | Value::Gauge(number) => *number,
        Value::Histogram { count, .. } => *count as f64,
    }
}

/// The metric that each export changes.
const EXPORTS: &str = "entra_auth_telemetry_exports_total";

/// Whether a metric of ours can be compared with one that was exported a second before.
fn stands_still(name: &str) -> bool {
    name.starts_with("entra_auth_") && name != EXPORTS
}

/// The series of ours on `/metrics` that are not 0, which is what Envoy exports.
fn of_page(metrics: &Metrics) -> BTreeMap<(String, Attributes), f64> {
    let ours = metrics.samples().filter(|it| stands_still(&it.name));
    ours.filter(|it| it.value != 0.0)
        .map(|it| ((it.name.clone(), it.labels.clone()), it.value))
        .collect()
}

/// The spans of the caller's trace.
fn of_trace(receiver: &Receiver) -> Vec<Span> {
    let spans = receiver.spans().into_iter();
    spans.filter(|span| span.trace_id == TRACE).collect()
}
