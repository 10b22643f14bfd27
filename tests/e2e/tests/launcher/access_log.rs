//! One line of JSON for each request, without anything secret in it.

use std::io::Write;
use std::time::Duration;

use e2e::raw::Connection;
use e2e::{Proxy, Recorder, eventually};
use serde_json::{Value, json};

use crate::setup::proxy_with;

fn with_log(target: &Recorder, setting: &str) -> Proxy {
    proxy_with(&[("TARGET_HOST", &target.url()), ("ACCESS_LOG", setting)])
}

/// Waits until the access log has this many lines, and gives them.
fn log_lines(proxy: &Proxy, count: usize) -> Vec<Value> {
    let what = format!("{count} lines in the access log");
    eventually(Duration::from_secs(30), &what, || {
        let text = proxy.process().stdout();
        // The last piece is a line that is still being written, or nothing.
        if text.ends_with('\n') && text.lines().count() >= count {
            let parse = |line| serde_json::from_str(line).expect("a line of JSON");
            return Ok(text.lines().map(parse).collect());
        }
        Err(text)
    })
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
                connection.stream(),
                "HTTP/1.1 {status} X\r\nX-Ms-Request-Id: id-{status}\r\nX-Request-Id: other\r\n\
                 Content-Length: 0\r\n\r\n"
            ),
            None => connection.send(Recorder::OK),
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
    let lines = log_lines(&proxy, 2);

    let line = &lines[0];
    assert_eq!(line["method"], "POST");
    assert_eq!(line["host"], format!("127.0.0.1:{}", target.port()));
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
    for log in [proxy.process().stdout(), proxy.process().stderr()] {
        for secret in ["query-secret", "header-secret", "client-secret"] {
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
    let lines = log_lines(&proxy, 2);
    let statuses: Vec<_> = lines.iter().map(|line| line["status"].clone()).collect();
    assert_eq!(statuses, [400, 503]);
}

#[test]
fn a_response_that_broke_off_is_a_failure_whatever_its_status() {
    let target = Recorder::answering(|_, connection| {
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")?;
        Err(std::io::ErrorKind::ConnectionAborted.into())
    });
    let proxy = with_log(&target, "errors");
    let mut client = Connection::open(proxy.port()).expect("a connection");
    client
        .send(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
        .expect("the proxy takes it");
    assert_eq!(client.head().unwrap().status(), 200);
    let lines = log_lines(&proxy, 1);
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
    log_lines(&other, 1);
    assert_eq!(proxy.process().stdout(), "");
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
    let paths: Vec<_> = log_lines(&proxy, 2)
        .iter()
        .map(|line| line["path"].clone())
        .collect();
    assert_eq!(paths, ["/ready", "/last"]);

    let target = target();
    let proxy = proxy_with(&[
        ("TARGET_HOST", &target.url()),
        ("PROXY_HEALTH_PATHS", "off"),
    ]);
    probes(&proxy);
    assert_eq!(log_lines(&proxy, 5).len(), 5);
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
    let paths: Vec<_> = log_lines(&proxy, 3)
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
    let lines = log_lines(&proxy, 1);
    assert_eq!(lines[0]["status"], 400);
}
