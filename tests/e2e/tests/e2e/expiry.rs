//! A valid token is used to its end, and an expired one is never sent.

use std::time::Duration;

use azure_sim::{Fault, FaultKind, Service, Settings};
use e2e::azure::{Azure, ECHO};
use e2e::raw::Connection;
use e2e::{Proxy, eventually, http, is_stopped};
use rustix::process::{Signal, kill_process};

/// An Azure whose tokens live this long, and a proxy that has one; then IMDS fails.
fn during_an_outage(lifetime: i64) -> (Azure, Proxy, u64) {
    let azure = Azure::with(Settings {
        token_lifetime_seconds: lifetime,
        cache: false,
        ..Settings::default()
    });
    let proxy = azure.proxy().start();
    assert_eq!(http::get(&proxy.url(ECHO)).expect("an answer").status, 200);
    let outage = Fault::new(Service::Imds, FaultKind::status(503));
    let outage = azure.inject(outage).expect("a fault");
    (azure, proxy, outage)
}

fn has_expired(azure: &Azure) -> bool {
    let state = azure.state();
    state
        .tokens
        .iter()
        .all(|token| token.expires_at <= state.now)
}

#[test]
fn an_outage_is_ridden_out_on_the_valid_token_and_an_expired_one_is_never_sent() {
    let (azure, proxy, outage) = during_an_outage(10);
    let mut served = 0;
    // The first that comes too late for the token waits for another, which does not come.
    let last = loop {
        let answer = http::get(&proxy.url(ECHO)).expect("an answer");
        if answer.status != 200 {
            break answer;
        }
        served += 1;
    };
    assert_eq!(last.status, 503, "{}", last.text());
    assert!(has_expired(&azure), "a valid token was withdrawn");
    assert!(served > 10, "{served} requests served during the outage");
    assert_eq!(proxy.ready().expect("an answer").status, 503);

    azure.end_fault(outage);
    proxy.wait_until_ready();
    assert_eq!(http::get(&proxy.url(ECHO)).expect("an answer").status, 200);
    let refused = azure.state().target.refused;
    assert!(refused.is_empty(), "{refused:?}");
}

/// Ticks come late in a stalled worker, after the requests that queued up meanwhile.
#[test]
fn a_stalled_envoy_does_not_send_the_token_that_expired_meanwhile() {
    let (azure, proxy, _outage) = during_an_outage(6);
    let envoy = proxy.envoy().expect("Envoy");

    kill_process(envoy, Signal::STOP).expect("a signal");
    eventually(Duration::from_secs(20), "Envoy stands still", || {
        is_stopped(envoy).and_then(|stopped| stopped.then_some(()).ok_or("not yet".to_owned()))
    });
    let mut queued: Vec<_> = (0..50)
        .map(|_| {
            let mut connection = Connection::open(proxy.port()).expect("a connection");
            connection
                .send("GET /echo HTTP/1.1\r\nHost: x\r\n\r\n")
                .expect("sent");
            connection
        })
        .collect();
    eventually(Duration::from_secs(20), "the token has expired", || {
        if has_expired(&azure) {
            Ok(())
        } else {
            Err("not yet")
        }
    });
    kill_process(envoy, Signal::CONT).expect("Envoy goes on");

    let statuses: Vec<_> = queued
        .iter_mut()
        .map(|connection| connection.answer().expect("an answer").status())
        .collect();
    let target = azure.state().target;
    assert!(target.refused.is_empty(), "{:?}", target.refused);
    assert_eq!(statuses, [503; 50]);
}
