//! A request on which nothing moves any more ends, and a slow one goes on.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use e2e::raw::{Connection, Message};
use e2e::{Proxy, Recorder, stand_in};

use crate::setup::proxy_with;

const GET: &[u8] = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n";

/// `IDLE_TIMEOUT_SECONDS` of these tests.
const IDLE: Duration = Duration::from_secs(1);

/// How much earlier it may end: Envoy's timers count whole milliseconds from the time at which
/// its event loop last woke up, which lies before the request was read.
const EARLIER: Duration = Duration::from_millis(100);

fn proxy_to(target: &Recorder) -> Proxy {
    proxy_with(&[
        ("TARGET_HOST", &target.url()),
        ("IDLE_TIMEOUT_SECONDS", "1"),
    ])
}

/// A pause that is no silence yet, six of which are much longer than the time-out.
fn short_pause() {
    std::thread::sleep(IDLE / 4);
}

fn silent() -> Recorder {
    Recorder::answering(|_, connection| {
        // Until Envoy gives it up.
        let _ = connection.head();
        Err(ErrorKind::ConnectionAborted.into())
    })
}

fn assert_idle(response: &Message) {
    assert_eq!(
        (response.status(), response.header("retry-after")),
        (504, Some("5"))
    );
    assert_eq!(response.header("content-type"), Some("application/json"));
    assert_eq!(response.json()["error"]["code"], "idle_timeout");
}

#[test]
fn a_target_that_never_answers_is_504_and_not_asked_again() {
    let target = silent();
    let proxy = proxy_to(&target);
    let post = b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc";
    for (request, number) in [(GET, 1), (post, 2)] {
        let asked = Instant::now();
        assert_idle(&proxy.send(request));
        assert!(asked.elapsed() >= IDLE - EARLIER, "{:?}", asked.elapsed());
        assert_eq!(target.received().len(), number);
    }
}

#[test]
fn a_client_that_stops_in_mid_request_is_504_and_not_408() {
    let target = silent();
    let proxy = proxy_to(&target);
    assert_idle(&proxy.send(b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 30\r\n\r\nabc"));
}

#[test]
fn a_request_that_waits_in_the_filter_for_ever_is_504() {
    let target = Recorder::start();
    let directory = tempfile::tempdir().unwrap();
    let module = stand_in::parking_module(directory.path());
    let proxy = proxy_with(&[
        ("TARGET_HOST", &target.url()),
        ("IDLE_TIMEOUT_SECONDS", "1"),
        ("ENTRA_AUTH_MODULE", module.to_str().unwrap()),
    ]);
    assert_idle(&proxy.send(GET));
    assert_eq!(target.received(), []);
}

#[test]
fn an_answer_that_stops_half_way_is_broken_off() {
    let target = Recorder::answering(|_, connection| {
        let half = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf";
        connection.send(half)?;
        let _ = connection.head();
        Err(ErrorKind::ConnectionAborted.into())
    });
    let proxy = proxy_to(&target);
    let mut client = Connection::open(proxy.port()).expect("a connection");
    client.send(GET).expect("the proxy takes it");
    let mut response = client.head().unwrap();
    assert_eq!(response.status(), 200);
    let error = client.body(&mut response).unwrap_err();
    assert_ne!(error.kind(), ErrorKind::WouldBlock, "the client gave up");
}

#[test]
fn a_slow_answer_is_not_cut_while_it_moves() {
    let target = Recorder::answering(|_, connection| {
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n";
        connection.send(head)?;
        for byte in b"steady" {
            short_pause();
            connection.send([*byte])?;
        }
        Ok(())
    });
    let response = proxy_to(&target).send(GET);
    assert_eq!(
        (response.status(), response.text().as_str()),
        (200, "steady")
    );
}

#[test]
fn a_slow_request_is_not_cut_while_it_moves() {
    let target = Recorder::start();
    let proxy = proxy_to(&target);
    let mut client = Connection::open(proxy.port()).expect("a connection");
    client
        .send(b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\n")
        .expect("the proxy takes it");
    for byte in b"steady" {
        short_pause();
        client.send([*byte]).expect("the proxy takes it");
    }
    assert_eq!(client.answer_to("POST").expect("an answer").status(), 200);
    assert_eq!(target.only_request().body, b"steady");
}

#[test]
fn zero_is_no_time_out() {
    let target = Recorder::answering(|_, connection| {
        std::thread::sleep(3 * IDLE);
        connection.send(Recorder::OK)
    });
    let proxy = proxy_with(&[
        ("TARGET_HOST", &target.url()),
        ("IDLE_TIMEOUT_SECONDS", "0"),
    ]);
    assert_eq!(proxy.send(GET).status(), 200);
}
