//! Headers: the target gets the client's, the client the target's; ours and Envoy's stay inside.

use std::fs;
use std::io::Write;

use e2e::Recorder;

use crate::failures::unavailable;
use crate::setup::{proxy_to, proxy_with};

#[test]
fn nothing_is_added_to_a_bare_request() {
    let target = Recorder::start();
    let proxy = proxy_to(&target);
    proxy.send(b"GET /a HTTP/1.1\r\nHost: whatever.example\r\n\r\n");
    let received = target.only_request();
    assert_eq!(received.header_names(), ["host"]);
    let host = format!("127.0.0.1:{}", target.port());
    assert_eq!(received.header("host"), Some(host.as_str()));
}

#[test]
fn nothing_is_added_to_a_post_either() {
    let target = Recorder::start();
    let proxy = proxy_to(&target);
    proxy.send(b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc");
    let received = target.only_request();
    assert_eq!(received.header_names(), ["content-length", "host"]);
    assert_eq!(received.body, b"abc");
}

#[test]
fn a_clients_headers_pass_unchanged() {
    let target = Recorder::start();
    let proxy = proxy_to(&target);
    let headers = [
        ("X-Forwarded-For", "10.0.0.1, 203.0.113.7"),
        ("X-Forwarded-Proto", "gopher"),
        ("X-Forwarded-Host", "front.example"),
        ("X-Forwarded-Client-Cert", "By=spiffe://x;Hash=abc"),
        ("Forwarded", "for=192.0.2.60;proto=http"),
        ("X-Real-IP", "10.0.0.1"),
        ("X-Request-Id", "not-a-uuid"),
        ("X-Client-Trace-Id", "7"),
        (
            "Traceparent",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ),
        ("X-B3-Sampled", "1"),
        ("Via", "1.1 front"),
        ("User-Agent", "Prometheus/2.42.0"),
        ("Cookie", "a=b; c=d"),
        ("Accept-Encoding", "gzip, br;q=0.1"),
        ("Range", "bytes=0-1"),
        ("If-None-Match", "W/\"x\""),
        ("X-Prometheus-Remote-Write-Version", "0.1.0"),
        ("X-Under_Score", "1"),
        ("Grpc-Timeout", "1n"),
        ("Max-Forwards", "0"),
        ("X-Empty", ""),
        ("X-Long", &"y".repeat(16 << 10)),
    ];
    let mut request = String::from("GET /a HTTP/1.1\r\nHost: x\r\n");
    for (name, value) in &headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    let response = proxy.send(format!("{request}\r\n").as_bytes());
    assert_eq!(response.status(), 200);

    let received = target.only_request();
    for (name, value) in headers {
        assert_eq!(received.header(name), Some(value), "{name}");
    }
    let mut expected: Vec<String> = headers
        .iter()
        .map(|(n, _)| n.to_ascii_lowercase())
        .collect();
    expected.push("host".into());
    expected.sort_unstable();
    assert_eq!(received.header_names(), expected);
}

/// This many header lines `X-0`, `X-1`, …, with values of this length.
pub(crate) fn many_headers(count: usize, length: usize) -> String {
    let value = "v".repeat(length);
    (0..count).fold(String::new(), |text, number| {
        text + &format!("X-{number}: {value}\r\n")
    })
}

/// A target that answers with the `X-…` headers that it gets.
fn that_gives_headers_back() -> Recorder {
    Recorder::answering(|request, connection| {
        let mut answer = String::from("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n");
        for (name, value) in request.headers.iter().filter(|(n, _)| n.starts_with("x-")) {
            answer.push_str(&format!("{name}: {value}\r\n"));
        }
        write!(connection.stream(), "{answer}\r\nhello")
    })
}

#[test]
fn two_hundred_headers_and_a_hundred_kilobytes_of_them_pass_in_both_directions() {
    let target = that_gives_headers_back();
    let proxy = proxy_to(&target);
    for (count, length) in [(200, 10), (200, 500), (900, 20), (2, 50_000), (1, 100_000)] {
        let request = format!(
            "GET /a HTTP/1.1\r\nHost: x\r\n{}\r\n",
            many_headers(count, length)
        );
        let response = proxy.send(request.as_bytes());
        assert_eq!(response.status(), 200, "{count} of {length}");
        for message in [response, target.last_request()] {
            let passed = message.headers.iter();
            let passed = passed.filter(|(n, v)| n.starts_with("x-") && v.len() == length);
            assert_eq!(passed.count(), count, "{count} of {length}");
        }
    }
}

#[test]
fn more_headers_than_that_are_refused_with_a_reason() {
    let huge = [(1100, 1), (2, 60_000)];
    let target = Recorder::answering(move |request, connection| {
        let number = usize::from(request.start.contains("/1"));
        let (count, length) = huge[number];
        let headers = many_headers(count, length);
        write!(
            connection.stream(),
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{headers}\r\n"
        )
    });
    let proxy = proxy_to(&target);
    for (number, (count, length)) in huge.into_iter().enumerate() {
        let request = format!(
            "GET /a HTTP/1.1\r\nHost: x\r\n{}\r\n",
            many_headers(count, length)
        );
        let response = proxy.send(request.as_bytes());
        assert_eq!(response.status(), 431, "{response:?}");
        assert_eq!(response.json()["error"]["code"], "bad_request");

        let response = proxy.send(format!("GET /{number} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes());
        let message = unavailable(&response);
        assert!(
            message.contains("1000 header lines or 112 KiB"),
            "{message}"
        );
    }
}

#[test]
fn a_clients_credentials_never_reach_the_target() {
    let target = Recorder::start();
    let proxy = proxy_to(&target);
    let credentials = [
        "Authorization: Basic Y2xpZW50",
        "authorization: Bearer Y2xpZW50\r\nAUTHORIZATION: Basic Y2xpZW50",
        "Authorization: Bearer Y2xpZW50\r\nConnection: Authorization",
        "Connection: keep-alive, authorization\r\nAuthorization: Y2xpZW50",
        "Proxy-Authorization: Basic Y2xpZW50",
    ];
    for credential in credentials {
        let request = format!("GET /a HTTP/1.1\r\nHost: x\r\n{credential}\r\n\r\n");
        let response = proxy.send(request.as_bytes());
        assert_eq!(response.status(), 200, "{credential}");
        let received = target.last_request();
        assert_eq!(received.header_names(), ["host"], "{credential}");
        assert!(!format!("{received:?}").contains("Y2xpZW50"));
    }
}

#[test]
fn the_targets_headers_pass_unchanged_and_alone() {
    let target = Recorder::answering(|_, connection| {
        connection.send(
            b"HTTP/1.1 418 Short And Stout\r\nServer: recorder/1\r\n\
              Date: Thu, 01 Jan 1970 00:00:00 GMT\r\nX-Ms-Request-Id: abc\r\n\
              X-Request-Id: def\r\nX-Envoy-Custom: theirs\r\nVia: 1.1 theirs\r\n\
              WWW-Authenticate: Bearer error=\"x\"\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\
              Retry-After: 7\r\nContent-Type: text/weird\r\nContent-Length: 6\r\n\r\nteapot",
        )
    });
    let proxy = proxy_to(&target);
    let response = proxy.send(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(response.status(), 418);
    assert_eq!(response.text(), "teapot");
    let headers: Vec<(&str, &str)> = response
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let expected = [
        ("server", "recorder/1"),
        ("date", "Thu, 01 Jan 1970 00:00:00 GMT"),
        ("x-ms-request-id", "abc"),
        ("x-request-id", "def"),
        ("x-envoy-custom", "theirs"),
        ("via", "1.1 theirs"),
        ("www-authenticate", "Bearer error=\"x\""),
        ("set-cookie", "a=1"),
        ("set-cookie", "b=2"),
        ("retry-after", "7"),
        ("content-type", "text/weird"),
        ("content-length", "6"),
    ];
    assert_eq!(headers, expected);
}

#[test]
fn no_server_is_named_where_the_target_names_none() {
    let target =
        Recorder::answering(|_, connection| connection.send(b"HTTP/1.1 204 No Content\r\n\r\n"));
    let proxy = proxy_to(&target);
    let response = proxy.send(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(response.status(), 204);
    // A proxy with a clock adds the date (RFC 9110 §6.6.1).
    assert_eq!(response.header_names(), ["date"]);
}

#[test]
fn overridden_headers_replace_the_clients_and_stay_out_of_bootstrap_and_log() {
    let target = Recorder::start();
    let override_headers = serde_json::json!({
        "X-Scope-OrgID": "100% %REQ(x)% {a} \"b\" \\",
        "X-Api-Key": "override-secret",
        "X-Forwarded-Proto": "https",
        "X-Nothing": "",
    });
    let proxy = proxy_with(&[
        ("TARGET_HOST", &target.url()),
        ("OVERRIDE_REQUEST_HEADERS", &override_headers.to_string()),
        ("LOG_LEVEL", "debug"),
    ]);
    proxy.send(
        b"GET /a HTTP/1.1\r\nHost: x\r\nX-Api-Key: a\r\nX-Api-Key: b\r\nX-Nothing: c\r\n\r\n",
    );
    let received = target.only_request();
    assert_eq!(
        received.header("x-scope-orgid"),
        Some("100% %REQ(x)% {a} \"b\" \\")
    );
    assert_eq!(received.header("x-api-key"), Some("override-secret"));
    assert_eq!(received.header("x-forwarded-proto"), Some("https"));
    assert_eq!(received.header("x-nothing"), Some(""));

    let bootstrap = fs::read_to_string(proxy.run_folder().join("bootstrap.json")).unwrap();
    assert!(bootstrap.contains("x-api-key"));
    for text in [
        bootstrap,
        proxy.process().stdout(),
        proxy.process().stderr(),
    ] {
        assert!(!text.contains("override-secret"));
    }
}
