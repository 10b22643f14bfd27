//! The configuration changes while Envoy runs, by ECDS as from istiod: a file here, a server
//! there. Each update makes new root contexts; the old ones live until their last request ends.

use std::thread::sleep;
use std::time::{Duration, Instant};

use azure_sim::{EchoReport, Fault, FaultKind, Identity, Options, Service};
use e2e::azure::{Azure, ECHO};
use e2e::raw::Connection;
use e2e::{Memory, eventually};
use serde_json::{Value, json};

use crate::downstream::{self, TARGET, send};
use crate::istio::{Istio, another, echo_of};

fn with_identity(plugin: &Value, identity: &Identity) -> Value {
    let mut plugin = plugin.clone();
    plugin["identities"][0]["type"] = json!("userAssigned");
    plugin["identities"][0]["clientId"] = json!(identity.client_id);
    plugin
}

/// Sends requests one by one until one waits for a token: from then on the one worker uses the
/// new configuration.
fn ask_until_one_waits(istio: &Istio) -> Vec<Connection> {
    let mut asked = Vec::new();
    eventually(Duration::from_secs(20), "a request waits", || {
        asked.push(istio.ask(ECHO));
        match istio.stat("entra_auth_held_requests") {
            0 => Err("none does"),
            _ => Ok(()),
        }
    });
    asked
}

fn azure_with_two_identities() -> (Azure, Identity, Identity) {
    let [one, two] = ["one", "two"].map(Identity::user_assigned);
    let azure = Azure::start(Options {
        user_assigned: vec![one.clone(), two.clone()],
        ..Options::default()
    });
    (azure, one, two)
}

#[test]
fn an_update_ends_the_old_roots_call_and_another_is_made_while_the_valid_token_is_served() {
    let (azure, plugin, istio) = Istio::with_a_token_that_is_soon_renewed();
    let hanging = Fault::new(Service::Imds, FaultKind::Hang).times(1);
    azure.inject(hanging).expect("a fault");
    eventually(
        Duration::from_secs(20),
        "IMDS is asked again",
        || match azure.state().imds.calls {
            2 => Ok(()),
            calls => Err(calls),
        },
    );

    istio.update(&another(&plugin, 1));
    eventually(Duration::from_secs(20), "the next token", || {
        match istio.echo().token.generation {
            Some(1) => Err("still the first"),
            _ => Ok(()),
        }
    });
    assert_eq!(azure.state().imds.max_in_flight, 1);
    // A call that an update ended is no failure that people should hear of.
    let log = istio.envoy.process().logs();
    for told in ["no token for", "could not be renewed"] {
        assert!(!log.contains(told), "{log}");
    }
}

#[test]
fn requests_of_an_old_configuration_end_as_they_began() {
    let (azure, one, two) = azure_with_two_identities();
    let slow = Fault::new(Service::Target, FaultKind::DelayMs(5000)).on_path("/slow");
    azure.inject(slow).expect("a fault");
    let plugins = [&one, &two].map(|identity| with_identity(&downstream::plugin(&azure), identity));
    let istio = Istio::with_workers(1, &azure, &plugins[0]);
    istio.echo();
    let at_target = [(); 5].map(|()| istio.ask("/slow"));
    eventually(
        Duration::from_secs(10),
        "all are at the target",
        || match azure.state().target.in_flight {
            5 => Ok(()),
            other => Err(other),
        },
    );
    let hanging = Fault::new(Service::Imds, FaultKind::Hang).times(1);
    azure.inject(hanging).expect("a fault");
    istio.update(&plugins[1]);
    drop(ask_until_one_waits(&istio));
    istio.wait_until_held(0);
    let waiting = [(); 20].map(|()| istio.ask(ECHO));
    istio.wait_until_held(20);

    istio.update(&plugins[0]);
    istio.wait_until_served_as(&one);
    for connection in at_target {
        assert_eq!(echo_of(connection).token.oid, one.object_id);
    }
    for connection in waiting {
        assert_eq!(echo_of(connection).token.oid, two.object_id);
    }
    assert_eq!(azure.state().imds.max_in_flight, 1);
}

