//! SIGTERM: unready at once, serving for some seconds, then an orderly end.

use std::time::{Duration, Instant};

use azure_sim::Options;
use e2e::azure::{Azure, ECHO};
use e2e::raw::Connection;
use e2e::{eventually, http};
use rustix::process::Signal;

#[test]
fn on_sigterm_ready_is_503_at_once_and_requests_are_served_until_all_have_finished() {
    let azure = Azure::start(Options::default());
    let mut proxy = azure.proxy().set("DRAIN_SECONDS", "12").start();
    assert_eq!(http::get(&proxy.url(ECHO)).expect("an answer").status, 200);
    assert_eq!(proxy.ready().expect("an answer").status, 200);
    let at_the_proxy = || http::get(&proxy.url("/ready")).expect("an answer");
    assert_eq!(at_the_proxy().text(), r#"{"ready":true}"#);
    let mut slow = Connection::open(proxy.port()).expect("a connection");
    slow.send("GET /drip?chunks=14&interval_ms=500&bytes=10 HTTP/1.1\r\nHost: x\r\n\r\n")
        .expect("sent");
    assert_eq!(slow.head().expect("headers").status(), 200);

    let told = Instant::now();
    proxy.process().signal(Signal::TERM);
    eventually(Duration::from_secs(2), "/ready is 503", || {
        match proxy.ready()?.status {
            503 => Ok(()),
            other => Err(format!("/ready answers {other}")),
        }
    });
    assert_eq!(at_the_proxy().status, 503);
    let mut served = 0;
    while told.elapsed() < Duration::from_secs(3) {
        assert_eq!(http::get(&proxy.url(ECHO)).expect("an answer").status, 200);
        served += 1;
    }
    assert!(served > 10, "{served} requests served");

    let mut received = 0;
    while let Ok(bytes) = slow.next_bytes()
        && !bytes.is_empty()
    {
        received += String::from_utf8_lossy(&bytes).matches("\r\n").count();
        if bytes.ends_with(b"0\r\n\r\n") {
            break;
        }
    }
    assert!(
        received >= 14,
        "the slow answer was cut after {received} lines"
    );
    let ended = proxy
        .process_mut()
        .wait(Duration::from_secs(10))
        .expect("the end");
    assert!(ended.success(), "{ended}");
    assert!(
        told.elapsed() < Duration::from_secs(12),
        "{:?}",
        told.elapsed()
    );
}

#[test]
fn a_request_that_never_ends_does_not_hold_the_end_up_beyond_drain_seconds() {
    let azure = Azure::start(Options::default());
    let mut proxy = azure.proxy().set("DRAIN_SECONDS", "3").start();
    let mut endless = Connection::open(proxy.port()).expect("a connection");
    endless
        .send("GET /drip?chunks=1000&interval_ms=500&bytes=10 HTTP/1.1\r\nHost: x\r\n\r\n")
        .expect("sent");
    assert_eq!(endless.head().expect("headers").status(), 200);
    let told = Instant::now();
    proxy.process().signal(Signal::TERM);
    let ended = proxy
        .process_mut()
        .wait(Duration::from_secs(10))
        .expect("the end");
    assert!(ended.success(), "{ended}");
    let took = told.elapsed();
    // The answer lasts 500 s; a busy machine takes its time to end processes.
    let late = Duration::from_secs(4);
    assert!(took > Duration::from_secs(1), "{took:?}");
    assert!(took < Duration::from_secs(3) + late, "{took:?}");
}

#[test]
fn a_second_sigterm_ends_it_at_once() {
    let azure = Azure::start(Options::default());
    let mut proxy = azure.proxy().set("DRAIN_SECONDS", "25").start();
    // Before the first token, /ready would be 503 without the first signal, and two signals that
    // come at once are one.
    proxy.wait_until_ready();
    proxy.process().signal(Signal::TERM);
    eventually(Duration::from_secs(2), "/ready is 503", || {
        match proxy.ready()?.status {
            503 => Ok(()),
            other => Err(format!("/ready answers {other}")),
        }
    });
    proxy.process().signal(Signal::TERM);
    let ended = proxy
        .process_mut()
        .wait(Duration::from_secs(3))
        .expect("the end");
    assert!(ended.success(), "{ended}");
}
