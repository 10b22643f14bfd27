//! A revoked token is replaced: once, and for the request that learnt of it where that can be.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use azure_sim::{CachedTokens, Fault, FaultKind, Options, Service};
use e2e::azure::{Azure, ECHO};
use e2e::raw::Connection;
use e2e::{Envoy, eventually, free_port, http};

use super::{istio_like, send, through};
use crate::downstream;

#[test]
fn upstream_a_revoked_token_is_replaced_and_the_client_sees_one_success() {
    let azure = Azure::start(Options::default());
    let proxy = azure.proxy().start();
    for revoked in 0..3 {
        assert_eq!(through(&proxy, ECHO, false).status, 200);
        azure.revoke(CachedTokens::Forget);
        let answer = through(&proxy, ECHO, true);
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(
            azure.state().imds.calls,
            2 + revoked,
            "one call a revocation"
        );
    }
    eventually(Duration::from_secs(20), "the retries are counted", || {
        let outcome = [("outcome", "unauthorized_refreshed")];
        let count = proxy
            .metrics()?
            .sum_with("entra_auth_requests_total", &outcome);
        if count == Some(3.0) {
            Ok(())
        } else {
            Err(format!("{count:?}"))
        }
    });
    let log = proxy.process().logs();
    assert!(!log.contains("Grant it the role"), "{log}");
}

#[test]
fn upstream_a_body_is_sent_again_whole_with_the_fresh_token() {
    let azure = Azure::start(Options::default());
    let proxy = azure.proxy().start();
    assert_eq!(through(&proxy, ECHO, false).status, 200);
    for size in [10_000_usize, 3_000_000, 15_000_000] {
        azure.revoke(CachedTokens::Forget);
        let answer = http::post(&proxy.url(ECHO), vec![b'x'; size]).expect("an answer");
        assert_eq!(answer.status, 200, "{size} bytes: {}", answer.text());
        let echo: azure_sim::EchoReport = answer.json().expect("an echo");
        assert_eq!(echo.body_length, size as u64);
    }
}

/// The target answers as soon as it has read the header, and what follows goes nowhere.
#[test]
fn upstream_a_401_in_the_middle_of_a_body_is_never_the_clients() {
    let azure = Azure::start(Options::default());
    let proxy = azure.proxy().start();
    assert_eq!(through(&proxy, ECHO, false).status, 200);
    let mut healed = 0;
    for size in [100_000, 1_000_000, 3_000_000, 15_000_000] {
        azure.revoke(CachedTokens::Forget);
        let early = Fault::new(Service::Target, FaultKind::status(401));
        azure
            .inject(early.without_reading().times(1))
            .expect("a fault");
        let answer = http::post(&proxy.url(ECHO), vec![b'x'; size]).expect("an answer");
        let seen = (answer.status, answer.header("retry-after").is_some());
        assert!(
            matches!(seen, (200, _) | (503 | 504, true) | (507, _)),
            "{size} bytes: {} {}",
            answer.status,
            answer.text()
        );
        healed += u32::from(answer.status == 200);
    }
    assert!(healed > 0, "no body was sent again");
}

/// The router keeps no such body, so that no second try tells of the refusal.
#[test]
fn upstream_a_token_that_is_refused_with_a_body_too_long_to_keep_is_replaced_all_the_same() {
    let azure = Azure::start(Options::default());
    let proxy = azure.proxy().start();
    assert_eq!(through(&proxy, ECHO, false).status, 200);
    azure.revoke(CachedTokens::Forget);
    let mut refused = 0;
    eventually(Duration::from_secs(60), "the token is replaced", || {
        let answer = http::post(&proxy.url(ECHO), vec![b'x'; 17_000_000])?;
        match answer.status {
            200 => Ok(()),
            other => {
                refused += 1;
                Err(format!("{other}: {}", answer.text()))
            }
        }
    });
    assert!(refused > 0, "such a body was kept");
    assert_eq!(azure.state().imds.calls, 2);
}

/// IMDS hands out the revoked token until its cache runs out.
#[test]
fn upstream_a_revoked_token_that_imds_repeats_is_not_asked_for_again_at_once() {
    let azure = Azure::start(Options::default());
    let proxy = azure.proxy().start();
    assert_eq!(through(&proxy, ECHO, false).status, 200);
    azure.revoke(CachedTokens::Keep);
    for _ in 0..20 {
        assert_eq!(through(&proxy, ECHO, false).status, 401);
        assert_eq!(through(&proxy, ECHO, true).status, 503);
    }
    assert_eq!(azure.state().imds.calls, 2);
}

/// Twenty clients whose requests are refused with one and the same token.
fn all_at_once(url: &str, host: &str) -> Vec<u16> {
    thread::scope(|scope| {
        let clients: Vec<_> = (0..20)
            .map(|_| scope.spawn(|| send(url, host, false).status))
            .collect();
        clients
            .into_iter()
            .map(|client| client.join().expect("an answer"))
            .collect()
    })
}

#[test]
fn upstream_many_refusals_of_one_token_cost_one_call() {
    let azure = Azure::start(Options::default());
    let proxy = azure.proxy().start();
    let url = proxy.url(ECHO);
    assert_eq!(send(&url, "x", false).status, 200);
    azure.revoke(CachedTokens::Forget);
    assert_eq!(all_at_once(&url, "x"), [200; 20]);
    assert_eq!(azure.state().imds.calls, 2);
}