#[test]
fn requests_that_wait_under_the_old_configuration_are_answered_in_time() {
    let azure = Azure::start(Options::default());
    let outage = Fault::new(Service::Imds, FaultKind::status(500));
    azure.inject(outage).expect("a fault");
    let mut plugin = downstream::plugin(&azure);
    plugin["hold"] = json!({"timeout": "4s"});
    let istio = Istio::start(&azure, &plugin);
    let asked = Instant::now();
    let mut waiting = [(); 20].map(|()| istio.ask(ECHO));
    // One that came after the update would wait as long as that says.
    istio.wait_until_held(20);
    plugin["hold"] = json!({"timeout": "30s"});
    istio.update(&plugin);
    for connection in &mut waiting {
        let answer = connection.answer().expect("an answer");
        assert_eq!(answer.status(), 503);
        assert!(answer.header("retry-after").is_some(), "{answer:?}");
    }
    let waited = asked.elapsed();
    // Far less than under the new configuration; the update itself takes its time, too.
    assert!(waited < Duration::from_secs(20), "{waited:?}");
}

#[test]
fn an_update_that_is_wrong_is_refused_and_the_log_names_the_path() {
    let azure = Azure::start(Options::default());
    let plugin = downstream::plugin(&azure);
    let istio = Istio::start(&azure, &plugin);
    istio.echo();
    let mut wrong = plugin.clone();
    wrong["targets"][0]["hosts"] = json!(["https://x"]);
    istio.update_refused(&wrong, "");
    let log = istio.envoy.process().logs();
    assert!(log.contains("targets[0].hosts[0]: "), "{log}");
    for _ in 0..20 {
        istio.echo();
    }
    istio.update(&another(&plugin, 1));
    istio.echo();
    assert_eq!(azure.state().imds.calls, 1);
}

#[test]
fn a_change_of_identity_or_audience_is_another_token_and_never_the_old_one() {
    const OTHER: &str = "https://prometheus.monitor.azure.com";
    let (one, two) = (
        Identity::user_assigned("one"),
        Identity::user_assigned("two"),
    );
    let azure = Azure::start(Options {
        user_assigned: vec![one.clone(), two.clone()],
        target_audiences: vec![azure_sim::AZURE_MONITOR.to_owned(), OTHER.to_owned()],
        ..Options::default()
    });
    let plugin = with_identity(&downstream::plugin(&azure), &one);
    let istio = Istio::with_workers(1, &azure, &plugin);
    let mut old = (one.object_id.clone(), azure_sim::AZURE_MONITOR.to_owned());
    let of = |echo: EchoReport| (echo.token.oid, echo.token.aud);
    assert_eq!(of(istio.echo()), old);

    let second = with_identity(&plugin, &two);
    let mut third = second.clone();
    third["targets"][0]["audience"] = json!(OTHER);
    for (plugin, audience) in [(second, azure_sim::AZURE_MONITOR), (third, OTHER)] {
        let new = (two.object_id.clone(), audience.to_owned());
        // Nobody has this token yet: until it comes, requests wait.
        let hanging = Fault::new(Service::Imds, FaultKind::Hang).times(1);
        azure.inject(hanging).expect("a fault");
        istio.update(&plugin);
        let asked = ask_until_one_waits(&istio);
        let more = [(); 20].map(|()| istio.ask(ECHO));
        for connection in asked {
            let token = of(echo_of(connection));
            assert!(token == old || token == new, "{token:?}");
        }
        for connection in more {
            assert_eq!(of(echo_of(connection)), new);
        }
        old = new;
    }
    // Its record is still there.
    istio.update(&plugin);
    istio.wait_until_served_as(&one);
    assert_eq!(azure.state().imds.tokens_issued, 3);
}

