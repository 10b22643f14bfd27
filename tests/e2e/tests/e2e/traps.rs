//! What a VM that dies takes with it, and what it must not. The module is one with a switch that
//! kills its VM as a bug would; see `filter/src/trap.rs`.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use azure_sim::{EchoReport, Fault, FaultKind, Options, Service, Settings};
use e2e::azure::{Azure, ECHO};
use e2e::raw::{Connection, Message};
use e2e::{Envoy, Process, Proxy, eventually, free_port, http, raw, tools};
use serde_json::{Value, json};

use crate::cold_start::wait_until_held;
use crate::downstream::{self, TARGET};

/// The longest wait of a request, in both placements.
const HOLD: Duration = Duration::from_secs(10);

const SWITCH: &str = "x-entra-auth-trap";

/// The product in one of its placements, with the switch; one worker, so that one VM has all
/// requests.
enum Product {
    /// The launcher's: upstream filter and singleton service.
    Launcher(Proxy),
    /// Istio's: downstream filter, no singleton service, no `vm_id`.
    Istio(Envoy, u16),
}

impl Product {
    fn launcher(azure: &Azure) -> Self {
        let proxy = azure
            .proxy()
            .set("ENTRA_AUTH_MODULE", tools::trap_module())
            .set("ENVOY_CONCURRENCY", "1")
            .set("TOKEN_REQUEST_TIMEOUT", "4");
        Self::Launcher(proxy.start())
    }

    fn istio(azure: &Azure) -> Self {
        let port = free_port();
        let mut plugin = downstream::plugin(azure);
        plugin["hold"] = json!({"timeout": format!("{}s", HOLD.as_secs())});
        let module = tools::trap_module();
        let wasm = downstream::wasm(&plugin, &module, Some(""));
        let filter = json!({"name": downstream::NAME, "typed_config": wasm});
        let bootstrap = downstream::around(azure, port, &filter).to_string();
        let envoy = Envoy::start_with(&bootstrap, port, &["--concurrency", "1"]);
        Self::Istio(envoy, port)
    }

    fn port(&self) -> u16 {
        match self {
            Self::Launcher(proxy) => proxy.port(),
            Self::Istio(_, port) => *port,
        }
    }

    fn process(&self) -> &Process {
        match self {
            Self::Launcher(proxy) => proxy.process(),
            Self::Istio(envoy, _) => envoy.process(),
        }
    }

    /// Sends a request and does not wait for its answer.
    fn ask(&self, path: &str) -> Connection {
        let mut connection = Connection::open(self.port()).expect("a connection");
        let request = format!("GET {path} HTTP/1.1\r\nHost: {TARGET}\r\n\r\n");
        connection.send(request).expect("sent");
        connection
    }

    /// Sends a request that kills the VM it comes to.
    fn kill_vm(&self, how: &str) -> Message {
        let request = format!("GET {ECHO} HTTP/1.1\r\nHost: {TARGET}\r\n{SWITCH}: {how}\r\n\r\n");
        raw::exchange(self.port(), request).expect("an answer")
    }
}

/// The places of the product that a test goes through one by one.
const PLACEMENTS: [fn(&Azure) -> Product; 2] = [Product::launcher, Product::istio];

/// A panic is a bug in Rust; `unreachable` stands for every other end of a VM.
const WAYS_TO_DIE: [&str; 2] = ["panic", "unreachable"];

fn wait_until_served(product: &Product) {
    eventually(Duration::from_secs(60), "a request is served", || {
        let answer = product.ask(ECHO).answer().map_err(|e| e.to_string())?;
        match answer.status() {
            200 => Ok(()),
            status => Err(format!("{status}: {}", answer.text())),
        }
    });
}

/// The launcher tells every client when to come back. Under Istio an answer of ours goes back
/// through the dead filter, where Envoy makes a bare 503 of it.
#[track_caller]
fn assert_may_come_back(product: &Product, answer: &Message) {
    assert_eq!(answer.status(), 503, "{}", answer.text());
    let retry_after = answer.header("retry-after");
    if let Product::Launcher(_) = product {
        assert!(retry_after.is_some(), "{answer:?}");
    }
}

#[test]
fn the_module_that_ships_has_no_switch() {
    let has_switch = |module| {
        let bytes = fs::read(module).expect("a module");
        bytes.windows(SWITCH.len()).any(|w| w == SWITCH.as_bytes())
    };
    assert!(has_switch(tools::trap_module()));
    assert!(!has_switch(tools::module()));
}

#[test]
fn a_vm_that_dies_costs_the_requests_in_it_and_no_token_and_later_ones_are_served() {
    let azure = Azure::start(Options::default());
    let slow = Fault::new(Service::Target, FaultKind::DelayMs(5000)).on_path("/slow");
    azure.inject(slow).expect("a fault");
    for product in PLACEMENTS {
        for how in WAYS_TO_DIE {
            let product = product(&azure);
            wait_until_served(&product);
            let before = azure.state();
            let mut in_flight = [(); 5].map(|()| product.ask("/slow"));
            eventually(
                Duration::from_secs(10),
                "all are at the target",
                || match azure.state().target.in_flight {
                    5 => Ok(()),
                    other => Err(other),
                },
            );

            assert_may_come_back(&product, &product.kill_vm(how));
            for connection in &mut in_flight {
                assert_may_come_back(&product, &connection.answer().expect("an answer"));
            }
            wait_until_served(&product);
            let after = azure.state();
            assert_eq!(after.imds.calls, before.imds.calls, "{how}");
            assert!(
                after.target.refused.is_empty(),
                "{:?}",
                after.target.refused
            );
        }
    }
}

