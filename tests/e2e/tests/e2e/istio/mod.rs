//! Envoy as istiod sets it up for a pod: plugins that come by ECDS to every outbound listener, with
//! what istiod writes into them. Here ECDS is a file, there a server.

mod alerts;
mod files;
mod first_configuration;
mod forms;
mod hardened;
mod in_clear;
mod module_lost;
mod neighbour;
mod neighbours;
mod sidecar;
mod stats;
mod traffic;
mod under_way;

use std::cell::Cell;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use azure_sim::{EchoReport, Identity, Settings};
use e2e::azure::{Azure, ECHO};
use e2e::raw::Connection;
use e2e::{Envoy, eventually, free_port, http, tools};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::downstream::{self, NAME, TARGET, WASM, send};

const PATIENCE: Duration = Duration::from_secs(20);

/// What is set up.
pub(crate) struct Setup<'a> {
    pub(crate) workers: usize,
    /// How many listeners the plugin is on.
    pub(crate) listeners: usize,
    /// Whether Istio's agent has pulled the module: then no edit makes new VMs.
    pub(crate) is_pulled: bool,
    /// Which types of filter the listener takes for ours.
    pub(crate) types: &'static [&'static str],
    /// What comes for ours in the first place: the plugin, or what Istio's agent sends without the module.
    pub(crate) has_module: bool,
    /// The filter of another WasmPlugin, before ours.
    pub(crate) neighbour: Option<&'a Value>,
    /// Changes of the bootstrap.
    pub(crate) change: &'a dyn Fn(&mut Value),
}

impl Default for Setup<'_> {
    fn default() -> Self {
        Self {
            workers: 2,
            listeners: 1,
            is_pulled: false,
            types: AS_ISTIOD,
            has_module: true,
            neighbour: None,
            change: &|_| (),
        }
    }
}

/// An Envoy whose plugin comes from a file.
pub(crate) struct Istio {
    pub(crate) envoy: Envoy,
    folder: TempDir,
    /// Of each listener.
    pub(crate) ports: Vec<u16>,
    admin: u16,
    is_pulled: bool,
    version: Cell<u32>,
}

impl Istio {
    /// Starts it with this plugin configuration.
    pub(crate) fn start(azure: &Azure, plugin: &Value) -> Self {
        Self::set_up(azure, plugin, &Setup::default())
    }

    /// The same with so many workers.
    pub(crate) fn with_workers(workers: usize, azure: &Azure, plugin: &Value) -> Self {
        let setup = Setup {
            workers,
            ..Setup::default()
        };
        Self::set_up(azure, plugin, &setup)
    }

    /// Has its first token, and asks for another within seconds; with the plugin's configuration.
    pub(crate) fn with_a_token_that_is_soon_renewed() -> (Azure, Value, Self) {
        let azure = Azure::with(Settings {
            refresh_in_seconds: Some(1),
            cache: false,
            ..Settings::default()
        });
        let plugin = downstream::plugin(&azure);
        let istio = Self::start(&azure, &plugin);
        assert_eq!(istio.echo().token.generation, Some(1));
        (azure, plugin, istio)
    }

