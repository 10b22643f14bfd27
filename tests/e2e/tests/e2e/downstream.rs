//! The module as Istio places it: a downstream HTTP filter on a listener that carries many
//! hosts, no singleton service, no `vm_id`.

use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use azure_sim::{EchoReport, Fault, FaultKind, Options, Service};
use e2e::azure::{Azure, ECHO};
use e2e::raw::Connection;
use e2e::{Envoy, eventually, free_port, http, tools};
use rustix::process::Signal;
use serde_json::{Value, json};

/// The host that gets tokens.
pub(crate) const TARGET: &str = "abc.metrics.ingest.monitor.azure.com";

/// What istiod calls the filter of a WasmPlugin `entra-auth` in the namespace `monitoring`.
pub(crate) const NAME: &str = "extensions.istio.io/wasmplugin/monitoring.entra-auth";

pub(crate) const WASM: &str = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm";

/// A plugin configuration for `TARGET`, as a user of Istio writes it; but a call that hangs is given
/// up sooner than by default, so that tests need not wait.
pub(crate) fn plugin(azure: &Azure) -> Value {
    json!({
        "identities": [{
            "name": "default",
            "type": "systemAssigned",
            "imds": {"cluster": "imds", "authority": azure.addresses().imds.to_string()},
        }],
        "targets": [{
            "hosts": ["*.metrics.ingest.monitor.azure.com"],
            "identity": "default",
            "audience": "https://monitor.azure.com",
        }],
        "tokenRequestTimeout": "4s",
    })
}

/// An Envoy that leads `TARGET` to a cluster named after it, `/anywhere` on that host to one
/// that is not, and every other host to a third; all of them are the simulated target.
pub(crate) fn bootstrap(azure: &Azure, port: u16, plugin: &Value) -> String {
    let wasm = wasm(plugin, &tools::module(), Some(""));
    around(azure, port, &json!({"name": NAME, "typed_config": wasm})).to_string()
}

/// The filter as istiod writes it. `resource_version` is that of the WasmPlugin, which istiod
/// leaves empty where its source has none. It reaches Envoy with a module in a file alone: of one that
/// Istio's agent has pulled (`oci://`) the agent takes Istio's own variables away.
pub(crate) fn wasm(plugin: &Value, module: &Path, resource_version: Option<&str>) -> Value {
    let variables: serde_json::Map<_, _> = resource_version
        .map(|version| {
            let name = "ISTIO_META_WASM_PLUGIN_RESOURCE_VERSION".to_owned();
            (name, json!(version))
        })
        .into_iter()
        .collect();
    json!({
        "@type": WASM,
        "config": {
            "name": "monitoring.entra-auth",
            "root_id": "entra-auth",
            "failure_policy": "FAIL_RELOAD",
            "vm_config": {
                "runtime": "envoy.wasm.runtime.v8",
                "code": {"local": {"filename": module}},
                "environment_variables": {"key_values": variables},
            },
            "configuration": {
                "@type": "type.googleapis.com/google.protobuf.StringValue",
                "value": plugin.to_string(),
            },
        },
    })
}

/// The same Envoy with this HTTP filter in place of ours.
pub(crate) fn around(azure: &Azure, port: u16, filter: &Value) -> Value {
    let addresses = azure.addresses();
    let cluster = |name: &str, address: std::net::SocketAddr| {
        json!({
            "name": name,
            "connect_timeout": "5s",
            "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": {
                "address": {"socket_address": {"address": address.ip().to_string(), "port_value": address.port()}},
            }}]}]},
        })
    };
    let target = format!("outbound|443||{TARGET}");
    json!({
        "static_resources": {
            "clusters": [
                cluster("imds", addresses.imds),
                cluster(&target, addresses.target_plain),
                cluster("PassthroughCluster", addresses.target_plain),
                cluster("outbound|80||other.example.com", addresses.target_plain),
            ],
            "listeners": [{
                "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
                "filter_chains": [{"filters": [{
                    "name": "envoy.filters.network.http_connection_manager",
                    "typed_config": {
                        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                        "stat_prefix": "outbound",
                        "route_config": {"virtual_hosts": [
                            {"name": "target", "domains": [TARGET, format!("{TARGET}:*")], "routes": [
                                {"match": {"path": "/anywhere"}, "route": {"cluster": "PassthroughCluster"}},
                                {"match": {"prefix": "/"}, "route": {"cluster": target}},
                            ]},
                            {"name": "other", "domains": ["*"], "routes": [
                                {"match": {"prefix": "/"}, "route": {"cluster": "outbound|80||other.example.com"}},
                            ]},
                        ]},
                        "http_filters": [
                            filter,
                            {
                                "name": "envoy.filters.http.router",
                                "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
                            },
                        ],
                    },
                }]}],
            }],
        },
    })
}

/// Sends a GET with a token of its own.
pub(crate) fn send(port: u16, host: &str, path: &str) -> http::Response {
    let request = http::Request::get(format!("http://127.0.0.1:{port}{path}"))
        .header("Host", host)
        .header("Authorization", "Bearer the-clients-own")
        .body(Vec::new())
        .expect("a request");
    http::send(request).expect("an answer")
}

