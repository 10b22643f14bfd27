//! A sidecar with `istio/prometheus/overlays/hardened` as istiod would bring it to Envoy: its patches in a
//! bootstrap with the listener, routes and clusters of a sidecar, the filter by ECDS in the target's cluster.

use std::cell::Cell;
use std::time::Duration;

use azure_sim::{Identity, Options};
use e2e::azure::{Azure, ECHO};
use e2e::{Envoy, eventually, free_port, http, tools};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::files::{CLIENT_ID, WORKSPACE, folder, of_kind, yaml};
use super::{PATIENCE, file, in_clear, stat_of, write};
use crate::downstream::{self, TARGET};

const IMDS: &str = "outbound|80||imds.internal";

/// The name under which istiod serves the filter.
pub(super) const NAME: &str = "entra-auth";

/// What is set up in place of what the files say.
pub(super) struct Setup {
    /// What comes in the place of the filter in the first place.
    pub(super) first: fn(&Value) -> Value,
    pub(super) stats_config: Value,
    /// Whether the target's cluster has TLS, as istiod says in its metadata.
    pub(super) has_tls: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            first: Value::clone,
            stats_config: json!({}),
            has_tls: true,
        }
    }
}

/// A sidecar with the files' configuration.
pub(super) struct Sidecar {
    _envoy: Envoy,
    folder: TempDir,
    /// The filter as the files have it.
    pub(super) filter: Value,
    pub(super) port: u16,
    pub(super) admin: u16,
    version: Cell<u32>,
}

impl Sidecar {
    pub(super) fn start(azure: &Azure, identity: &Identity) -> Self {
        Self::set_up(azure, identity, &Setup::default())
    }

