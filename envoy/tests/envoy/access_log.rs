//! One line of JSON for each request, without anything secret in it.

use std::io::Write;

use serde_json::json;

use crate::support::proxy::{Proxy, TOKEN};
use crate::support::recorder::{OK, Recorder};

fn with_log(target: &Recorder, setting: &str) -> Proxy {
    Proxy::with(&[
        ("TARGET_HOST", &format!("http://127.0.0.1:{}", target.port)),
        ("ACCESS_LOG", setting),
    ])
}

/// A target that answers with the status that the path says.
fn target() -> Recorder {
    Recorder::answering(|request, connection| {
        let status = request
            .start
            .get(5..8)
            .filter(|_| request.start.starts_with("GET /"));
        match status.and_then(|status| status.parse::<u16>().ok()) {
            Some(status) => write!(
                connection.stream,
                "HTTP/1.1 {status} X\r\nX-Ms-Request-Id: id-{status}\r\nX-Request-Id: other\r\n\
                 Content-Length: 0\r\n\r\n"
            ),
            None => connection.stream.write_all(OK),
        }
    })
}

#[test]
fn a_line_says_what_happened_without_the_query() {
    let target = target();
    let proxy = with_log(&target, "all");
    proxy.send(
        b"POST /a//b?secret=query-secret HTTP/1.1\r\nHost: x\r\nX-Secret: header-secret\r\n\
          Authorization: Bearer client-secret\r\nContent-Length: 3\r\n\r\nabc",
    );
    proxy.send(b"GET /204 HTTP/1.1\r\nHost: x\r\n\r\n");
    let lines = proxy.log_lines(2);

    let line = &lines[0];
    assert_eq!(line["method"], "POST");
    assert_eq!(line["host"], format!("127.0.0.1:{}", target.port));
    assert_eq!(line["path"], "/a//b");
    assert_eq!(line["status"], 200);
    assert_eq!(line["bytes_received"], 3);
    assert_eq!(line["bytes_sent"], 5);
    assert!(line["duration_ms"].is_u64());
    assert_eq!(line["upstream_request_id"], json!(null));
    assert_eq!(line["flags"], "-");
    assert_eq!(line["details"], "via_upstream");
    let time = line["time"].as_str().unwrap();
    assert!(time.len() == 24 && time.ends_with('Z'), "{time}");

    assert_eq!(lines[1]["upstream_request_id"], "id-204");
    for log in [proxy.stdout(), proxy.stderr()] {
        for secret in ["query-secret", "header-secret", "client-secret", TOKEN] {
            assert!(!log.contains(secret), "{secret}: {log}");
        }
    }
}

#[test]
fn only_failures_are_logged_where_only_they_are_wanted() {
    let proxy = with_log(&target(), "errors");
    for path in ["/200", "/302", "/400", "/399", "/503"] {
        proxy.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes());
    }
    let lines = proxy.log_lines(2);
    let statuses: Vec<_> = lines.iter().map(|line| line["status"].clone()).collect();
    assert_eq!(statuses, [400, 503]);
}

#[test]
fn a_response_that_broke_off_is_a_failure_whatever_its_status() {
    let target = Recorder::answering(|_, connection| {
        connection
            .stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")?;
        Err(std::io::ErrorKind::ConnectionAborted.into())
    });
    let proxy = with_log(&target, "errors");
    let mut client = crate::support::wire::Connection::to(proxy.port);
    client.send(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(client.head().unwrap().status(), 200);
    let lines = proxy.log_lines(1);
    assert_eq!(lines[0]["status"], 200);
    assert_ne!(lines[0]["flags"], "-");
}

#[test]
fn nothing_is_logged_where_nothing_is_wanted() {
    let proxy = with_log(&target(), "off");
    for path in ["/200", "/503"] {
        proxy.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes());
    }
    // A second proxy that does log shows that the lines would have been there by now.
    let other = with_log(&target(), "all");
    other.send(b"GET /200 HTTP/1.1\r\nHost: x\r\n\r\n");
    other.log_lines(1);
    assert_eq!(proxy.stdout(), "");
}

#[test]
fn probes_are_not_logged_unless_they_go_to_the_target() {
    let probes = |proxy: &Proxy| {
        for request in [
            "GET /health",
            "GET /health?a",
            "HEAD /ready",
            "POST /ready",
            "GET /last",
        ] {
            let bytes = format!("{request} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
            proxy.send(bytes.as_bytes());
        }
    };
    let proxy = with_log(&target(), "all");
    probes(&proxy);
    let paths: Vec<_> = proxy
        .log_lines(2)
        .iter()
        .map(|line| line["path"].clone())
        .collect();
    assert_eq!(paths, ["/ready", "/last"]);

    let target = target();
    let proxy = Proxy::with(&[
        ("TARGET_HOST", &format!("http://127.0.0.1:{}", target.port)),
        ("PROXY_HEALTH_PATHS", "off"),
    ]);
    probes(&proxy);
    assert_eq!(proxy.log_lines(5).len(), 5);
}

/// `/ready` goes to the status listener under a path of its own, which a target may have, too.
#[test]
fn the_targets_own_path_is_logged_though_it_is_called_as_ours() {
    let proxy = with_log(&target(), "all");
    for path in [
        "/ready",
        "/ready/without-details",
        "/health/",
        "/ready/without-details?a",
    ] {
        proxy.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes());
    }
    let paths: Vec<_> = proxy
        .log_lines(3)
        .iter()
        .map(|line| line["path"].clone())
        .collect();
    let ours = "/ready/without-details";
    assert_eq!(paths, [ours, "/health/", ours]);
}

/// A request that Envoy refuses before it looks for a route has none to tell probes by.
#[test]
fn a_request_without_a_route_is_logged() {
    let proxy = with_log(&target(), "all");
    proxy.send(b"GET /ready HTTP/1.1\r\n\r\n");
    let lines = proxy.log_lines(1);
    assert_eq!(lines[0]["status"], 400);
}
