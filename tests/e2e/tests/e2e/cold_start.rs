//! Requests that come before the first token.

use std::thread;
use std::time::{Duration, Instant};

use azure_sim::{Application, Fault, FaultKind, Options, Service};
use e2e::azure::{Azure, ECHO};
use e2e::raw::Connection;
use e2e::{Proxy, eventually, http, raw};

const GET_ECHO: &str = "GET /echo HTTP/1.1\r\nHost: x\r\n\r\n";

/// Opens a connection and sends a request that will have to wait.
fn ask(proxy: &Proxy) -> Connection {
    let mut connection = Connection::open(proxy.port()).expect("a connection");
    connection.send(GET_ECHO).expect("sent");
    connection
}

fn held(proxy: &Proxy) -> f64 {
    proxy
        .metrics()
        .expect("metrics")
        .sum("entra_auth_held_requests")
        .expect("a gauge")
}

/// Waits until so many requests wait for a token.
pub(crate) fn wait_until_held(proxy: &Proxy, count: f64) {
    eventually(
        Duration::from_secs(9),
        "all requests are held",
        || match held(proxy) {
            held if held == count => Ok(()),
            held => Err(format!("{held} held")),
        },
    );
}

#[test]
fn three_hundred_requests_wait_for_a_first_token_that_takes_two_seconds() {
    let azure = Azure::start(Options::default());
    let slow = Fault::new(Service::Imds, FaultKind::DelayMs(2000)).times(1);
    azure.inject(slow).expect("a fault");
    let proxy = azure.proxy().start();

    let mut waiting: Vec<_> = (0..300).map(|_| ask(&proxy)).collect();
    for connection in &mut waiting {
        let answer = connection.answer().expect("an answer");
        assert_eq!(
            answer.status(),
            200,
            "{}",
            String::from_utf8_lossy(&answer.body)
        );
    }
    assert_eq!(azure.state().imds.calls, 1);
    // A further try of Envoy's after a failed connection counts again.
    let outcome = |name| {
        eventually(Duration::from_secs(20), "the counters are flushed", || {
            let metrics = proxy.metrics()?;
            let count = metrics.sum_with("entra_auth_requests_total", &[("outcome", name)]);
            if count >= Some(300.0) {
                Ok(())
            } else {
                Err(format!("{name}: {count:?}"))
            }
        });
    };
    outcome("held");
    outcome("authorized");
    assert_eq!(held(&proxy), 0.0);
}

#[test]
fn one_call_serves_one_two_and_eight_workers() {
    for workers in [1, 2, 8] {
        let azure = Azure::start(Options::default());
        azure
            .inject(Fault::new(Service::Imds, FaultKind::DelayMs(500)).times(1))
            .expect("a fault");
        let proxy = azure
            .proxy()
            .set("ENVOY_CONCURRENCY", workers.to_string())
            .start();
        // Enough connections for every worker to get some.
        let mut waiting: Vec<_> = (0..64).map(|_| ask(&proxy)).collect();
        for connection in &mut waiting {
            assert_eq!(connection.answer().expect("an answer").status(), 200);
        }
        let imds = azure.state().imds;
        assert_eq!(
            (imds.calls, imds.tokens_issued),
            (1, 1),
            "{workers} workers"
        );
    }
}

#[test]
fn without_a_token_the_answer_is_503_with_the_reason_and_never_a_request_without_it() {
    let azure = Azure::start(Options {
        system_assigned: None,
        ..Options::default()
    });
    let proxy = azure.proxy().start();

    let asked = Instant::now();
    let answer = http::get(&proxy.url(ECHO)).expect("an answer");
    let waited = asked.elapsed();
    assert_eq!(answer.status, 503, "{}", answer.text());
    let hold = Duration::from_millis(9_900)..Duration::from_secs(13);
    assert!(hold.contains(&waited), "waited {waited:?}");
    let seconds: u64 = answer
        .header("retry-after")
        .expect("Retry-After")
        .parse()
        .expect("seconds");
    assert!((1..=31).contains(&seconds), "Retry-After: {seconds}");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let body: serde_json::Value = answer.json().expect("JSON");
    assert_eq!(body["error"]["code"], "token_unavailable");
    assert_eq!(body["error"]["reason"], "identity_not_found", "{body}");
    assert!(!answer.text().contains("Identity not found"), "{body}");
    assert_eq!(azure.state().target.requests, 0);

    let ready = proxy.ready().expect("an answer");
    assert_eq!(ready.status, 503);
    let body: serde_json::Value = ready.json().expect("JSON");
    assert_eq!(
        body["slots"][0]["lastError"]["code"], "identity_not_found",
        "{body}"
    );
    let settings = body["slots"][0]["lastError"]["settings"].to_string();
    assert!(settings.contains("IDENTITY_TYPE"), "{body}");
    assert_eq!(
        http::get(&proxy.url("/health")).expect("an answer").status,
        200
    );
    // The proxy port, which anybody may reach, names no identity.
    let ready = http::get(&proxy.url("/ready?from=anybody")).expect("an answer");
    assert_eq!(ready.status, 503);
    assert_eq!(
        ready.text(),
        r#"{"ready":false,"code":"identity_not_found"}"#
    );
    // Once a change, not once an attempt or a VM.
    let told = proxy.process().logs().matches("Identity not found").count();
    assert_eq!(told, 1, "the log tells the failure {told} times");
}

