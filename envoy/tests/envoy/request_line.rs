//! Method, path, query and version: what the client asks for is what the target is asked.

use crate::support::proxy::Proxy;
use crate::support::recorder::Recorder;
use crate::support::wire::Connection;

#[test]
fn paths_and_queries_pass_byte_for_byte() {
    let target = Recorder::new();
    let proxy = Proxy::to(&target);
    let long_query = format!("/api/v1/query?query={}", "q".repeat(8 << 10));
    let paths = [
        "/",
        "//",
        "//a//b//",
        "/a/../b",
        "/../../etc/passwd",
        "/a/./b/.",
        "/a%2Fb%2f%5C%5c",
        "/%2e%2e/%2E/x",
        "/%00%0d%0A",
        "/a;b=1;c/d;e",
        "/?",
        "/?a=1&a=2&&=;b",
        "/x?q=//../%2F;#".trim_end_matches('#'),
        "/a?b?c??",
        "/a=b&c+d,e:f@g!h$i'(j)*~",
        "/[x]{y}|z^`\"<>",
        "/healthz",
        "/ready/",
        "/metrics",
        "/stats/prometheus",
        "/quitquitquit",
        long_query.as_str(),
    ];
    for path in paths {
        let response = proxy.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes());
        assert_eq!(response.status(), 200, "{path}: {response:?}");
        assert_eq!(target.last_request().start, format!("GET {path} HTTP/1.1"));
    }
    assert_eq!(target.received().len(), paths.len());
}

#[test]
fn every_method_passes() {
    let target = Recorder::new();
    let proxy = Proxy::to(&target);
    let methods = [
        "GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "REPORT", "PURGE",
        "X-CUSTOM", "get",
    ];
    for method in methods {
        let request = format!("{method} /a HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
        let response = proxy.send(request.as_bytes());
        assert_eq!(
            (response.status(), response.text().as_str()),
            (200, "hello"),
            "{method}"
        );
        assert_eq!(target.last_request().start, format!("{method} /a HTTP/1.1"));
    }
}

#[test]
fn a_head_response_keeps_the_length_of_the_body_it_does_not_have() {
    let target = Recorder::answering(|_, connection| {
        use std::io::Write;
        connection
            .stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 123\r\n\r\n")
    });
    let proxy = Proxy::to(&target);
    let response = proxy.send(b"HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(target.only_request().start, "HEAD /a HTTP/1.1");
    assert_eq!(response.value("content-length"), Some("123"));
}

#[test]
fn http_1_0_is_served_with_and_without_a_host() {
    let target = Recorder::answering(|_, connection| {
        use std::io::Write;
        let chunked =
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
        connection.stream.write_all(chunked)
    });
    let proxy = Proxy::to(&target);
    for request in [
        "GET /a HTTP/1.0\r\n\r\n",
        "GET /a HTTP/1.0\r\nHost: x\r\n\r\n",
    ] {
        let response = proxy.send(request.as_bytes());
        assert_eq!(response.start, "HTTP/1.0 200 OK");
        assert_eq!(response.value("transfer-encoding"), None);
        assert_eq!(response.text(), "hello");

        let received = target.last_request();
        assert_eq!(received.start, "GET /a HTTP/1.1");
        let host = format!("127.0.0.1:{}", target.port);
        assert_eq!(received.value("host"), Some(host.as_str()));
    }
}

#[test]
fn a_client_that_takes_us_for_a_forward_proxy_reaches_the_target() {
    let target = Recorder::new();
    let proxy = Proxy::to(&target);
    let response = proxy.send(b"GET http://elsewhere.example/a//b?c HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(response.status(), 200);
    let received = target.only_request();
    assert_eq!(received.start, "GET /a//b?c HTTP/1.1");
    let host = format!("127.0.0.1:{}", target.port);
    assert_eq!(received.value("host"), Some(host.as_str()));
}

#[test]
fn an_offer_to_switch_to_http_2_is_declined_and_the_request_served() {
    let target = Recorder::new();
    let proxy = Proxy::to(&target);
    // As Java's HttpClient does by default (RFC 7540 §3.2).
    let response = proxy.send(
        b"GET /a HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\
          HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
    );
    assert_eq!(
        (response.status(), response.text().as_str()),
        (200, "hello")
    );
    let received = target.only_request();
    for name in ["connection", "upgrade", "http2-settings"] {
        assert_eq!(received.value(name), None);
    }
}

#[test]
fn what_envoy_cannot_forward_is_refused_with_a_reason() {
    let target = Recorder::new();
    let proxy = Proxy::to(&target);
    let cases = [
        ("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (
            "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n",
            404,
        ),
        (
            "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
            403,
        ),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        (
            "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            400,
        ),
        (
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            400,
        ),
    ];
    for (request, status) in cases {
        let response = proxy.send(request.as_bytes());
        assert_eq!(response.status(), status, "{request:?}");
        let error = &response.json()["error"];
        assert_eq!(error["code"], "bad_request", "{request:?}");
        assert_ne!(error["message"], "", "{request:?}");
    }
    assert_eq!(target.received(), []);
}

#[test]
fn many_requests_go_over_one_connection() {
    let target = Recorder::new();
    let proxy = Proxy::to(&target);
    let mut client = Connection::to(proxy.port);
    for number in 0..50 {
        client.send(format!("GET /{number} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes());
        assert_eq!(client.response("GET").text(), "hello");
        assert_eq!(
            target.last_request().start,
            format!("GET /{number} HTTP/1.1")
        );
    }
}
