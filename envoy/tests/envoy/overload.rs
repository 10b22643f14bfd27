//! More than fits into memory: new requests get 503 and the advice to try again, the process and its
//! probes go on, and it serves again once there is room.

use std::io::{ErrorKind, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::support::proxy::Proxy;
use crate::support::wire::Message;

const GET: &[u8] = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n";

fn error_code(response: &Message) -> String {
    response.json()["error"]["code"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

/// Sends the beginning of a large request, as much of it as is taken at once.
fn begin_large_request(port: u16) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let head = b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n";
    stream.write_all(head).unwrap();
    stream.set_nonblocking(true).unwrap();
    let chunk = [0; 64 << 10];
    for _ in 0..64 {
        match stream.write(&chunk) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            // Refused already: the other side has closed.
            Err(_) => break,
        }
    }
    stream
}

#[test]
fn what_does_not_fit_into_memory_gets_503_and_the_probes_go_on() {
    let hole = TcpListener::bind("127.0.0.1:0").unwrap();
    let hole_port = hole.local_addr().unwrap().port();
    let (stop, stopped) = mpsc::channel::<()>();
    // Takes connections and never reads; closes them all when told.
    std::thread::spawn(move || {
        hole.set_nonblocking(true).unwrap();
        let mut held = Vec::new();
        while stopped.try_recv().is_err() {
            match hole.accept() {
                Ok((stream, _)) => held.push(stream),
                Err(_) => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    });
    let proxy = Proxy::with(&[
        ("TARGET_HOST", &format!("http://127.0.0.1:{hole_port}")),
        ("MEMORY_LIMIT", "128Mi"),
    ]);

    let deadline = Instant::now() + Duration::from_secs(60);
    let mut clients = Vec::new();
    let overloaded = || {
        let metrics = proxy
            .status(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            .text();
        metrics.contains("stop_accepting_requests_active{} 1")
    };
    while !overloaded() {
        assert!(Instant::now() < deadline, "{} clients fit", clients.len());
        clients.push(begin_large_request(proxy.port));
    }
    let response = proxy.send(GET);
    assert_eq!(
        (response.status(), response.value("retry-after")),
        (503, Some("5"))
    );
    assert_eq!(error_code(&response), "proxy_unavailable");
    assert!(response.text().contains("overload"));
    assert_eq!(
        proxy
            .status(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            .status(),
        200
    );

    stop.send(()).unwrap();
    drop(clients);
    while overloaded() {
        assert!(Instant::now() < deadline, "the memory is not given back");
        std::thread::sleep(Duration::from_millis(100));
    }
    // The target is gone by now, and that is the answer again.
    assert_eq!(error_code(&proxy.send(GET)), "upstream_unavailable");
}