#[test]
fn workers_without_a_singleton_get_one_token_and_put_it_on_the_target_hosts_alone() {
    let azure = Azure::start(Options::default());
    let port = free_port();
    let _envoy = Envoy::start(&bootstrap(&azure, port, &plugin(&azure)), port);

    for host in [TARGET, "ABC.metrics.ingest.monitor.azure.com:80"] {
        let answer = send(port, host, ECHO);
        assert_eq!(answer.status, 200, "{host}: {}", answer.text());
        let echo: EchoReport = answer.json().expect("an echo");
        assert_eq!(echo.token.aud, "https://monitor.azure.com");
    }
    assert_eq!(azure.state().imds.calls, 1);

    // Not a target: what the client sent goes on, and the target refuses it.
    for host in [
        "other.example.com",
        "evil.com",
        "metrics.ingest.monitor.azure.com",
    ] {
        assert_eq!(send(port, host, ECHO).status, 401, "{host}");
    }
    let refused = azure.state().target.refused;
    assert_eq!(refused.values().sum::<u64>(), 3);
    assert_eq!(
        refused.get(&azure_sim::TokenRefusal::Malformed),
        Some(&3),
        "{refused:?}"
    );
}

/// `:authority` is only the client's word.
#[test]
fn a_target_host_on_a_cluster_that_the_target_does_not_allow_gets_no_token() {
    let azure = Azure::start(Options::default());
    let port = free_port();
    let _envoy = Envoy::start(&bootstrap(&azure, port, &plugin(&azure)), port);
    assert_eq!(send(port, TARGET, "/anywhere").status, 401);
    assert_eq!(send(port, TARGET, ECHO).status, 200);
}

/// A request that is parked must not put off the tick that ends the wait of the others.
#[test]
fn a_steady_stream_of_requests_does_not_prolong_the_wait_of_any() {
    let azure = Azure::start(Options::default());
    let broken = Fault::new(Service::Imds, FaultKind::Hang);
    azure.inject(broken).expect("a fault");
    let port = free_port();
    let mut plugin = plugin(&azure);
    plugin["hold"] = json!({"timeout": "1s"});
    let bootstrap = bootstrap(&azure, port, &plugin);
    let _envoy = Envoy::start_with(&bootstrap, port, &["--concurrency", "1"]);

    let request = &format!("GET {ECHO} HTTP/1.1\r\nHost: {TARGET}\r\n\r\n");
    let (sender, sent) = mpsc::channel();
    let longest = thread::scope(|scope| {
        scope.spawn(move || {
            for _ in 0..600 {
                let mut connection = Connection::open(port).expect("a connection");
                connection.send(request).expect("sent");
                sender.send((Instant::now(), connection)).expect("a reader");
                thread::sleep(Duration::from_millis(7));
            }
        });
        let waits = sent.iter().map(|(since, mut connection)| {
            assert_eq!(connection.answer().expect("an answer").status(), 503);
            since.elapsed()
        });
        waits.max().expect("answers")
    });
    // The stream lasts 4.2 s at least.
    assert!(longest < Duration::from_secs(3), "{longest:?}");
}

/// Envoy runs what a VM told it to do with many requests one inside the other: all at one tick would
/// exhaust the VM's stack.
#[test]
fn a_thousand_requests_that_are_held_too_long_at_one_instant_are_all_answered() {
    const REQUESTS: usize = 1024;
    const HOLD: Duration = Duration::from_secs(3);
    let azure = Azure::start(Options::default());
    let broken = Fault::new(Service::Imds, FaultKind::Hang);
    let broken = azure.inject(broken).expect("a fault");
    let port = free_port();
    let mut plugin = plugin(&azure);
    plugin["hold"] = json!({"timeout": "3s", "maxRequests": REQUESTS});
    let bootstrap = bootstrap(&azure, port, &plugin);
    let envoy = Envoy::start_with(&bootstrap, port, &["--concurrency", "1"]);

    let mut connections: Vec<_> = (0..REQUESTS)
        .map(|_| Connection::open(port).expect("a connection"))
        .collect();
    let request = &format!("GET {ECHO} HTTP/1.1\r\nHost: {TARGET}\r\n\r\n");
    for connection in &mut connections {
        connection.send(request).expect("sent");
    }
    // Long enough for all to be held. A worker that gets no turn until the last one's time is over
    // finds all of them at one tick.
    thread::sleep(HOLD / 2);
    envoy.process().signal(Signal::STOP);
    thread::sleep(HOLD);
    envoy.process().signal(Signal::CONT);
    for connection in &mut connections {
        let answer = connection.answer().expect("an answer");
        let text = answer.text();
        assert_eq!(answer.status(), 503, "{text}");
        assert!(text.contains("token_unavailable"), "{text}");
    }
    let log = envoy.process().logs();
    assert!(!log.contains("proxy_on_"), "{log}");

    azure.end_fault(broken);
    eventually(
        Duration::from_secs(20),
        "requests are served",
        || match send(port, TARGET, ECHO).status {
            200 => Ok(()),
            other => Err(other),
        },
    );
}