#[test]
fn a_change_of_hosts_takes_effect() {
    let azure = Azure::start(Options::default());
    let mut plugin = downstream::plugin(&azure);
    // Otherwise the clusters, which follow from the hosts, would decide as well.
    plugin["targets"][0]["clusters"] = json!(["*"]);
    let istio = Istio::start(&azure, &plugin);
    istio.echo();
    let mut others = plugin.clone();
    others["targets"][0]["hosts"] = json!(["other.example.com"]);
    istio.update(&others);
    let becomes = |host: &str, status| {
        eventually(Duration::from_secs(20), host, || {
            match send(istio.port(), host, ECHO).status {
                now if now == status => Ok(()),
                now => Err(now),
            }
        });
    };
    becomes("other.example.com", 200);
    becomes(TARGET, 401);
    istio.update(&plugin);
    becomes(TARGET, 200);
    becomes("other.example.com", 401);
    assert_eq!(azure.state().imds.calls, 1);
}

#[test]
fn fifty_quick_updates_cost_no_call_and_no_memory() {
    let (azure, one, two) = azure_with_two_identities();
    let plugins = [&one, &two].map(|identity| with_identity(&downstream::plugin(&azure), identity));
    let istio = Istio::start(&azure, &plugins[0]);
    for plugin in plugins.iter().rev() {
        istio.echo();
        istio.update(plugin);
    }
    let before = memory(&istio);
    for number in 0..50 {
        istio.update(&another(&plugins[number % 2], number));
        istio.echo();
    }
    let after = memory(&istio);
    let grown = after.saturating_sub(before);
    assert!(grown < 8 << 20, "Envoy grew by {} KiB", grown >> 10);
    assert_eq!(azure.state().imds.calls, 2);
}

fn memory(istio: &Istio) -> u64 {
    Memory::of(istio.envoy.process().id())
        .expect("a process")
        .now
}

/// istiod writes the WasmPlugin's resource version into the VM's environment, so that every edit
/// makes new VMs.
#[test]
fn new_vms_find_the_token_of_the_old_ones() {
    let azure = Azure::start(Options::default());
    let plugin = downstream::plugin(&azure);
    let istio = Istio::start(&azure, &plugin);
    istio.echo();
    for version in 1..=5 {
        let created = istio.stat("v8.created");
        istio.update_at(&plugin, &version.to_string());
        assert!(istio.stat("v8.created") > created, "no new VM");
        istio.echo();
    }
    assert_eq!(azure.state().imds.calls, 1);
}

#[test]
fn what_an_update_replaces_leaves_the_metrics_of_its_successor_true() {
    let (azure, one, two) = azure_with_two_identities();
    let slow = Fault::new(Service::Target, FaultKind::DelayMs(1500)).on_path("/slow");
    azure.inject(slow).expect("a fault");
    let plugin = |identity| with_identity(&downstream::plugin(&azure), identity);
    let istio = Istio::start(&azure, &plugin(&one));
    istio.echo();
    // Another slot in the same VMs, then the same slot in new ones.
    for (identity, version) in [(&two, ""), (&two, "1")] {
        let mut last_of_the_old = istio.ask("/slow");
        istio.update_at(&plugin(identity), version);
        istio.echo();
        let answer = last_of_the_old.answer().expect("an answer");
        assert_eq!(answer.status(), 200);
        let newest = azure.state().tokens.last().map(|token| token.expires_at);
        let newest = newest.and_then(|expiry| u64::try_from(expiry).ok());
        let newest = newest.expect("a token");
        let is_true = || match istio.stat("token_expiry_timestamp_seconds") {
            shown if shown.abs_diff(newest) <= 2 => Ok(()),
            shown => Err(format!("{shown} instead of {newest}")),
        };
        // The old root goes a moment after its last request.
        sleep(Duration::from_millis(300));
        eventually(Duration::from_secs(10), "the metric is true", is_true);
    }
}
