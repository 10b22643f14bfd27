//! More than fits: large bodies by the dozen into a proxy of 256 MiB, more clients than it has
//! connections for, clients that do not read. Nothing is killed, every request has an answer, and
//! the proxy serves again afterwards.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use azure_sim::{CachedTokens, Fault, FaultKind, Options, Service};
use e2e::azure::{Azure, ECHO};
use e2e::raw::{Connection, Message};
use e2e::{Proxy, eventually, http, raw};

/// `MEMORY_LIMIT`, which is held against all memory of the launcher and its Envoy, the programs'
/// own pages and the most of each process included. A kernel would be more lenient: what is
/// read from a file does not count where memory is short.
const LIMIT: u64 = 256 << 20;

/// Three times as much as the limit.
const CLIENTS: usize = 96;
const BODY: usize = 8_000_000;

/// The target takes any body there.
const TARGET: &str = "/status/200";

/// What becomes of a request in a flood.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    Served,
    /// 503 with `Retry-After`, and its code.
    ComeBack(String),
    Other(String),
}

fn with_limit(azure: &Azure) -> Proxy {
    azure
        .proxy()
        .set("MEMORY_LIMIT", LIMIT.to_string())
        .set("ENVOY_CONCURRENCY", "2")
        .start()
}

/// Sends a large body on a connection of its own.
fn post(port: u16, body: &[u8]) -> io::Result<End> {
    let length = body.len();
    let head = format!("POST {TARGET} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n");
    let mut connection = Connection::open(port)?;
    connection.send(head)?;
    // Who is refused may not get rid of the rest of the body; the answer is there all the same.
    let sent = connection.send(body);
    let answer = connection.answer().or_else(|error| sent.and(Err(error)))?;
    Ok(end(&answer))
}

fn end(answer: &Message) -> End {
    let status = answer.status();
    match (status, answer.header("retry-after")) {
        (200, _) => End::Served,
        (503, Some(_)) => {
            let body: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
            End::ComeBack(body["error"]["code"].as_str().expect("a code").to_owned())
        }
        _ => End::Other(format!("{status} {}", answer.text())),
    }
}

/// Everybody sends at once, while health and metrics are asked for. Gives how often a request ended
/// in each way.
fn flood(proxy: &Proxy) -> BTreeMap<End, usize> {
    let body: Arc<[u8]> = vec![b'x'; BODY].into();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (port, body) = (proxy.port(), Arc::clone(&body));
            thread::spawn(move || {
                post(port, &body).unwrap_or_else(|error| End::Other(error.to_string()))
            })
        })
        .collect();
    while !clients.iter().all(thread::JoinHandle::is_finished) {
        for path in ["/health", "/metrics"] {
            let answer = http::get(&proxy.status_url(path)).expect("an answer");
            assert_eq!(answer.status, 200, "{path}");
        }
        thread::sleep(Duration::from_millis(100));
    }
    let mut ends = BTreeMap::new();
    for client in clients {
        *ends.entry(client.join().expect("a client")).or_default() += 1;
    }
    ends
}

/// Lets the flood come twice, so that what the first one leaves behind would show.
fn survives(azure: &Azure, proxy: &Proxy, prepare: impl Fn()) {
    let envoy = proxy.envoy().expect("Envoy");
    for round in 1..=2 {
        prepare();
        let ends = flood(proxy);
        azure.end_all_faults();
        let memory = proxy.memory().expect("Envoy");
        println!("round {round}: {ends:?}, {} MiB at most", memory.most >> 20);

        let other = |end: &&End| matches!(end, End::Other(_));
        assert_eq!(ends.keys().find(other), None, "{ends:?}");
        let codes = ends.keys().filter(|end| **end != End::Served);
        assert!(
            codes.eq([&End::ComeBack("proxy_unavailable".into())]),
            "{ends:?}"
        );
        assert!(memory.most < LIMIT, "{} MiB", memory.most >> 20);
        assert_eq!(proxy.envoy().expect("Envoy"), envoy, "another process");
        eventually(
            Duration::from_secs(20),
            "a large body is taken again",
            || match post(proxy.port(), &vec![b'x'; BODY]) {
                Ok(End::Served) => Ok(()),
                other => Err(format!("{other:?}")),
            },
        );
    }
}

#[test]
fn a_flood_of_large_bodies_to_a_target_that_answers_late_is_survived() {
    let azure = Azure::start(Options::default());
    let proxy = with_limit(&azure);
    proxy.wait_until_ready();
    let late = Fault::new(Service::Target, FaultKind::DelayMs(3000)).after_handling();
    survives(&azure, &proxy, || {
        azure.inject(late.clone()).expect("a fault");
    });
}

