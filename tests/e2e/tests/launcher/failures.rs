//! What a client gets when the target cannot be asked: 503, a reason it can read, and the advice to
//! try again; and what is tried again without its help.

use std::collections::HashSet;
use std::io::{self, Write};
use std::sync::Mutex;

use e2e::raw::{Connection, Message};
use e2e::{Recorder, free_port, stand_in};

use crate::setup::{proxy_to, proxy_with};

/// Checks the form of such an answer and gives its message.
pub(crate) fn unavailable(response: &Message) -> String {
    assert_eq!(response.status(), 503, "{response:?}");
    assert_eq!(response.header("retry-after"), Some("5"));
    assert_eq!(response.header("content-type"), Some("application/json"));
    let error = &response.json()["error"];
    assert_eq!(error["code"], "upstream_unavailable", "{error}");
    error["message"].as_str().expect("a message").to_owned()
}

#[test]
fn a_target_that_refuses_connections_is_503_with_the_reason() {
    let nobody = free_port();
    let proxy = proxy_with(&[("TARGET_HOST", &format!("http://127.0.0.1:{nobody}"))]);
    for request in [
        &b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"[..],
        b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
    ] {
        let message = unavailable(&proxy.send(request));
        assert!(message.contains("Connection_refused"), "{message}");
    }
}

