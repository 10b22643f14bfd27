//! A collector that refuses connections, hangs, refuses exports and comes back: no request is harmed,
//! memory and log stay small, and everything flows again.

use std::time::{Duration, Instant};

use azure_sim::Options;
use e2e::azure::{Azure, ECHO};
use e2e::otlp::{Conduct, Receiver, Signal};
use e2e::{Proxy, eventually, http};
use serde_json::Value;

use super::{EXPORTS, send};

/// The longest until everything flows again: ten seconds, or one interval of metrics.
const AGAIN: Duration = Duration::from_secs(10);

/// What telemetry may cost in memory while a collector fails.
const MEMORY: u64 = 10 << 20;

/// How many lines the log may have more for one outage.
const LINES: usize = 6;

/// How long a collector fails: a few exports are refused, or so many wait for an answer that no more may.
const SHORT: Duration = Duration::from_millis(1500);
const LONG: Duration = Duration::from_secs(4);

const REQUESTS: usize = 400;

/// Sends many requests, each of which succeeds, for so long.
fn load(proxy: &Proxy, time: Duration) {
    let end = Instant::now() + time;
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

fn a_collector_fails(protocol: &str, timeout: &str) {
    let azure = Azure::start(Options::default());
    let receiver = Receiver::start();
    let proxy = azure
        .proxy()
        .set("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url())
        .set("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
        .set("OTEL_EXPORTER_OTLP_TIMEOUT", timeout)
        .set("OTEL_METRIC_EXPORT_INTERVAL", "1000")
        .set("OTEL_LOGS_EXPORTER", "otlp")
        .set("ENVOY_CONCURRENCY", "1")
        .start();
    proxy.wait_until_ready();
    load(&proxy, SHORT);
    until_it_flows(&proxy, &receiver, "the start");
    let memory = proxy.memory().expect("memory").now;

    type Fail = fn(&Receiver);
    let outages: [(&str, Duration, Fail); 4] = [
        ("refused connections", SHORT, |it| it.set_open(false)),
        ("no answer", LONG, |it| it.conduct(Conduct::Hang)),
        ("503", SHORT, |it| it.conduct(Conduct::Unavailable)),
        ("400", SHORT, |it| it.conduct(Conduct::Refuse)),
    ];
    for (what, time, fail) in outages {
        let before = lines(&proxy).len();
        fail(&receiver);
        load(&proxy, time);
        let more = proxy.memory().expect("memory").now.saturating_sub(memory);
        println!("{protocol}, {what}: {} kB more", more >> 10);
        assert!(more < MEMORY, "{what}: {more} bytes more");
        if what == "400" {
            each_signal_is_told_to_fail(&proxy);
        }
        receiver.conduct(Conduct::Accept);
        receiver.set_open(true);
        until_it_flows(&proxy, &receiver, what);
        let told = lines(&proxy).split_off(before);
        assert!(told.len() <= LINES, "{what}: {told:#?}");
    }
}

/// While each export fails: one metric, one line of `/status`, and one warning for each signal. Outages
/// within five minutes are one to whoever reads the log.
fn each_signal_is_told_to_fail(proxy: &Proxy) {
    eventually(AGAIN, "the failures are told", || {
        let metrics = proxy.metrics()?;
        let status: Value = http::get(&proxy.status_url("/status?format=json"))?.json()?;
        for signal in ["metrics", "traces", "logs"] {
            let failed = [("signal", signal), ("result", "failure")];
            let count = metrics.sum_with(EXPORTS, &failed).unwrap_or_default();
            let warning = format!("the export of {signal} to localhost:");
            let lines = lines(proxy).into_iter();
            let lines: Vec<_> = lines.filter(|line| line.contains(&warning)).collect();
            let warnings = lines.iter().filter(|line| line.contains(" fails: "));
            let exports = status["exports"].as_array().into_iter().flatten();
            let mut failing = exports.filter(|export| !export["failing"].is_null());
            let is_told = failing.any(|export| export["signal"] == signal);
            if count < 2.0 || warnings.count() != 1 || !is_told {
                return Err(format!("{signal}: {count}, {lines:#?}, {status}"));
            }
        }
        Ok(())
    });
}

#[test]
fn by_grpc_a_collector_that_fails_harms_no_request_and_gets_everything_again() {
    a_collector_fails("grpc", "3000");
}

#[test]
fn by_http_a_collector_that_fails_harms_no_request_and_gets_everything_again() {
    a_collector_fails("http/protobuf", "10000");
}
