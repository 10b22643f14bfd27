//! The proxy's image between a real Prometheus and a simulated Azure.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use azure_sim::{CachedTokens, Fault, FaultKind, Service};
use e2e::azure::{ECHO, WRITE};
use e2e::raw::Connection;
use e2e::verdict::problems;
use e2e::{Prometheus, eventually, free_port, http};
use images_tests::{azure, proxy};

const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until so many more samples have arrived.
fn more_samples(azure: &e2e::azure::Azure, count: u64) {
    let arrived = || azure.state().target.samples.distinct;
    let enough = arrived() + count;
    eventually(PATIENCE, "more samples", || match arrived() {
        now if now >= enough => Ok(()),
        now => Err(format!("{now} of {enough}")),
    });
}

#[test]
fn docker_stop_drains_and_not_one_sample_is_lost_when_another_container_takes_over() {
    let azure = azure(Vec::new());
    let port = free_port();
    let settings = || proxy(&azure).port(port).set("DRAIN_SECONDS", "8");
    let first = settings().start();
    first.wait_until_ready();
    let prometheus = Prometheus::writing_to(&format!("http://127.0.0.1:{port}{WRITE}")).start();
    more_samples(&azure, 1);

    let mut slow = Connection::open(port).expect("a connection");
    slow.send("GET /drip?chunks=8&interval_ms=500&bytes=10 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .expect("sent");
    assert_eq!(slow.head().expect("headers").status(), 200);
    let told = Instant::now();
    let code = thread::scope(|scope| {
        let stopped = scope.spawn(|| first.stop(Duration::from_secs(30)));
        // The request in flight is answered to its end.
        let mut received = Vec::new();
        while let Ok(bytes) = slow.next_bytes()
            && !bytes.is_empty()
        {
            received.extend(bytes);
        }
        let received = String::from_utf8_lossy(&received).into_owned();
        assert!(received.ends_with("0\r\n\r\n"), "cut: {received:?}");
        stopped.join().expect("stopped")
    });
    assert_eq!(code, Some(0), "{}", first.log());
    // It drained, and was not killed.
    let took = told.elapsed();
    assert!(
        took > Duration::from_secs(3) && took < Duration::from_secs(25),
        "{took:?}"
    );
    drop(first);

    let second = settings().start();
    second.wait_until_ready();
    more_samples(&azure, 1);
    let sent = prometheus.settle(PATIENCE).expect("all is sent");
    let problems = problems(&sent, &azure.state(), 1);
    assert!(problems.is_empty(), "{problems:#?}");
}

/// Sends a large body, and gives the answer's status. Who is refused may not get rid of the rest
/// of the body; the answer is there all the same.
fn post(port: u16, body: &[u8]) -> io::Result<u16> {
    let length = body.len();
    let head = format!("POST /status/200 HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n");
    let mut connection = Connection::open(port)?;
    connection.send(head)?;
    let sent = connection.send(body);
    let answer = connection.answer().or_else(|error| sent.and(Err(error)))?;
    Ok(answer.status())
}

#[test]
fn with_256_mb_and_a_read_only_file_system_a_flood_of_large_bodies_and_a_check_do_not_kill_it() {
    /// Three times as much as fits.
    const CLIENTS: usize = 96;
    let azure = azure(Vec::new());
    let container = proxy(&azure).start();
    container.wait_until_ready();
    assert_eq!(container.inspect("{{.HostConfig.ReadonlyRootfs}}"), "true");
    let memory = container.inspect("{{.HostConfig.Memory}}");
    assert_eq!(memory, (256 << 20).to_string());

    // The token has worked, so each of them is kept to be sent again with the next one, which is late.
    assert_eq!(
        http::get(&container.proxy_url(ECHO))
            .expect("an answer")
            .status,
        200
    );
    azure.revoke(CachedTokens::Forget);
    let late = Fault::new(Service::Imds, FaultKind::DelayMs(2000)).times(1);
    azure.inject(late).expect("a fault");
    let (port, body) = (container.proxy_port(), vec![b'x'; 8_000_000]);
    let check = || container.run(&["entra-auth-envoy", "check"]);
    check().expect("a token");
    let statuses: Vec<u16> = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| scope.spawn(|| post(port, &body)))
            .collect();
        // A second Envoy, in the same memory.
        check().expect("a token");
        (clients.into_iter())
            .map(|client| client.join().expect("no panic").expect("an answer"))
            .collect()
    });
    azure.end_all_faults();
    // Refused for want of memory is fine, to die of it is not.
    let served = statuses.iter().filter(|status| **status == 200).count();
    let refused = statuses.iter().filter(|status| **status == 503).count();
    assert!(served > 0 && refused > 0, "{statuses:?}");
    assert_eq!(served + refused, CLIENTS, "{statuses:?}");
    let state = container.inspect("{{.State.OOMKilled}} {{.State.Running}}");
    assert_eq!(state, "false true");
    eventually(PATIENCE, "it serves again", || match post(port, &body) {
        Ok(200) => Ok(()),
        other => Err(format!("{other:?}")),
    });
}
