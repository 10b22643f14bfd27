//! Method, path, query and version: what the client asks for is what the target is asked.

use e2e::Recorder;
use e2e::raw::Connection;

use crate::setup::proxy_to;

#[test]
fn paths_and_queries_pass_byte_for_byte() {
    let target = Recorder::start();
    let proxy = proxy_to(&target);
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
    let target = Recorder::start();
    let proxy = proxy_to(&target);
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
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 123\r\n\r\n")
    });
    let proxy = proxy_to(&target);
    let response = proxy.send(b"HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(target.only_request().start, "HEAD /a HTTP/1.1");
    assert_eq!(response.header("content-length"), Some("123"));
}

#[test]
fn http_1_0_is_served_with_and_without_a_host() {
    let target = Recorder::answering(|_, connection| {
        let chunked =
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
        connection.send(chunked)
    });
    let proxy = proxy_to(&target);
    for request in [
        "GET /a HTTP/1.0\r\n\r\n",
        "GET /a HTTP/1.0\r\nHost: x\r\n\r\n",
    ] {
        let response = proxy.send(request.as_bytes());
        assert_eq!(response.start, "HTTP/1.0 200 OK");
        assert_eq!(response.header("transfer-encoding"), None);
        assert_eq!(response.text(), "hello");

        let received = target.last_request();
        assert_eq!(received.start, "GET /a HTTP/1.1");
        let host = format!("127.0.0.1:{}", target.port());
        assert_eq!(received.header("host"), Some(host.as_str()));
    }
}

#[test]
fn a_client_that_takes_us_for_a_forward_proxy_reaches_the_target() {
    let target = Recorder::start();
    let proxy = proxy_to(&target);
    let response = proxy.send(b"GET http://elsewhere.example/a//b?c HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(response.status(), 200);
    let received = target.only_request();
    assert_eq!(received.start, "GET /a//b?c HTTP/1.1");
    let host = format!("127.0.0.1:{}", target.port());
    assert_eq!(received.header("host"), Some(host.as_str()));
}

#[test]
fn an_offer_to_switch_to_another_protocol_is_declined_and_the_request_served() {
    let target = Recorder::start();
    let proxy = proxy_to(&target);
    let offers = [
        // As Java's HttpClient does by default (RFC 7540 §3.2).
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\
         HTTP2-Settings: AAMAAABkAAQAAP__",
        // As that of Apache does since 5.4 (RFC 2817 §3.1).
        "Upgrade: TLS/1.2\r\nConnection: Upgrade",
        "Upgrade: TLS/1.2\r\nConnection: keep-alive, Upgrade",
        "Upgrade: TLS/1.2, h2c, IRC/6.9\r\nConnection: Upgrade",
        "Upgrade: TLS/1.2\r\nUpgrade: HTTP/2.0\r\nConnection: Upgrade",
        "Upgrade: connect-udp\r\nConnection: upgrade",
        "Upgrade: websocket2\r\nConnection: Upgrade",
        "Upgrade: webs\r\nConnection: Upgrade",
        "Upgrade:\r\nConnection: Upgrade",
        "Upgrade: TLS/1.2",
        // No offer at all without `Connection: Upgrade` (RFC 9110 §7.8).
        "Upgrade: websocket",
    ];
    for offer in offers {
        for (method, body) in [("GET", ""), ("POST", "Content-Length: 3\r\n\r\nabc")] {
            let end = if body.is_empty() { "\r\n" } else { body };
            let request = format!("{method} /a HTTP/1.1\r\nHost: x\r\n{offer}\r\n{end}");
            let response = proxy.send(request.as_bytes());
            assert_eq!(
                (response.status(), response.text().as_str()),
                (200, "hello"),
                "{method} {offer}"
            );
            let received = target.last_request();
            for name in ["connection", "upgrade", "http2-settings"] {
                assert_eq!(received.header(name), None, "{method} {offer}");
            }
            assert_eq!(received.text(), if body.is_empty() { "" } else { "abc" });
        }
    }
    let probe =
        b"GET /health HTTP/1.1\r\nHost: x\r\nUpgrade: TLS/1.2\r\nConnection: Upgrade\r\n\r\n";
    assert_eq!(proxy.send_to_status_port(probe).status(), 200);
}

#[test]
fn what_a_target_says_of_upgrades_stays_between_it_and_us() {
    // As Apache httpd with mod_http2 does.
    let target = Recorder::answering(|_, connection| {
        connection.send(
            b"HTTP/1.1 200 OK\r\nUpgrade: h2,h2c\r\nConnection: Upgrade\r\n\
              Content-Length: 5\r\n\r\nhello",
        )
    });
    let proxy = proxy_to(&target);
    for offer in ["", "Upgrade: TLS/1.2\r\nConnection: Upgrade\r\n"] {
        let request = format!("GET /a HTTP/1.1\r\nHost: x\r\n{offer}\r\n");
        let response = proxy.send(request.as_bytes());
        assert_eq!(
            (response.status(), response.text().as_str()),
            (200, "hello")
        );
        assert_eq!(response.header("upgrade"), None);
    }
}

#[test]
fn what_envoy_cannot_forward_is_refused_with_a_reason() {
    let target = Recorder::start();
    let proxy = proxy_to(&target);
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
        (
            "GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: h2c, WebSocket\r\n\r\n",
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
    let target = Recorder::start();
    let proxy = proxy_to(&target);
    let mut client = Connection::open(proxy.port()).expect("a connection");
    for number in 0..50 {
        client
            .send(format!("GET /{number} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes())
            .expect("the proxy takes it");
        assert_eq!(client.answer_to("GET").expect("an answer").text(), "hello");
        assert_eq!(
            target.last_request().start,
            format!("GET /{number} HTTP/1.1")
        );
    }
}
