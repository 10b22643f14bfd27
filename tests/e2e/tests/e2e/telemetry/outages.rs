//! A collector that refuses connections, hangs, refuses exports and comes back: no request is harmed,
//! memory and log stay small, and everything flows again.

use std::time::{Duration, Instant};

use azure_sim::Options;
use e2e::azure::{Azure, ECHO};
use e2e::otlp::{Conduct, Receiver, Signal};
use e2e::{Proxy, eventually};

use super::send;

/// The longest until everything flows again: ten seconds, or one interval of metrics.
const AGAIN: Duration = Duration::from_secs(10);

/// What telemetry may cost in memory while a collector fails.
const MEMORY: u64 = 10 << 20;

/// How many lines the log may have more for one outage.
const LINES: usize = 6;

const REQUESTS: usize = 400;

/// Sends many requests, each of which succeeds, for a time in which several exports fail.
fn load(proxy: &Proxy) {
    let end = Instant::now() + Duration::from_secs(3);
    for number in 0.. {
        if number >= REQUESTS && Instant::now() >= end {
            break;
        }
        assert_eq!(
            send(proxy, "GET", ECHO, true).status,
            200,
            "request {number}"
        );
    }
}

/// Lines of the log that are not the access log's.
fn lines(proxy: &Proxy) -> Vec<String> {
    let logs = proxy.process().logs();
    let lines = logs.lines().filter(|line| !line.starts_with('{'));
    lines.map(str::to_owned).collect()
}

/// Waits until all three signals have come anew.
#[track_caller]
fn until_it_flows(proxy: &Proxy, receiver: &Receiver, after: &str) {
    let begun = Instant::now();
    receiver.forget();
    let what = format!("all signals flow again after {after}");
    eventually(AGAIN, &what, || {
        assert_eq!(send(proxy, "GET", ECHO, true).status, 200);
        let exports = receiver.exports();
        let missing: Vec<_> = [Signal::Metrics, Signal::Traces, Signal::Logs]
            .into_iter()
            .filter(|signal| exports.iter().all(|export| export.signal() != *signal))
            .collect();
        if missing.is_empty() {
            Ok(())
        } else {
            Err(format!("no {missing:?}"))
        }
    });
    println!("after {after}: {:?}", begun.elapsed());
}

fn a_collector_fails(protocol: &str) {
    let azure = Azure::start(Options::default());
    let receiver = Receiver::start();
    let proxy = azure
        .proxy()
        .set("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url())
        .set("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
        .set("OTEL_METRIC_EXPORT_INTERVAL", "1000")
        .set("OTEL_LOGS_EXPORTER", "otlp")
        .set("ENVOY_CONCURRENCY", "1")
        .start();
    proxy.wait_until_ready();
    load(&proxy);
    until_it_flows(&proxy, &receiver, "the start");
    let memory = proxy.memory().expect("memory").now;

    type Fail = fn(&Receiver);
    let outages: [(&str, Fail); 4] = [
        ("refused connections", |receiver| receiver.set_open(false)),
        ("no answer", |receiver| receiver.conduct(Conduct::Hang)),
        ("503", |receiver| receiver.conduct(Conduct::Unavailable)),
        ("400", |receiver| receiver.conduct(Conduct::Refuse)),
    ];
    for (what, fail) in outages {
        let before = lines(&proxy).len();
        fail(&receiver);
        load(&proxy);
        let more = proxy.memory().expect("memory").now.saturating_sub(memory);
        println!("{protocol}, {what}: {} kB more", more >> 10);
        assert!(more < MEMORY, "{what}: {more} bytes more");
        receiver.conduct(Conduct::Accept);
        receiver.set_open(true);
        until_it_flows(&proxy, &receiver, what);
        let told = lines(&proxy).split_off(before);
        assert!(told.len() <= LINES, "{what}: {told:#?}");
    }
}

#[test]
fn by_grpc_a_collector_that_fails_harms_no_request_and_gets_everything_again() {
    a_collector_fails("grpc");
}

#[test]
fn by_http_a_collector_that_fails_harms_no_request_and_gets_everything_again() {
    a_collector_fails("http/protobuf");
}