#[test]
fn a_client_that_leaves_while_it_waits_leaves_nothing_behind() {
    let azure = Azure::start(Options::default());
    let broken = azure
        .inject(Fault::new(Service::Imds, FaultKind::status(500)))
        .expect("a fault");
    let proxy = azure.proxy().start();

    let waiting: Vec<_> = (0..200).map(|_| ask(&proxy)).collect();
    wait_until_held(&proxy, 200.0);
    drop(waiting);
    wait_until_held(&proxy, 0.0);

    azure.end_fault(broken);
    proxy.wait_until_ready();
    assert_eq!(http::get(&proxy.url(ECHO)).expect("an answer").status, 200);
    assert_eq!(
        azure.state().target.requests,
        1,
        "requests of clients that had left were sent"
    );
}

/// One worker holds 1,024; the others learn at once that they should come back.
#[test]
fn of_ten_thousand_requests_that_would_wait_those_beyond_the_limit_are_answered_at_once() {
    const REQUESTS: usize = 10_000;
    const LIMIT: usize = 1024;
    let azure = Azure::start(Options::default());
    let broken = azure
        .inject(Fault::new(Service::Imds, FaultKind::status(500)))
        .expect("a fault");
    let proxy = azure.proxy().set("ENVOY_CONCURRENCY", "1").start();
    let before = proxy.memory().expect("Envoy").now;

    let mut connections: Vec<_> = (0..REQUESTS).map(|_| ask(&proxy)).collect();
    // Those that wait are the first that came; the others are answered without a wait.
    let mut codes = Vec::new();
    let mut code = |connection: &mut Connection| {
        let answer = connection.answer().expect("an answer");
        assert_eq!(answer.status(), 503);
        let retry_after = answer.headers.iter().any(|(name, _)| name == "retry-after");
        assert!(retry_after, "{:?}", answer.headers);
        let body: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
        codes.push(body["error"]["code"].as_str().expect("a code").to_owned());
    };
    connections[LIMIT..].iter_mut().for_each(&mut code);
    let grown = proxy.memory().expect("Envoy").now.saturating_sub(before);
    connections[..LIMIT].iter_mut().for_each(&mut code);

    let count = |code: &str| codes.iter().filter(|c| *c == code).count();
    assert!(
        count("too_many_held") >= REQUESTS - 2 * LIMIT,
        "{}",
        count("too_many_held")
    );
    assert_eq!(
        count("too_many_held") + count("token_unavailable"),
        REQUESTS
    );
    assert!(grown < 400 << 20, "Envoy grew by {} MiB", grown >> 20);
    assert_eq!(azure.state().target.requests, 0);
    drop(connections);

    azure.end_fault(broken);
    proxy.wait_until_ready();
    assert_eq!(http::get(&proxy.url(ECHO)).expect("an answer").status, 200);
}

#[test]
fn a_body_that_comes_before_the_token_arrives_whole() {
    let azure = Azure::start(Options::default());
    azure
        .inject(Fault::new(Service::Imds, FaultKind::DelayMs(1500)).times(1))
        .expect("a fault");
    let proxy = azure.proxy().start();
    let bodies: Vec<_> = [1_usize, 70_000, 3_000_000]
        .map(|size| vec![b'x'; size])
        .into();
    thread::scope(|scope| {
        for body in &bodies {
            let proxy = &proxy;
            scope.spawn(move || {
                let mut request = format!(
                    "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n",
                    body.len()
                )
                .into_bytes();
                request.extend(body);
                let answer = raw::exchange(proxy.port(), request).expect("an answer");
                assert_eq!(answer.status(), 200, "{} bytes", body.len());
                let echo: azure_sim::EchoReport =
                    serde_json::from_slice(&answer.body).expect("an echo");
                assert_eq!(echo.body_length, body.len() as u64);
            });
        }
    });
    assert_eq!(azure.state().imds.calls, 1);
}

/// `make soak` starts more of them, with one worker, too.
#[test]
fn a_healthy_start_is_silent_and_makes_one_call_for_the_token() {
    e2e::starts::all_are_silent(3, 4).unwrap_or_else(|why| panic!("{why}"));
}

/// Envoy's main thread cannot connect to an internal listener, so it must not make these calls. If it did,
/// some attempts would never leave the process, and the log would report their failure in place of Entra's.
/// The attempts here go on beyond the first seconds, in which such a failure is not reported.
#[test]
fn while_entra_fails_each_attempt_reaches_it_and_only_its_own_failure_is_told() {
    const SECRET: &str = "Zx8Q~s3cret-of-the-starts_a.b";
    const ATTEMPTS: f64 = 5.0;
    let application = Application::new("starts").with_secret(SECRET);
    let azure = Azure::knowing(&application);
    azure
        .inject(Fault::new(Service::Entra, FaultKind::status(503)))
        .expect("a fault");
    let proxy = azure
        .proxy_with_secret(&application, SECRET)
        .set("ENVOY_CONCURRENCY", "1")
        .start();

    eventually(Duration::from_secs(60), "some attempts have failed", || {
        let failed = [("result", "failure")];
        let metrics = proxy.metrics()?;
        let failures = metrics.sum_with("entra_auth_token_requests_total", &failed);
        let failures = failures.unwrap_or_default();
        // Read after the metrics, so that each failure that they count has reached Entra.
        let calls = azure.state().entra.token_endpoint.calls as f64;
        assert!(failures <= calls, "{failures} failures, {calls} calls");
        if failures >= ATTEMPTS {
            Ok(())
        } else {
            Err(format!("{failures}"))
        }
    });
    let logs = proxy.process().logs();
    let told = |line: &&str| line.contains("[wasm]") && !line.contains("[info]");
    let told: Vec<_> = logs.lines().filter(told).collect();
    assert_eq!(told.len(), 1, "{told:#?}");
}