    pub(super) fn set_up(azure: &Azure, identity: &Identity, setup: &Setup) -> Self {
        let files = folder().join("prometheus/overlays/hardened");
        let patches = yaml(&files.join("envoyfilter.yaml")).remove(0);
        let [extension, cluster, listener] =
            ["EXTENSION_CONFIG", "CLUSTER", "HTTP_FILTER"].map(|place| patch(&patches, place));
        assert_eq!(extension["name"], NAME);
        let filter = delivered(azure, identity, extension);

        let folder = tempfile::tempdir().expect("a folder");
        write(&folder, NAME, 1, &(setup.first)(&filter));

        let (port, admin) = (free_port(), free_port());
        let mut bootstrap = downstream::around(azure, port, &listener);
        bootstrap["node"] = json!({"id": "a-pod", "cluster": "a-deployment"});
        bootstrap["stats_config"] = setup.stats_config.clone();
        bootstrap["admin"] = json!({"address": {"socket_address": {
            "address": "127.0.0.1",
            "port_value": admin,
        }}});
        let resources = &mut bootstrap["static_resources"];
        let clusters = resources["clusters"].as_array_mut().expect("clusters");
        for it in clusters {
            if it["name"] == "imds" {
                it["name"] = IMDS.into();
            } else if it["name"] == format!("outbound|443||{TARGET}") {
                // So istiod does, and so its tag of the cluster's name ends.
                it["alt_stat_name"] = format!("outbound|443||{TARGET};").into();
                it["metadata"] = in_clear::external(setup.has_tls);
                for (field, value) in cluster.as_object().expect("fields of a cluster") {
                    it[field] = value.clone();
                }
                let options = &mut it["typed_extension_protocol_options"]["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"];
                // From istiod there; from a file here.
                options["http_filters"][0]["config_discovery"]["config_source"] = json!({
                    "path_config_source": {"path": file(&folder, NAME)},
                    "resource_api_version": "V3",
                });
            }
        }
        let route = &mut resources["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
            ["route_config"]["virtual_hosts"][0]["routes"][1];
        assert_eq!(route["match"]["prefix"], "/");
        as_in_retries(route, &yaml(&files.join("retries.yaml")));

        Self {
            _envoy: Envoy::start(&bootstrap.to_string(), port),
            folder,
            filter,
            port,
            admin,
            version: Cell::new(1),
        }
    }

    /// Offers a filter in the place of the last one.
    pub(super) fn offer(&self, filter: &Value) {
        self.version.set(self.version.get() + 1);
        write(&self.folder, NAME, self.version.get(), filter);
    }

    pub(super) fn post(&self, is_remote_write: bool) -> http::Response {
        let mut request = http::Request::post(format!("http://127.0.0.1:{}{ECHO}", self.port))
            .header("Host", TARGET)
            .header("Authorization", "Bearer the-clients-own");
        if is_remote_write {
            request = request.header("X-Prometheus-Remote-Write-Version", "0.1.0");
        }
        http::send(request.body(vec![b'x'; 100_000]).expect("a request")).expect("an answer")
    }

    pub(super) fn wait_until_served(&self) {
        eventually(Duration::from_secs(60), "a first token", || {
            match self.post(true) {
                answer if answer.status == 200 => Ok(()),
                answer => Err(answer.text()),
            }
        });
    }

    pub(super) fn wait_for_stat(&self, name: &str, value: u64) {
        eventually(PATIENCE, name, || match stat_of(self.admin, name) {
            now if now == value => Ok(()),
            now => Err(format!("{now} instead of {value}")),
        });
    }
}

/// The value of the one patch that is applied to this place, for the host of the tests.
fn patch(filter: &Value, place: &str) -> Value {
    let patches = filter["spec"]["configPatches"].as_array().expect("patches");
    let mut of_place = patches.iter().filter(|patch| patch["applyTo"] == place);
    let value = &of_place.next().expect("a patch")["patch"]["value"];
    assert!(of_place.next().is_none(), "two patches of {place}");
    let text = value.to_string().replace(WORKSPACE, TARGET);
    serde_json::from_str(&text).expect("JSON")
}

/// The filter that istiod serves and its agent hands on, with the module as a file.
fn delivered(azure: &Azure, identity: &Identity, mut extension: Value) -> Value {
    let config = &mut extension["typed_config"]["config"];
    config["vm_config"]["code"] = json!({"local": {"filename": tools::module()}});
    let text = config["configuration"]["value"].as_str().expect("a text");
    let text = text.replace(CLIENT_ID, &identity.client_id);
    let mut plugin: Value = serde_json::from_str(&text).expect("JSON");
    plugin["identities"][0]["imds"]["authority"] = azure.addresses().imds.to_string().into();
    config["configuration"]["value"] = plugin.to_string().into();
    extension["typed_config"].take()
}

/// What istiod makes of the VirtualService; the predicate and its attempts it adds by itself.
fn as_in_retries(route: &mut Value, documents: &[Value]) {
    let mut services = of_kind(documents, "VirtualService");
    let http = &services.next().expect("a VirtualService")["spec"]["http"][0];
    let retry_on = http["retries"]["retryOn"].as_str().expect("conditions");
    let (codes, conditions): (Vec<_>, Vec<_>) = retry_on
        .split(',')
        .partition(|it| it.parse::<u32>().is_ok());
    let codes: Vec<u32> = codes.iter().filter_map(|code| code.parse().ok()).collect();
    route["route"]["retry_policy"] = json!({
        "retry_on": conditions.join(","),
        "retriable_status_codes": codes,
        "num_retries": http["retries"]["attempts"],
        "retry_host_predicate": [{
            "name": "envoy.retry_host_predicates.previous_hosts",
            "typed_config": {"@type": "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"},
        }],
        "host_selection_retry_max_attempts": "5",
    });
    route["request_headers_to_remove"] = http["headers"]["request"]["remove"].clone();
}

/// An Azure that knows an identity, and that.
pub(super) fn azure() -> (Azure, Identity) {
    let identity = Identity::user_assigned("hardened");
    let azure = Azure::start(Options {
        user_assigned: vec![identity.clone()],
        ..Options::default()
    });
    (azure, identity)
}
