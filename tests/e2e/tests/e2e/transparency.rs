//! What the target receives is what the client sent, and the token.

use std::time::{Duration, Instant};

use azure_sim::{AZURE_MONITOR, EchoReport, Options};
use e2e::azure::Azure;
use e2e::raw::{self, Connection};
use e2e::{Proxy, http};

/// Sends these bytes and returns what the target received.
fn echo(proxy: &Proxy, request: &str) -> EchoReport {
    let answer = raw::exchange(proxy.port(), request).expect("an answer");
    let text = String::from_utf8_lossy(&answer.body);
    assert_eq!(answer.status(), 200, "{request}: {text}");
    serde_json::from_str(&text).expect("an echo")
}

fn value<'a>(echo: &'a EchoReport, name: &str) -> Vec<&'a str> {
    let headers = echo.request.headers.iter();
    headers
        .filter(|(n, _)| n.eq_ignore_ascii_case(name))
        .map(|(_, v)| v.as_str())
        .collect()
}

#[test]
fn paths_and_queries_arrive_byte_for_byte() {
    let azure = Azure::start(Options::default());
    let proxy = azure.proxy().start();
    let long = format!("/echo?q={}", "a%20b+c;d&".repeat(820));
    for path in [
        "/echo",
        "//echo//x",
        "/echo/../x",
        "/echo/./x",
        "/echo/%2F%2f/x",
        "/echo;a=b;c",
        "/echo?",
        "/echo?a=%00&b=;",
        "/echo/%zz",
        "/",
        "/?x",
        "/echo?a=/../..//",
        "/a|b{c}",
        long.as_str(),
    ] {
        let echo = echo(&proxy, &format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
        assert_eq!(echo.request.target, path);
        assert_eq!(echo.token.aud, AZURE_MONITOR);
    }
}

#[test]
fn every_method_passes() {
    let azure = Azure::start(Options::default());
    let proxy = azure.proxy().start();
    for method in [
        "GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "REPORT", "QUERY",
    ] {
        let request = format!(
            "{method} /echo HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 0\r\n\r\n"
        );
        assert_eq!(echo(&proxy, &request).request.method, method);
    }
    let answer = http::send(
        http::Request::head(proxy.url("/echo"))
            .body(Vec::new())
            .expect("a request"),
    );
    assert_eq!(answer.expect("an answer").status, 200);
}

#[test]
fn whatever_authorization_the_client_sends_is_replaced() {
    let azure = Azure::start(Options::default());
    let proxy = azure.proxy().start();
    for headers in [
        "Authorization: Bearer stolen",
        "authorization: Basic dXNlcjpwYXNz\r\nAuthorization: Bearer two",
        "Connection: Authorization\r\nAuthorization: Bearer x",
        "Connection: authorization",
        "Connection: close, Authorization",
        "Proxy-Authorization: Basic dXNlcjpwYXNz",
    ] {
        let echo = echo(
            &proxy,
            &format!("GET /echo HTTP/1.1\r\nHost: x\r\n{headers}\r\n\r\n"),
        );
        assert_eq!(value(&echo, "authorization").len(), 1, "{headers}");
        assert_eq!(
            value(&echo, "proxy-authorization"),
            Vec::<&str>::new(),
            "{headers}"
        );
    }
    let state = azure.state();
    assert!(
        state.target.refused.is_empty(),
        "{:?}",
        state.target.refused
    );
}

#[test]
fn no_header_of_ours_or_of_envoy_reaches_the_target_or_the_client() {
    let azure = Azure::start(Options::default());
    let proxy = azure.proxy().start();
    let sent = "GET /echo HTTP/1.1\r\nHost: x\r\nX-Envoy-Upstream-Rq-Timeout-Ms: 1\r\n\
        x-envoy-max-retries: 9\r\nx-envoy-retry-on: 5xx\r\nx-envoy-original-path: /a\r\n\
        x-envoy-decorator-operation: o\r\nX-Custom: kept\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n";
    let answer = raw::exchange(proxy.port(), sent).expect("an answer");
    assert_eq!(answer.status(), 200);
    let echo: EchoReport = serde_json::from_slice(&answer.body).expect("an echo");
    let names: Vec<_> = echo
        .request
        .headers
        .iter()
        .map(|(name, _)| name.to_lowercase())
        .collect();
    // HTTP/2 has `:authority` in place of `host`.
    let mut names: Vec<_> = names
        .iter()
        .map(String::as_str)
        .filter(|name| *name != "host")
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["authorization", "x-custom", "x-forwarded-for"]);
    assert_eq!(value(&echo, "x-forwarded-for"), ["1.2.3.4"]);

    let ours = answer.headers.iter().filter(|(name, value)| {
        name.to_lowercase().starts_with("x-envoy") || value.eq_ignore_ascii_case("envoy")
    });
    assert_eq!(ours.collect::<Vec<_>>(), Vec::<&(String, String)>::new());
}