/// Envoy would let them wait for ever: nothing of a dead VM runs.
#[test]
fn requests_that_wait_in_a_vm_that_panics_are_answered() {
    for product in PLACEMENTS {
        let azure = Azure::start(Options::default());
        let outage = Fault::new(Service::Imds, FaultKind::Hang);
        let outage = azure.inject(outage).expect("a fault");
        let product = product(&azure);
        let asked = Instant::now();
        let mut waiting = [(); 50].map(|()| product.ask(ECHO));
        if let Product::Launcher(proxy) = &product {
            wait_until_held(proxy, 50.0);
        }

        assert_may_come_back(&product, &product.kill_vm("panic"));
        for connection in &mut waiting {
            assert_may_come_back(&product, &connection.answer().expect("an answer"));
        }
        let waited = asked.elapsed();
        // Not by the end of the route's or the stream's time, which is much later.
        assert!(waited < HOLD + Duration::from_secs(5), "{waited:?}");
        if let Product::Launcher(proxy) = &product {
            wait_until_held(proxy, 0.0);
        }
        assert_eq!(azure.state().target.requests, 0);

        azure.end_fault(outage);
        wait_until_served(&product);
        assert_eq!(azure.state().imds.max_in_flight, 1);
    }
}

/// The lease of a dead owner ends, and that is all the others need to know of it. One of the two
/// that die is the main thread's VM, the singleton's too, which is never loaded again.
#[test]
fn when_owners_die_of_the_tokens_answer_others_take_over_and_go_on_refreshing() {
    for product in PLACEMENTS {
        let azure = Azure::with(Settings {
            token_lifetime_seconds: 15,
            refresh_in_seconds: Some(3),
            cache: false,
            ..Settings::default()
        });
        let deadly = FaultKind::Status {
            code: 200,
            headers: BTreeMap::from([(SWITCH.to_owned(), "panic".to_owned())]),
            body: None,
        };
        let deadly = Fault::new(Service::Imds, deadly).times(2);
        azure.inject(deadly).expect("a fault");
        let product = product(&azure);
        // No request comes meanwhile, which would load a worker's VM again.
        let (main, dead) = eventually(Duration::from_secs(60), "two owners die", || {
            let (main, dead) = threads(&product.process().logs());
            match dead.len() {
                2 => Ok((main, dead)),
                _ => Err(format!("{dead:?} died")),
            }
        });
        assert!(dead.contains(&main), "{dead:?} without {main}");
        if let Product::Launcher(proxy) = &product {
            proxy.wait_until_ready();
        }
        wait_until_served(&product);

        eventually(Duration::from_secs(60), "three more tokens", || {
            let answer = product.ask(ECHO).answer().expect("an answer");
            assert_eq!(answer.status(), 200, "{}", answer.text());
            let echo: EchoReport = serde_json::from_slice(&answer.body).expect("an echo");
            match echo.token.generation {
                Some(4..) => Ok(()),
                generation => Err(format!("{generation:?}")),
            }
        });
        let state = azure.state();
        assert_eq!(state.imds.calls - state.imds.tokens_issued, 2);
        assert_eq!(state.imds.max_in_flight, 1);
        assert!(
            state.target.refused.is_empty(),
            "{:?}",
            state.target.refused
        );
        if let Product::Launcher(proxy) = &product {
            eventually(
                Duration::from_secs(20),
                "status and metrics are true",
                || status_is_true(&azure, proxy),
            );
        }
    }
}

/// The main thread's id, and of the threads in which a VM died, by Envoy's log.
fn threads(log: &str) -> (String, Vec<String>) {
    let thread = |line: &str| line.split(['[', ']']).nth(3).unwrap_or_default().to_owned();
    let of = |text| {
        log.lines()
            .filter(move |line| line.contains(text))
            .map(thread)
    };
    let main = of("starting workers").next().unwrap_or_default();
    (main, of("this is a bug").collect())
}

fn status_is_true(azure: &Azure, proxy: &Proxy) -> Result<(), String> {
    let status: Value = http::get(&proxy.status_url("/status"))?.json()?;
    let metrics = proxy.metrics()?;
    let state = azure.state();
    let newest = state.tokens.last().expect("a token");
    let metric = |name: &str| metrics.sum(&format!("entra_auth_token_{name}"));
    let successes = metrics.sum_with("entra_auth_token_requests_total", &[("result", "success")]);
    let slot = &status["slots"][0];
    let says = format!("{slot} {metrics:?} although {newest:?}");
    let expiry = metric("expiry_timestamp_seconds").unwrap_or_default();
    let is_true = slot["state"] == "valid"
        && slot["consecutiveFailures"] == 0
        && slot["generation"] == newest.generation
        && (expiry - newest.expires_at as f64).abs() <= 2.0
        && metric("refresh_failures_consecutive") == Some(0.0)
        && successes == Some(state.imds.tokens_issued as f64);
    if is_true { Ok(()) } else { Err(says) }
}
