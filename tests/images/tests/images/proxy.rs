//! The proxy's image between a real Prometheus and a simulated Azure.

use std::thread;
use std::time::{Duration, Instant};

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
    assert_eq!(slow.head().expect("headers").status, 200);
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

#[test]
fn with_256_mb_and_a_read_only_file_system_a_flood_of_large_bodies_does_not_kill_it() {
    let azure = azure(Vec::new());
    let container = proxy(&azure).start();
    container.wait_until_ready();
    assert_eq!(container.inspect("{{.HostConfig.ReadonlyRootfs}}"), "true");
    assert_eq!(
        container.inspect("{{.HostConfig.Memory}}"),
        (256 << 20).to_string()
    );
    let url = container.proxy_url(ECHO);
    let answered: usize = thread::scope(|scope| {
        let senders: Vec<_> = (0..16)
            .map(|_| {
                scope.spawn(|| {
                    let body = vec![b'x'; 4 << 20];
                    let answers =
                        (0..3).map(|_| http::post(&url, body.clone()).expect("an answer"));
                    // Refused for want of memory is fine, to die of it is not.
                    answers
                        .filter(|answer| {
                            assert!([200, 503].contains(&answer.status), "{}", answer.text());
                            answer.status == 200
                        })
                        .count()
                })
            })
            .collect();
        senders
            .into_iter()
            .map(|sender| sender.join().expect("answers"))
            .sum()
    });
    assert!(answered > 0, "none was answered");
    assert_eq!(
        container.inspect("{{.State.OOMKilled}} {{.State.Running}}"),
        "false true"
    );
    container.wait_until_ready();
    assert_eq!(http::get(&url).expect("an answer").status, 200);
}