    pub(crate) fn set_up(azure: &Azure, plugin: &Value, setup: &Setup<'_>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let ours = match setup.has_module {
            true => downstream::wasm(plugin, &tools::module(), (!setup.is_pulled).then_some("")),
            false => module_lost::denial(),
        };
        write(&folder, NAME, 1, &ours);
        let admin = free_port();
        let ports: Vec<_> = (0..setup.listeners).map(|_| free_port()).collect();
        let mut bootstrap =
            downstream::around(azure, ports[0], &by_ecds(&folder, NAME, setup.types));
        if let Some(neighbour) = setup.neighbour {
            let name = "extensions.istio.io/wasmplugin/monitoring.neighbour";
            write(&folder, name, 1, neighbour);
            let filters =
                "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/http_filters";
            let filters = bootstrap.pointer_mut(filters).and_then(Value::as_array_mut);
            filters
                .expect("filters")
                .insert(0, by_ecds(&folder, name, AS_ISTIOD));
        }
        let listeners = &mut bootstrap["static_resources"]["listeners"];
        let first = listeners[0].clone();
        let further = ports[1..].iter().map(|port| {
            let mut listener = first.clone();
            listener["address"]["socket_address"]["port_value"] = json!(port);
            listener
        });
        listeners.as_array_mut().expect("listeners").extend(further);
        bootstrap["node"] = json!({"id": "a-pod", "cluster": "a-deployment"});
        bootstrap["admin"] = json!({"address": {"socket_address": {
            "address": "127.0.0.1",
            "port_value": admin,
        }}});
        (setup.change)(&mut bootstrap);
        let options = ["--concurrency", &setup.workers.to_string()];
        let last = *ports.last().expect("a listener");
        Self {
            envoy: Envoy::start_with(&bootstrap.to_string(), last, &options),
            folder,
            ports,
            admin,
            is_pulled: setup.is_pulled,
            version: Cell::new(1),
        }
    }

    /// Of the first listener.
    pub(crate) fn port(&self) -> u16 {
        self.ports[0]
    }

    /// Has Envoy take another plugin configuration.
    pub(crate) fn update(&self, plugin: &Value) {
        self.update_at(plugin, "");
    }

    /// The same from a WasmPlugin of this resource version.
    pub(crate) fn update_at(&self, plugin: &Value, resource_version: &str) {
        self.offer(plugin, resource_version, "config_reload");
    }

    /// Offers a plugin configuration that Envoy is to refuse.
    pub(crate) fn update_refused(&self, plugin: &Value, resource_version: &str) {
        self.offer(plugin, resource_version, "update_rejected");
    }

    /// Offers a configuration and waits until this is counted once more.
    fn offer(&self, plugin: &Value, resource_version: &str, outcome: &str) {
        let resource_version = (!self.is_pulled).then_some(resource_version);
        let wasm = downstream::wasm(plugin, &tools::module(), resource_version);
        self.offer_filter(&wasm, outcome);
    }

    /// The same with any filter in the place of ours.
    fn offer_filter(&self, filter: &Value, outcome: &str) {
        let counter = format!("{NAME}.{outcome}");
        let before = self.stat(&counter);
        self.version.set(self.version.get() + 1);
        write(&self.folder, NAME, self.version.get(), filter);
        eventually(PATIENCE, &counter, || match self.stat(&counter) {
            count if count > before => Ok(()),
            _ => Err(self.envoy.process().tail()),
        });
    }

    /// The metric of Envoy's whose name ends so.
    pub(crate) fn stat(&self, name: &str) -> u64 {
        stat_of(self.admin, name)
    }

    /// Waits until the metric has this value.
    pub(crate) fn wait_for_stat(&self, name: &str, value: u64) {
        eventually(PATIENCE, name, || match self.stat(name) {
            now if now == value => Ok(()),
            now => Err(format!("{now} instead of {value}")),
        });
    }

    /// Waits until so many requests wait for a token.
    pub(crate) fn wait_until_held(&self, count: u64) {
        self.wait_for_stat("entra_auth_held_requests", count);
    }

    pub(crate) fn wait_until_served_as(&self, identity: &Identity) {
        eventually(PATIENCE, "this identity's token", || {
            let oid = self.echo().token.oid;
            if oid == identity.object_id {
                Ok(())
            } else {
                Err(oid)
            }
        });
    }

    /// Sends a request to the target and does not wait for its answer.
    pub(crate) fn ask(&self, path: &str) -> Connection {
        ask_at(self.port(), path)
    }

    /// What the target sees of a request.
    pub(crate) fn echo(&self) -> EchoReport {
        let answer = send(self.port(), TARGET, ECHO);
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json().expect("an echo")
    }
}

/// The metric of an Envoy with this admin port whose name ends so.
fn stat_of(admin: u16, name: &str) -> u64 {
    let last = name.rsplit('.').next().unwrap_or_default();
    let url = format!("http://127.0.0.1:{admin}/stats?filter={last}$");
    let stats = http::get(&url).expect("an answer").text();
    let values = stats.lines().filter_map(|line| line.split_once(": "));
    let mut values = values.filter(|(found, _)| found.ends_with(name));
    let (_, value) = values
        .next()
        .unwrap_or_else(|| panic!("no {name} in {stats:?}"));
    value.parse().expect("a number")
}

/// Sends a request to the target by this port and does not wait for its answer.
pub(crate) fn ask_at(port: u16, path: &str) -> Connection {
    let mut connection = Connection::open(port).expect("a connection");
    let request = format!("GET {path} HTTP/1.1\r\nHost: {TARGET}\r\n\r\n");
    connection.send(request).expect("sent");
    connection
}

/// What the target has seen of a request that was sent.
#[track_caller]
pub(crate) fn echo_of(mut connection: Connection) -> EchoReport {
    let answer = connection.answer().expect("an answer");
    assert_eq!(answer.status(), 200, "{}", answer.text());
    serde_json::from_slice(&answer.body).expect("an echo")
}

/// A configuration that differs from `plugin` in nothing that concerns tokens.
pub(crate) fn another(plugin: &Value, number: usize) -> Value {
    let mut plugin = plugin.clone();
    let hosts = plugin["targets"][0]["hosts"].as_array_mut();
    hosts
        .expect("hosts")
        .push(json!(format!("host{number}.example.com")));
    plugin
}

/// The types of filter that istiod's listener takes for a WasmPlugin: the second is what its agent sends
/// in its place without the module.
pub(crate) const AS_ISTIOD: &[&str] = &[WASM, module_lost::RBAC];

/// The filter in a listener, which says where its configuration comes from.
fn by_ecds(folder: &TempDir, name: &str, types: &[&str]) -> Value {
    json!({"name": name, "config_discovery": {
        "config_source": {
            "path_config_source": {"path": file(folder, name)},
            "resource_api_version": "V3",
        },
        "type_urls": types,
    }})
}

fn file(folder: &TempDir, name: &str) -> PathBuf {
    let name = name.rsplit('/').next().expect("a name");
    folder.path().join(format!("{name}.json"))
}

/// Puts a filter in the place of the last one, in one step.
pub(crate) fn write(folder: &TempDir, name: &str, version: u32, wasm: &Value) {
    let response = json!({
        "version_info": version.to_string(),
        "resources": [{
            "@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
            "name": name,
            "typed_config": wasm,
        }],
    });
    let new = folder.path().join("new.json");
    fs::write(&new, response.to_string()).expect("written");
    fs::rename(new, file(folder, name)).expect("renamed");
}