#[test]
fn a_request_that_the_target_has_seen_is_not_repeated() {
    let target = Recorder::answering(|_, _| Err(io::ErrorKind::ConnectionReset.into()));
    let proxy = proxy_to(&target);
    let message =
        unavailable(&proxy.send(b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"));
    assert!(
        message.contains("disconnect/reset before headers"),
        "{message}"
    );
    assert_eq!(target.received().len(), 1);
}

/// A target that answers the first request on each connection and drops the connection at the second,
/// as one does whose idle time-out ends just then.
fn that_drops_every_second_request() -> Recorder {
    let known = Mutex::new(HashSet::new());
    Recorder::answering(move |_, connection| {
        let client = connection.stream().peer_addr()?;
        if known.lock().unwrap().insert(client) {
            connection.send(Recorder::OK)
        } else {
            Err(io::ErrorKind::ConnectionReset.into())
        }
    })
}

#[test]
fn a_safe_request_is_not_lost_with_a_connection_that_the_target_has_just_dropped() {
    let target = that_drops_every_second_request();
    let proxy = proxy_to(&target);
    for method in ["GET", "HEAD", "OPTIONS", "TRACE"] {
        for _ in 0..10 {
            let request = format!("{method} /a HTTP/1.1\r\nHost: x\r\n\r\n");
            let response = proxy.send(request.as_bytes());
            assert_eq!(response.status(), 200, "{method}: {response:?}");
        }
    }
    assert!(target.received().len() > 40, "no connection was dropped");
}

#[test]
fn a_request_that_changes_something_is_never_repeated_when_its_connection_is_dropped() {
    let target = that_drops_every_second_request();
    let proxy = proxy_to(&target);
    let mut answers = Vec::new();
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        for number in 0..4 {
            let request =
                format!("{method} /{number} HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc");
            answers.push(proxy.send(request.as_bytes()).status());
        }
    }
    assert_eq!(target.received().len(), answers.len());
    let lost = answers.iter().filter(|status| **status == 503).count();
    let served = answers.iter().filter(|status| **status == 200).count();
    assert_eq!((served, lost), (8, 8), "{answers:?}");
}

/// Frameworks take the method from such a header: `Microsoft.AspNetCore.HttpOverrides`, Ruby's Rack and
/// Python's connexion from the first, OData from the second, older ones from the third.
#[test]
fn a_get_that_names_another_method_is_never_repeated_when_its_connection_is_dropped() {
    let target = Recorder::answering(|_, _| Err(io::ErrorKind::ConnectionReset.into()));
    let proxy = proxy_to(&target);
    let headers = [
        "X-HTTP-Method-Override: DELETE",
        "x-http-method-override: PATCH",
        "X-HTTP-Method: MERGE",
        "X-Method-Override: PUT",
        "X-Method-Override:",
    ];
    for (before, header) in headers.iter().enumerate() {
        let request = format!("GET /a HTTP/1.1\r\nHost: x\r\n{header}\r\n\r\n");
        unavailable(&proxy.send(request.as_bytes()));
        assert_eq!(target.received().len(), before + 1, "{header}");
    }
}

#[test]
fn a_safe_request_to_a_target_that_drops_every_connection_ends_with_503() {
    let target = Recorder::answering(|_, _| Err(io::ErrorKind::ConnectionReset.into()));
    let proxy = proxy_to(&target);
    let message = unavailable(&proxy.send(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"));
    assert!(
        message.contains("disconnect/reset before headers"),
        "{message}"
    );
    assert_eq!(target.received().len(), 3);
}

/// Envoy (`ClientConnectionImpl::onHeadersCompleteBase`) refuses such an answer without telling what
/// its status was. This pins down which are refused: the guide names them.
#[test]
fn an_answer_that_breaks_the_rules_of_http_is_503_although_the_write_was_taken() {
    let answers = [
        // RFC 9112 §6.1 and RFC 9110 §8.6 forbid these.
        (
            "204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            503,
        ),
        ("204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", 503),
        ("204 No Content\r\nContent-Length: 5\r\n\r\nhello", 503),
        (
            "103 Early Hints\r\nTransfer-Encoding: chunked\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
            503,
        ),
        ("2x4 No Content\r\n\r\n", 503),
        // These pass, although some are wrong, too.
        ("204 No Content\r\nContent-Length: 0\r\n\r\n", 204),
        ("204 No Content\r\n\r\nhello", 204),
        (
            "103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
            204,
        ),
        (
            "205 Reset Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            205,
        ),
        (
            "304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n",
            304,
        ),
        ("304 Not Modified\r\nContent-Length: 5\r\n\r\n", 304),
    ];
    let target = Recorder::answering(move |request, connection| {
        let number = request.start.split(['/', ' ']).nth(2).unwrap_or_default();
        let (answer, _) = number
            .parse()
            .ok()
            .and_then(|at: usize| answers.get(at))
            .unwrap();
        write!(connection.stream(), "HTTP/1.1 {answer}")
    });
    let proxy = proxy_to(&target);
    for (number, (answer, status)) in answers.iter().enumerate() {
        let request = format!("POST /{number} HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc");
        let response = proxy.send(request.as_bytes());
        assert_eq!(response.status(), *status, "{answer}");
        if *status == 503 {
            let message = unavailable(&response);
            assert!(message.contains("breaks the rules of HTTP"), "{message}");
        }
    }
    assert_eq!(target.received().len(), answers.len());
}

#[test]
fn a_connection_that_the_target_closed_while_idle_costs_no_request() {
    let target = Recorder::answering(|_, connection| {
        connection.send(Recorder::OK)?;
        // Closed after each answer without a word, as an idle time-out does.
        Err(io::ErrorKind::ConnectionAborted.into())
    });
    let proxy = proxy_to(&target);
    let mut client = Connection::open(proxy.port()).expect("a connection");
    for _ in 0..20 {
        client
            .send(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
            .expect("the proxy takes it");
        assert_eq!(client.answer_to("GET").expect("an answer").status(), 200);
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert_eq!(target.received().len(), 20);
}

#[test]
fn an_answer_that_breaks_off_is_not_taken_for_a_whole_one() {
    let target = Recorder::answering(|_, connection| {
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")?;
        Err(io::ErrorKind::ConnectionAborted.into())
    });
    let proxy = proxy_to(&target);
    let mut client = Connection::open(proxy.port()).expect("a connection");
    client
        .send(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
        .expect("the proxy takes it");
    let mut head = client.head().unwrap();
    assert_eq!(head.status(), 200);
    assert!(client.body(&mut head).is_err());
}

#[test]
fn the_targets_own_refusal_passes_as_it_is() {
    let target = Recorder::answering(|request, connection| {
        let status = request.start.split('/').nth(1).unwrap_or_default();
        let status = status.split(' ').next().unwrap_or_default();
        write!(
            connection.stream(),
            "HTTP/1.1 {status} No\r\nContent-Length: 4\r\n\r\nmine"
        )
    });
    let proxy = proxy_to(&target);
    for status in [400, 403, 404, 413, 429, 500, 502, 503, 504, 599] {
        let response = proxy.send(format!("GET /{status} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes());
        assert_eq!(
            (response.status(), response.text().as_str()),
            (status, "mine")
        );
        assert_eq!(response.header("retry-after"), None);
    }
    assert_eq!(target.received().len(), 10);
}

#[test]
fn a_filter_that_crashed_is_503_and_health_and_metrics_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let target = Recorder::start();
    let proxy = proxy_with(&[
        ("TARGET_HOST", &target.url()),
        (
            "ENTRA_AUTH_MODULE",
            stand_in::crashing_module(directory.path())
                .to_str()
                .unwrap(),
        ),
    ]);
    for _ in 0..3 {
        let response = proxy.send(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(
            (response.status(), response.header("retry-after")),
            (503, Some("5"))
        );
        assert_eq!(response.json()["error"]["code"], "proxy_unavailable");
    }
    assert_eq!(target.received(), []);
    assert_eq!(
        proxy
            .send(b"GET /ready HTTP/1.1\r\nHost: x\r\n\r\n")
            .status(),
        503
    );
    for path in ["/health", "/metrics"] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(
            proxy.send_to_status_port(request.as_bytes()).status(),
            200,
            "{path}"
        );
    }
}