#[test]
fn an_ipv6_address_is_a_target_too() {
    let v6 = |port: u16| format!("[::1]:{port}").parse().expect("an address");
    let azure = Azure::start(Options {
        target_tls: v6(0),
        ..Options::default()
    });
    let port = azure.addresses().target_tls.port();
    let proxy = azure
        .proxy()
        .set("TARGET_HOST", format!("https://[::1]:{port}"))
        .start();
    let echo = echo(&proxy, "GET /echo HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(echo.authority, Some(format!("[::1]:{port}")));
}

#[test]
fn a_body_is_streamed_to_the_target_while_it_still_comes() {
    let azure = Azure::start(Options::default());
    let proxy = azure.proxy().start();
    let mut connection = Connection::open(proxy.port()).expect("a connection");
    connection
        .send("POST /sink HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        .expect("sent");
    assert_eq!(
        connection
            .head()
            .expect("headers before the body is complete")
            .status(),
        200
    );
    let progress = connection.next_bytes().expect("progress");
    assert!(!progress.is_empty());
    connection.send("6\r\nsecond\r\n0\r\n\r\n").expect("sent");
    assert!(!connection.next_bytes().expect("the end").is_empty());
}

#[test]
fn a_response_is_streamed_and_may_take_its_time() {
    let azure = Azure::start(Options::default());
    let proxy = azure.proxy().start();
    let mut connection = Connection::open(proxy.port()).expect("a connection");
    let asked = Instant::now();
    connection
        .send("GET /drip?chunks=20&interval_ms=700&bytes=10 HTTP/1.1\r\nHost: x\r\n\r\n")
        .expect("sent");
    assert_eq!(connection.head().expect("headers").status(), 200);
    connection.next_bytes().expect("a first piece");
    assert!(
        asked.elapsed() < Duration::from_secs(10),
        "the first piece was kept back"
    );
}

#[test]
fn health_and_ready_of_the_target_can_be_reached_where_the_proxys_own_are_off() {
    let azure = Azure::start(Options::default());
    let proxy = azure.proxy().set("PROXY_HEALTH_PATHS", "off").start();
    for path in ["/health", "/ready"] {
        let answer = http::get(&proxy.url(path)).expect("an answer");
        assert!(
            answer.text().contains("azure-sim target"),
            "{path}: {}",
            answer.text()
        );
    }
    assert_eq!(azure.state().target.probes.with_token, 2);
    let health = http::get(&proxy.status_url("/health")).expect("an answer");
    assert_eq!(health.status, 200);
}

#[test]
fn one_line_a_request_is_logged_without_query_and_token() {
    let azure = Azure::start(Options::default());
    let proxy = azure.proxy().start();
    echo(
        &proxy,
        "GET /echo/log?secret=query HTTP/1.1\r\nHost: x\r\n\r\n",
    );
    http::get(&proxy.url("/health")).expect("an answer");
    let line = e2e::eventually(Duration::from_secs(20), "the line is written", || {
        let log = proxy.process().stdout();
        log.lines()
            .find(|line| line.contains("/echo/log"))
            .map(str::to_owned)
            .ok_or(log)
    });
    let entry: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(
        (&entry["method"], &entry["path"], &entry["status"]),
        (&"GET".into(), &"/echo/log".into(), &200.into())
    );
    for field in [
        "time",
        "host",
        "bytes_sent",
        "bytes_received",
        "duration_ms",
        "upstream_request_id",
        "flags",
    ] {
        assert!(!entry[field].is_null(), "{field}: {line}");
    }
    let log = proxy.process().stdout();
    assert!(
        !log.contains("secret=query") && !log.contains("/health"),
        "{log}"
    );
}
