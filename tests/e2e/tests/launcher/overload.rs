//! More than fits into memory: new requests get 503 and the advice to try again, the process and its
//! probes go on, and it serves again once there is room.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use e2e::raw::{self, Message};
use e2e::{Memory, Proxy, free_port};
use http_body_util::Full;
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::setup::proxy_with;

const GET: &[u8] = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n";

/// How long a request may be left without an answer before another one is sent.
const WAIT: Duration = Duration::from_secs(1);

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
    // Nobody else gets it when the listener is gone.
    let hole_port = free_port();
    let hole = TcpListener::bind(("127.0.0.1", hole_port)).unwrap();
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
    let proxy = proxy_with(&[
        ("TARGET_HOST", &format!("http://127.0.0.1:{hole_port}")),
        ("MEMORY_LIMIT", "128Mi"),
    ]);

    let deadline = Instant::now() + Duration::from_secs(60);
    let mut clients = Vec::new();
    let overloaded = || {
        let metrics = proxy
            .send_to_status_port(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            .text();
        metrics.contains("stop_accepting_requests_active{} 1")
    };
    let response = loop {
        assert!(Instant::now() < deadline, "{} clients fit", clients.len());
        if !overloaded() {
            clients.push(begin_large_request(proxy.port()));
            continue;
        }
        // The requests of the flood that were refused give their memory back. Where that has ended the
        // overload before this GET came, it has gone to the target, which never answers.
        if let Some(response) = raw::exchange_within(WAIT, proxy.port(), GET).expect("an answer") {
            break response;
        }
    };
    assert_eq!(
        (response.status(), response.header("retry-after")),
        (503, Some("5"))
    );
    assert_eq!(error_code(&response), "proxy_unavailable");
    assert!(response.text().contains("overload"));
    assert_eq!(
        proxy
            .send_to_status_port(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
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

/// Takes whatever is sent, and never answers; gives its port.
fn never_answering() -> u16 {
    let target = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = target.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in target.incoming().flatten() {
            std::thread::spawn(move || {
                let mut buffer = [0; 64 << 10];
                while stream.read(&mut buffer).is_ok_and(|count| count > 0) {}
            });
        }
    });
    port
}

/// What Envoy has counted on the proxy's port.
fn counted(proxy: &Proxy, metric: &str) -> usize {
    let metrics = proxy.send_to_status_port(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    let name = format!("{metric}{{envoy_http_conn_manager_prefix=\"proxy\"}} ");
    let metrics = metrics.text();
    let value = metrics.lines().find_map(|line| line.strip_prefix(&name));
    value.map_or(0, |value| value.parse().expect("an integer"))
}

fn fits(proxy: &Proxy) {
    let envoy = proxy.envoy().expect("Envoy");
    let most = Memory::of(envoy.as_raw_nonzero().get().unsigned_abs());
    let most = most.expect("a process").most;
    println!("{} MiB", most >> 20);
    assert!(most < 256 << 20, "{} MiB", most >> 20);
}

/// When the memory is short these are refused, too, but Envoy keeps what it has read from a connection
/// for a second after it has refused it. The bound on connections keeps that within the limit.
#[test]
fn as_many_unfinished_heads_as_there_may_be_connections_fit_into_the_memory() {
    /// More than may connect.
    const CLIENTS: usize = 2100;
    let proxy = proxy_with(&[
        (
            "TARGET_HOST",
            &format!("http://127.0.0.1:{}", never_answering()),
        ),
        ("MEMORY_LIMIT", "256Mi"),
    ]);
    // As long as a head may be, but for the empty line at its end.
    let head = format!("GET /a HTTP/1.1\r\nHost: x\r\nX-0: {}", "v".repeat(114_000));
    let clients: Vec<TcpStream> = (0..CLIENTS)
        .map(|_| {
            let mut client = TcpStream::connect(("127.0.0.1", proxy.port())).unwrap();
            // Those that are too many are closed.
            let _ = client.write_all(head.as_bytes());
            client
        })
        .collect();
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let connected = counted(&proxy, "envoy_http_downstream_cx_active");
        let received = counted(&proxy, "envoy_http_downstream_cx_rx_bytes_total");
        if connected > 500 && received >= connected * head.len() {
            break;
        }
        assert!(
            Instant::now() < deadline,
            "{received} bytes of {connected} clients"
        );
        std::thread::sleep(Duration::from_millis(100));
    }
    fits(&proxy);
    drop(clients);
}

/// A connection has many streams, each with a head as long as it may be: these requests are complete,
/// so they are refused when the memory is short.
#[test]
fn a_flood_of_long_http_2_heads_is_refused_before_it_fills_the_memory() {
    const CONNECTIONS: usize = 24;
    const STREAMS: usize = 64;
    let proxy = proxy_with(&[
        (
            "TARGET_HOST",
            &format!("http://127.0.0.1:{}", never_answering()),
        ),
        ("MEMORY_LIMIT", "256Mi"),
    ]);
    let value = "v".repeat(110_000);
    Runtime::new().unwrap().block_on(async {
        let mut requests = JoinSet::new();
        for _ in 0..CONNECTIONS {
            let stream = tokio::net::TcpStream::connect(("127.0.0.1", proxy.port()))
                .await
                .unwrap();
            let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
                .await
                .unwrap();
            tokio::spawn(connection);
            for _ in 0..STREAMS {
                let request = Request::get("http://x/a")
                    .header("x-0", &value)
                    .body(Full::new(Bytes::new()))
                    .unwrap();
                let mut sender = sender.clone();
                requests.spawn(async move { sender.send_request(request).await });
            }
        }
        let mut ended = 0;
        while ended < CONNECTIONS * STREAMS / 4 {
            let next = tokio::time::timeout(Duration::from_secs(30), requests.join_next());
            let response = next.await.expect("many are refused").unwrap().unwrap();
            assert!(response.is_err() || response.is_ok_and(|response| response.status() == 503));
            ended += 1;
        }
    });
    fits(&proxy);
}

#[test]
fn a_flood_of_large_http_2_bodies_is_cut_before_it_fills_the_memory() {
    const CONNECTIONS: usize = 8;
    const STREAMS: usize = 12;
    let proxy = proxy_with(&[
        (
            "TARGET_HOST",
            &format!("http://127.0.0.1:{}", never_answering()),
        ),
        ("MEMORY_LIMIT", "256Mi"),
    ]);
    let body = Bytes::from(vec![b'x'; 8_000_000]);
    let envoy_is_still_there = |message: &str| {
        let health = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n";
        assert_eq!(proxy.send_to_status_port(health).status(), 200, "{message}");
    };
    Runtime::new().unwrap().block_on(async {
        let mut requests = JoinSet::new();
        for _ in 0..CONNECTIONS {
            let stream = tokio::net::TcpStream::connect(("127.0.0.1", proxy.port()))
                .await
                .unwrap();
            let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
                .await
                .unwrap();
            tokio::spawn(connection);
            for _ in 0..STREAMS {
                let request = Request::post("http://x/a")
                    .body(Full::new(body.clone()))
                    .unwrap();
                let mut sender = sender.clone();
                requests.spawn(async move { sender.send_request(request).await });
            }
        }
        // No request is answered by the target: those that end were refused or cut.
        let mut ended = 0;
        while ended < CONNECTIONS * STREAMS / 2 {
            let next = tokio::time::timeout(Duration::from_secs(30), requests.join_next());
            let response = next.await.expect("most are cut").unwrap().unwrap();
            assert!(response.is_err() || response.is_ok_and(|response| response.status() == 503));
            ended += 1;
            if ended % 16 == 0 {
                envoy_is_still_there("in the flood");
            }
        }
    });
    fits(&proxy);
    envoy_is_still_there("after the flood");
}
