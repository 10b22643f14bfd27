//! The paths for probes and operators: on the status port, and the two for probes on the proxy
//! port; everything else of Envoy's own is out of reach.

use e2e::Recorder;

use crate::setup::proxy_to;

#[test]
fn health_is_answered_on_both_ports_and_never_forwarded() {
    let target = Recorder::start();
    let proxy = proxy_to(&target);
    for path in ["/health", "/health?from=kubelet"] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
        for response in [
            proxy.send(request.as_bytes()),
            proxy.send_to_status_port(request.as_bytes()),
        ] {
            assert_eq!((response.status(), response.text().as_str()), (200, "OK\n"));
        }
    }
    let response = proxy.send(b"HEAD /health HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(response.status(), 200);
    assert_eq!(target.received(), []);
}

#[test]
fn ready_on_the_proxy_port_is_that_of_the_status_port() {
    let target = Recorder::start();
    let proxy = proxy_to(&target);
    for method in ["GET", "HEAD"] {
        let request = format!("{method} /ready HTTP/1.1\r\nHost: x\r\n\r\n");
        let here = proxy.send(request.as_bytes());
        let there = proxy.send_to_status_port(request.as_bytes());
        assert_eq!(here.status(), there.status());
        assert_eq!(here.header("content-type"), there.header("content-type"));
        assert_eq!(here.text().get(..8), there.text().get(..8));
    }
    assert_eq!(target.received(), []);
}

#[test]
fn only_the_exact_paths_and_methods_are_taken_from_the_target() {
    let target = Recorder::start();
    let proxy = proxy_to(&target);
    let requests = [
        "GET /health/ HTTP/1.1",
        "GET /healthz HTTP/1.1",
        "GET //health HTTP/1.1",
        "GET /Health HTTP/1.1",
        "GET /%68ealth HTTP/1.1",
        "GET /a/../ready HTTP/1.1",
        "POST /health HTTP/1.1",
        "POST /ready HTTP/1.1",
        "OPTIONS /ready HTTP/1.1",
        "GET /status HTTP/1.1",
        "GET /metrics HTTP/1.1",
    ];
    for request in requests {
        let bytes = format!("{request}\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(proxy.send(bytes.as_bytes()).text(), "hello", "{request}");
        assert_eq!(target.last_request().start, request);
    }
}

#[test]
fn metrics_are_prometheus_text() {
    let target = Recorder::start();
    let proxy = proxy_to(&target);
    let response = proxy.send_to_status_port(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(response.status(), 200);
    assert!(
        response
            .header("content-type")
            .unwrap()
            .starts_with("text/plain")
    );
    let text = response.text();
    assert!(text.contains("# TYPE envoy_cluster_upstream_cx_total counter"));
    assert!(text.contains("envoy_cluster_name=\"target\""));
}

#[test]
fn nothing_else_of_the_admin_interface_can_be_reached() {
    let target = Recorder::start();
    let proxy = proxy_to(&target);
    let requests = [
        "GET /",
        "GET /stats",
        "GET /stats/prometheus",
        "GET /config_dump",
        "GET /metrics/",
        "GET /metrics/../config_dump",
        "GET /metrics%2F..%2Fconfig_dump",
        "GET //metrics",
        "POST /metrics",
        "POST /quitquitquit",
        "POST /logging?level=trace",
        "POST /drain_listeners",
        "PUT /metrics",
    ];
    for request in requests {
        let bytes = format!("{request} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
        let response = proxy.send_to_status_port(bytes.as_bytes());
        assert_eq!(response.status(), 404, "{request}");
        assert!(!response.text().contains("cluster"), "{request}");
    }
    assert_eq!(
        proxy.send(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n").text(),
        "hello"
    );
}
