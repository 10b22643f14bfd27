//! Who asks for tokens: whatever the number of workers, with and without a singleton service, one
//! call for a token is in flight in an Envoy, refresh after refresh, and no request ever waits.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use azure_sim::{Fault, FaultKind, Identity, Options, Service, Settings};
use e2e::azure::{Azure, ECHO};
use e2e::{Envoy, eventually, free_port, http};
use serde_json::{Value, json};

use crate::downstream;

/// Each has a token of its own, and IMDS answers five at once at most.
const IDENTITIES: usize = 4;
const REFRESHES: u64 = 200;

fn host(index: usize) -> String {
    format!("number-{index}.metrics.ingest.monitor.azure.com")
}

/// A target for each of the identities, whose tokens are asked for again as early as can be.
fn plugin(azure: &Azure, identities: &[Identity]) -> Value {
    let imds = json!({"cluster": "imds", "authority": azure.addresses().imds.to_string()});
    let identity = |(index, identity): (usize, &Identity)| {
        json!({
            "name": format!("number-{index}"),
            "type": "userAssigned",
            "clientId": identity.client_id,
            "imds": imds,
        })
    };
    let target = |index| {
        json!({
            "hosts": [host(index)],
            "identity": format!("number-{index}"),
            "audience": "https://monitor.azure.com",
            "clusters": ["*"],
        })
    };
    json!({
        "identities": identities.iter().enumerate().map(identity).collect::<Vec<_>>(),
        "targets": (0..IDENTITIES).map(target).collect::<Vec<_>>(),
        "refreshBeforeExpiryPercent": 99,
    })
}

/// The same plugin once more, as a service on the main thread.
fn with_singleton(bootstrap: &str) -> String {
    let mut bootstrap: Value = serde_json::from_str(bootstrap).expect("JSON");
    let filter = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/http_filters/0/typed_config/config";
    let mut plugin = bootstrap.pointer(filter).expect("the plugin").clone();
    // A service has no requests for which to load a VM again.
    plugin
        .as_object_mut()
        .expect("an object")
        .remove("failure_policy");
    bootstrap["bootstrap_extensions"] = json!([{
        "name": "envoy.bootstrap.wasm",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.wasm.v3.WasmService",
            "config": plugin,
            "singleton": true,
        },
    }]);
    bootstrap.to_string()
}

fn one_call_at_a_time(workers: usize, singleton: bool) {
    let identities: Vec<_> = (0..IDENTITIES)
        .map(|index| Identity::user_assigned(&format!("number-{index}")))
        .collect();
    let azure = Azure::start(Options {
        user_assigned: identities.clone(),
        settings: Settings {
            token_lifetime_seconds: 6,
            cache: false,
            ..Settings::default()
        },
        ..Options::default()
    });
    // Time for a second caller to come in between.
    let slow = Fault::new(Service::Imds, FaultKind::DelayMs(200));
    azure.inject(slow).expect("a fault");
    let port = free_port();
    let mut bootstrap = downstream::bootstrap(&azure, port, &plugin(&azure, &identities));
    if singleton {
        bootstrap = with_singleton(&bootstrap);
    }
    let started = Instant::now();
    let concurrency = workers.to_string();
    let _envoy = Envoy::start_with(&bootstrap, port, &["--concurrency", &concurrency]);

    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for index in 0..IDENTITIES {
            let done = &done;
            scope.spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    let request = http::Request::get(format!("http://127.0.0.1:{port}{ECHO}"))
                        .header("Host", host(index))
                        .body(Vec::new())
                        .expect("a request");
                    let answer = http::send(request).expect("an answer");
                    assert_eq!(answer.status, 200, "{}", answer.text());
                    thread::sleep(Duration::from_millis(50));
                }
            });
        }
        eventually(
            Duration::from_secs(240),
            "hundreds of refreshes",
            || match azure.state().imds.tokens_issued {
                REFRESHES.. => Ok(()),
                issued => Err(format!("{issued} so far")),
            },
        );
        done.store(true, Ordering::Relaxed);
    });

    let state = azure.state();
    let case = format!("{workers} workers, singleton: {singleton}");
    assert_eq!(
        state.imds.max_in_flight_alike, 1,
        "{case}: {:?}",
        state.imds
    );
    assert!(state.imds.refused.is_empty(), "{:?}", state.imds.refused);
    assert!(
        state.target.refused.is_empty(),
        "{:?}",
        state.target.refused
    );
    // A token is asked for a second after the last one at the earliest.
    let most = IDENTITIES as u64 * (started.elapsed().as_secs() + 1);
    assert!(
        state.imds.calls <= most,
        "{case}: {} calls, {most} at most",
        state.imds.calls
    );
    for identity in &identities {
        let tokens = state.tokens.iter();
        let own = tokens
            .filter(|token| token.object_id == identity.object_id)
            .count();
        assert!(own >= 20, "{case}: {own} tokens for one identity");
    }
}

#[test]
fn one_call_for_a_token_is_in_flight_whatever_the_workers_with_and_without_a_singleton() {
    thread::scope(|scope| {
        for (workers, singleton) in [(1, false), (16, false), (1, true), (16, true)] {
            scope.spawn(move || one_call_at_a_time(workers, singleton));
        }
    });
}
