//! A configuration changes while requests wait and tokens are asked for. Where the module is in a file,
//! each edit of a WasmPlugin comes with a resource version, which makes new VMs; where Istio's agent
//! has pulled it the VMs stay.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use azure_sim::{Fault, FaultKind, Options, Service};
use e2e::azure::{Azure, ECHO};
use e2e::eventually;
use serde_json::json;

use super::{Istio, PATIENCE, Setup, another, ask_at, echo_of};
use crate::downstream::{self, TARGET, send};

#[test]
fn requests_that_wait_for_a_call_in_flight_are_all_served_in_old_and_new_vms() {
    requests_that_wait_are_all_served(false);
}

#[test]
fn requests_that_wait_for_a_call_in_flight_are_all_served_in_vms_that_stay() {
    requests_that_wait_are_all_served(true);
}

fn requests_that_wait_are_all_served(is_pulled: bool) {
    let azure = Azure::start(Options::default());
    let hanging = Fault::new(Service::Imds, FaultKind::Hang).times(1);
    azure.inject(hanging).expect("a fault");
    let mut plugin = downstream::plugin(&azure);
    plugin["hold"] = json!({"timeout": "25s"});
    let setup = Setup {
        listeners: 2,
        is_pulled,
        ..Setup::default()
    };
    let istio = Istio::set_up(&azure, &plugin, &setup);
    let ask_everywhere = || {
        let ports = istio.ports.iter().cycle().take(20);
        ports.map(|&port| ask_at(port, ECHO)).collect::<Vec<_>>()
    };
    let before = ask_everywhere();
    let created = istio.stat("v8.created");
    istio.update_at(&another(&plugin, 1), "1");
    // One of them is that in which Envoy tries the configuration.
    let new = istio.stat("v8.created") - created;
    assert_eq!(new == 1, is_pulled, "{new} new VMs");
    let after = ask_everywhere();
    for connection in before.into_iter().chain(after) {
        assert_eq!(echo_of(connection).token.generation, Some(1));
    }
    // The one that hangs and, when that is given up, one for all.
    assert_eq!(azure.state().imds.calls, 2);
}

#[test]
fn an_update_that_is_refused_disturbs_no_call_in_flight() {
    let (azure, plugin, istio) = Istio::with_a_token_that_is_soon_renewed();
    let slow = Fault::new(Service::Imds, FaultKind::DelayMs(2500)).times(1);
    azure.inject(slow).expect("a fault");
    eventually(PATIENCE, "IMDS is asked again", || {
        match azure.state().imds.calls {
            2.. => Ok(()),
            calls => Err(calls),
        }
    });
    let mut wrong = plugin.clone();
    wrong["targets"][0]["identity"] = json!("nobody");
    istio.update_refused(&wrong, "1");
    eventually(PATIENCE, "the next token", || {
        match istio.echo().token.generation {
            Some(2..) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    assert_eq!(azure.state().imds.max_in_flight, 1);
}

#[test]
fn edits_under_steady_traffic_cost_no_request_and_no_call() {
    for is_pulled in [false, true] {
        edits_cost_no_request_and_no_call(is_pulled);
    }
}

fn edits_cost_no_request_and_no_call(is_pulled: bool) {
    let azure = Azure::start(Options::default());
    let plugin = downstream::plugin(&azure);
    let setup = Setup {
        listeners: 2,
        is_pulled,
        ..Setup::default()
    };
    let istio = Istio::set_up(&azure, &plugin, &setup);
    istio.echo();
    let is_over = AtomicBool::new(false);
    let answered = AtomicUsize::new(0);
    thread::scope(|scope| {
        for &port in &istio.ports {
            let (is_over, answered) = (&is_over, &answered);
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    let answer = send(port, TARGET, ECHO);
                    assert_eq!(answer.status, 200, "{}", answer.text());
                    answered.fetch_add(1, Ordering::Relaxed);
                    thread::sleep(Duration::from_millis(5));
                }
            });
        }
        for version in 1..=4 {
            istio.update_at(&another(&plugin, version), &version.to_string());
            let mut wrong = plugin.clone();
            wrong["targets"][0]["audience"] = json!("");
            istio.update_refused(&wrong, &format!("{version}-wrong"));
            let before = answered.load(Ordering::Relaxed);
            eventually(PATIENCE, "requests go on", || {
                match answered.load(Ordering::Relaxed) {
                    now if now >= before + 10 => Ok(()),
                    now => Err(now),
                }
            });
        }
        is_over.store(true, Ordering::Relaxed);
    });
    assert_eq!(azure.state().imds.calls, 1);
}