#[test]
fn a_flood_of_large_bodies_to_a_target_that_reads_late_is_survived() {
    let azure = Azure::start(Options::default());
    let proxy = with_limit(&azure);
    proxy.wait_until_ready();
    let late = Fault::new(Service::Target, FaultKind::DelayMs(3000));
    survives(&azure, &proxy, || {
        azure.inject(late.clone()).expect("a fault");
    });
}

#[test]
fn a_flood_of_large_bodies_before_the_first_token_is_survived() {
    let azure = Azure::start(Options::default());
    azure
        .inject(Fault::new(Service::Imds, FaultKind::DelayMs(4000)).times(1))
        .expect("a fault");
    survives(&azure, &with_limit(&azure), || {});
}

#[test]
fn a_flood_of_large_bodies_that_are_all_sent_again_is_survived() {
    let azure = Azure::start(Options::default());
    let proxy = with_limit(&azure);
    survives(&azure, &proxy, || {
        assert_eq!(http::get(&proxy.url(ECHO)).expect("an answer").status, 200);
        azure.revoke(CachedTokens::Forget);
        azure
            .inject(Fault::new(Service::Imds, FaultKind::DelayMs(2000)).times(1))
            .expect("a fault");
    });
}

/// A connection on which a small request was sent.
fn ask(proxy: &Proxy) -> io::Result<Connection> {
    let mut connection = Connection::open(proxy.port())?;
    connection.send("GET /status/200 HTTP/1.1\r\nHost: x\r\n\r\n")?;
    Ok(connection)
}

#[test]
fn clients_beyond_the_connection_limit_are_turned_away_and_the_probes_still_answered() {
    /// Of a proxy with this memory limit.
    const MOST: usize = 1040;
    const CLIENTS: usize = MOST + 1000;
    let azure = Azure::start(Options::default());
    let proxy = with_limit(&azure);
    proxy.wait_until_ready();
    let envoy = proxy.envoy().expect("Envoy");

    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| Connection::open(proxy.port()).expect("the kernel takes it"))
        .collect();
    eventually(Duration::from_secs(30), "those too many are closed", || {
        let rejected = proxy
            .metrics()?
            .sum("envoy_listener_downstream_global_cx_overflow")
            .unwrap_or_default();
        if rejected >= (CLIENTS - MOST) as f64 {
            Ok(())
        } else {
            Err(format!("{rejected} so far"))
        }
    });
    // Each on a connection of its own, as a kubelet's probes are.
    for path in ["/health", "/ready", "/metrics"] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
        let answer = raw::exchange(proxy.status_port(), request).expect("an answer");
        assert_eq!(answer.status(), 200, "{path}");
    }
    assert!(ask(&proxy).and_then(|mut client| client.answer()).is_err());
    // Those that are in are served.
    let mut served = 0;
    for mut client in clients {
        let answer = client
            .send("GET /status/200 HTTP/1.1\r\nHost: x\r\n\r\n")
            .and_then(|()| client.answer());
        served += usize::from(answer.is_ok_and(|answer| end(&answer) == End::Served));
    }
    // Health checks and metrics have connections of their own among those that are counted.
    assert!((MOST - 20..=MOST).contains(&served), "{served}");
    let memory = proxy.memory().expect("Envoy");
    assert!(memory.most < LIMIT, "{} MiB", memory.most >> 20);
    assert_eq!(proxy.envoy().expect("Envoy"), envoy, "another process");
    eventually(Duration::from_secs(20), "served again", || {
        ask(&proxy)
            .and_then(|mut client| client.answer())
            .map(|answer| assert_eq!(end(&answer), End::Served))
    });
}

/// HTTP/2 has one window for all streams of a connection: those that nobody reads must not use it up.
#[test]
fn clients_that_do_not_read_do_not_hold_up_the_others() {
    const CLIENTS: usize = 60;
    let azure = Azure::start(Options::default());
    let proxy = azure.proxy().set("ENVOY_CONCURRENCY", "1").start();
    proxy.wait_until_ready();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let mut client = Connection::open(proxy.port()).expect("a connection");
            let path = "/drip?chunks=400&bytes=100000&interval_ms=0";
            client
                .send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"))
                .expect("sent");
            client
        })
        .collect();
    // What the kernel and Envoy hold for them is full.
    let mut last = (0.0, Instant::now());
    eventually(Duration::from_secs(60), "nothing flows any more", || {
        let received = proxy
            .metrics()?
            .sum_with(
                "envoy_cluster_upstream_cx_rx_bytes_total",
                &[("envoy_cluster_name", "target")],
            )
            .unwrap_or_default();
        if received > last.0 {
            last = (received, Instant::now());
        }
        if last.1.elapsed() > Duration::from_secs(2) && last.0 > 0.0 {
            Ok(())
        } else {
            Err(format!("{received} bytes so far"))
        }
    });
    let answer = http::get(&proxy.url(ECHO)).expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.text());
    drop(clients);
}