#[test]
fn downstream_a_revoked_token_is_503_once_and_the_next_request_has_a_fresh_one() {
    let azure = Azure::start(Options::default());
    let (_envoy, url) = istio_like(&azure, "never");
    for revoked in 0..3 {
        assert_eq!(send(&url, downstream::TARGET, false).status, 200);
        azure.revoke(CachedTokens::Forget);
        let answer = send(&url, downstream::TARGET, false);
        assert_eq!(
            (answer.status, answer.header("retry-after")),
            (503, Some("1"))
        );
        eventually(Duration::from_secs(20), "a fresh token", || {
            let answer = send(&url, downstream::TARGET, false);
            if answer.status == 200 {
                Ok(())
            } else {
                Err(answer.status)
            }
        });
        assert_eq!(azure.state().imds.calls, 2 + revoked);
    }
}

/// The target's answer would send people to look for a missing role.
#[test]
fn upstream_a_revoked_token_that_cannot_be_replaced_is_503_for_want_of_a_token() {
    let azure = Azure::start(Options::default());
    let proxy = azure.proxy().start();
    assert_eq!(through(&proxy, ECHO, false).status, 200);
    let outage = Fault::new(Service::Imds, FaultKind::status(500));
    let outage = azure.inject(outage).expect("a fault");
    azure.revoke(CachedTokens::Forget);
    let answer = through(&proxy, ECHO, true);
    assert_eq!(answer.status, 503);
    let body: serde_json::Value = answer.json().expect("JSON");
    assert_eq!(body["error"]["code"], "token_unavailable", "{body}");

    azure.end_fault(outage);
    eventually(Duration::from_secs(60), "the token is replaced", || {
        let answer = through(&proxy, ECHO, true);
        if answer.status == 200 {
            Ok(())
        } else {
            Err(answer.text())
        }
    });
}

#[test]
fn downstream_many_refusals_of_one_token_cost_one_call() {
    let azure = Azure::start(Options::default());
    let (_envoy, url) = istio_like(&azure, "never");
    assert_eq!(send(&url, downstream::TARGET, false).status, 200);
    azure.revoke(CachedTokens::Forget);
    let ends = all_at_once(&url, downstream::TARGET);
    assert!(ends.iter().all(|end| [200, 503].contains(end)), "{ends:?}");
    eventually(Duration::from_secs(20), "a fresh token", || {
        match send(&url, downstream::TARGET, false).status {
            200 => Ok(()),
            other => Err(other),
        }
    });
    assert_eq!(azure.state().imds.calls, 2);
}

#[test]
fn downstream_a_revoked_token_that_imds_repeats_is_not_asked_for_again_at_once() {
    let azure = Azure::start(Options::default());
    let (_envoy, url) = istio_like(&azure, "remoteWrite");
    assert_eq!(send(&url, downstream::TARGET, false).status, 200);
    azure.revoke(CachedTokens::Keep);
    // Until IMDS has answered a refusal may yet be healed.
    eventually(
        Duration::from_secs(20),
        "the target's own answer",
        || match send(&url, downstream::TARGET, false).status {
            401 => Ok(()),
            other => Err(other),
        },
    );
    for _ in 0..20 {
        assert_eq!(send(&url, downstream::TARGET, false).status, 401);
        assert_eq!(send(&url, downstream::TARGET, true).status, 503);
    }
    assert_eq!(azure.state().imds.calls, 2);
}

/// A worker that was told of a refusal looks for the newer token in a hurry, and not a second later.
#[test]
fn downstream_workers_that_saw_a_refusal_have_the_fresh_token_at_once() {
    const CLIENTS: usize = 4;
    let azure = Azure::start(Options::default());
    let port = free_port();
    let plugin = downstream::plugin(&azure);
    let bootstrap = downstream::bootstrap(&azure, port, &plugin);
    let _envoy = Envoy::start_with(&bootstrap, port, &["--concurrency", "2"]);
    let url = format!("http://127.0.0.1:{port}{ECHO}");
    let started = Barrier::new(CLIENTS + 1);
    let done = AtomicBool::new(false);
    let refusals: Vec<Instant> = thread::scope(|scope| {
        // Connections of their own, so that both workers have some.
        let client = || {
            let mut refusals = Vec::new();
            let mut connection = Connection::open(port).expect("a connection");
            let request = format!(
                "GET {ECHO} HTTP/1.1\r\nHost: {}\r\n\r\n",
                downstream::TARGET
            );
            started.wait();
            while !done.load(Ordering::Relaxed) {
                connection.send(&request).expect("sent");
                match connection.answer().expect("an answer").status() {
                    200 => {}
                    503 => refusals.push(Instant::now()),
                    other => panic!("{other}"),
                }
                thread::sleep(Duration::from_millis(5));
            }
            refusals
        };
        assert_eq!(send(&url, downstream::TARGET, false).status, 200);
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(client)).collect();
        started.wait();
        thread::sleep(Duration::from_millis(1500));
        for _ in 0..3 {
            azure.revoke(CachedTokens::Forget);
            thread::sleep(Duration::from_millis(1500));
        }
        done.store(true, Ordering::Relaxed);
        let ended = clients.into_iter().map(thread::ScopedJoinHandle::join);
        ended.flat_map(|client| client.expect("a client")).collect()
    });
    assert_eq!(azure.state().imds.calls, 4);
    let longest = longest_run(refusals);
    assert!(longest < Duration::from_millis(400), "{longest:?}");
}

/// The longest time from the first to the last of those that come within a second of each other.
fn longest_run(mut moments: Vec<Instant>) -> Duration {
    moments.sort();
    let run_of = |first: &Instant| {
        let near = |other: &&Instant| **other - *first < Duration::from_secs(1);
        let run = moments.iter().skip_while(|other| *other < first);
        run.take_while(near).last().map(|last| *last - *first)
    };
    let runs = moments.iter().filter_map(run_of);
    runs.max().expect("refusals")
}
