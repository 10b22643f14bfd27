//! A client's `x-envoy-*` headers, which steer an Envoy that believes them: neither obeyed nor
//! passed on.

use std::time::Duration;

use e2e::Recorder;

use crate::setup::proxy_to;

/// Every one that Envoy's documentation names for requests (router, HTTP connection manager,
/// tracing, rate limit, fault and health check filters), and two that nobody has thought of.
const STEERING: [&str; 30] = [
    "x-envoy-attempt-count",
    "x-envoy-decorator-operation",
    "x-envoy-downstream-service-cluster",
    "x-envoy-downstream-service-node",
    "x-envoy-expected-rq-timeout-ms",
    "x-envoy-external-address",
    "x-envoy-fault-abort-request",
    "x-envoy-fault-delay-request",
    "x-envoy-force-trace",
    "x-envoy-hedge-on-per-try-timeout",
    "x-envoy-internal",
    "x-envoy-ip-tags",
    "x-envoy-is-timeout-retry",
    "x-envoy-livenesscheck",
    "x-envoy-max-retries",
    "x-envoy-original-dst-host",
    "x-envoy-original-host",
    "x-envoy-original-path",
    "x-envoy-original-url",
    "x-envoy-peer-metadata",
    "x-envoy-peer-metadata-id",
    "x-envoy-retriable-header-names",
    "x-envoy-retriable-status-codes",
    "x-envoy-retry-grpc-on",
    "x-envoy-retry-on",
    "x-envoy-upstream-alt-stat-name",
    "x-envoy-upstream-rq-per-try-timeout-ms",
    "x-envoy-upstream-stream-duration-ms",
    "X-ENVOY-Whatever",
    "x-envoy-client-forwarded-proto",
];

#[test]
fn no_envoy_header_of_a_client_reaches_the_target() {
    let target = Recorder::start();
    let proxy = proxy_to(&target);
    // With an internal address in X-Forwarded-For, Envoy's defaults would believe all of them.
    for from in [
        "",
        "X-Forwarded-For: 10.0.0.1\r\n",
        "X-Forwarded-For: 203.0.113.7\r\n",
    ] {
        let mut request = format!("GET /a HTTP/1.1\r\nHost: x\r\n{from}");
        for name in STEERING {
            request.push_str(&format!("{name}: 1\r\n"));
        }
        let response = proxy.send(format!("{request}\r\n").as_bytes());
        assert_eq!(response.status(), 200);
        let mut names = target.last_request().header_names();
        names.retain(|name| name != "x-forwarded-for");
        assert_eq!(names, ["host"], "{from}");
        assert!(
            !response
                .header_names()
                .iter()
                .any(|name| name.starts_with("x-envoy-"))
        );
    }
}

#[test]
fn a_client_cannot_shorten_the_time_of_its_request() {
    let target = Recorder::answering(|_, connection| {
        std::thread::sleep(Duration::from_millis(400));
        connection.send(Recorder::OK)
    });
    let proxy = proxy_to(&target);
    for name in [
        "x-envoy-upstream-rq-timeout-ms",
        "x-envoy-upstream-rq-per-try-timeout-ms",
        "x-envoy-upstream-stream-duration-ms",
        "x-envoy-expected-rq-timeout-ms",
    ] {
        let request = format!("GET /a HTTP/1.1\r\nHost: x\r\n{name}: 20\r\n\r\n");
        assert_eq!(proxy.send(request.as_bytes()).status(), 200, "{name}");
    }
    let grpc = b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Type: application/grpc\r\n\
        Grpc-Timeout: 20m\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(proxy.send(grpc).status(), 200);
}

#[test]
fn a_client_cannot_have_its_request_repeated() {
    let target = Recorder::answering(|_, connection| {
        let unavailable = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\nno";
        connection.send(unavailable)
    });
    let proxy = proxy_to(&target);
    let response = proxy.send(
        b"GET /a HTTP/1.1\r\nHost: x\r\nX-Envoy-Retry-On: 5xx,gateway-error\r\n\
          X-Envoy-Max-Retries: 3\r\nX-Envoy-Retriable-Status-Codes: 503\r\n\
          X-Envoy-Retry-Grpc-On: unavailable\r\n\r\n",
    );
    assert_eq!((response.status(), response.text().as_str()), (503, "no"));
    assert_eq!(target.received().len(), 1);
}

#[test]
fn a_client_cannot_invent_metrics_or_traces() {
    let target = Recorder::start();
    let proxy = proxy_to(&target);
    proxy.send(
        b"GET /a HTTP/1.1\r\nHost: x\r\nX-Envoy-Upstream-Alt-Stat-Name: invented\r\n\
          X-Envoy-Force-Trace: 1\r\nX-Envoy-Decorator-Operation: invented\r\n\r\n",
    );
    let metrics = proxy
        .send_to_status_port(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        .text();
    assert!(metrics.contains("envoy_cluster_upstream_rq_total"));
    assert!(!metrics.contains("invented"));
    assert_eq!(target.only_request().header_names(), ["host"]);
}

#[test]
fn a_target_cannot_steer_envoy_either() {
    let target = Recorder::answering(|_, connection| {
        connection.send(
            b"HTTP/1.1 503 Service Unavailable\r\nX-Envoy-Immediate-Health-Check-Fail: 1\r\n\
              X-Envoy-Degraded: 1\r\nX-Envoy-Overloaded: 1\r\nContent-Length: 2\r\n\r\nno",
        )
    });
    let proxy = proxy_to(&target);
    for number in 1..=3 {
        let response = proxy.send(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!((response.status(), response.text().as_str()), (503, "no"));
        assert_eq!(target.received().len(), number);
    }
}
