//! `istio/prometheus/overlays/hardened` as istiod would bring it to Envoy: its patches in a bootstrap with
//! the listener, routes and clusters of a sidecar, the filter by ECDS in the target's cluster.

use std::fs;
use std::time::Duration;

use azure_sim::{
    AZURE_MONITOR, CachedTokens, Identity, METRICS_PUBLISHER, Options, RoleAssignment,
};
use e2e::azure::{Azure, ECHO};
use e2e::{Envoy, eventually, free_port, http, tools};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::files::{CLIENT_ID, WORKSPACE, folder, of_kind, yaml};
use crate::downstream::{self, TARGET};

const IMDS: &str = "outbound|80||imds.internal";

/// A sidecar with the files' configuration.
struct Sidecar {
    _envoy: Envoy,
    _folder: TempDir,
    url: String,
}

impl Sidecar {
    fn start(azure: &Azure, identity: &Identity) -> Self {
        let files = folder().join("prometheus/overlays/hardened");
        let filter = yaml(&files.join("envoyfilter.yaml")).remove(0);
        let [extension, cluster, listener] =
            ["EXTENSION_CONFIG", "CLUSTER", "HTTP_FILTER"].map(|place| patch(&filter, place));

        let folder = tempfile::tempdir().expect("a folder");
        let ecds = folder.path().join("ecds.json");
        fs::write(&ecds, ecds_response(azure, identity, extension).to_string()).expect("written");

        let port = free_port();
        let mut bootstrap = downstream::around(azure, port, &listener);
        bootstrap["node"] = json!({"id": "a-pod", "cluster": "a-deployment"});
        let resources = &mut bootstrap["static_resources"];
        let clusters = resources["clusters"].as_array_mut().expect("clusters");
        for it in clusters {
            if it["name"] == "imds" {
                it["name"] = IMDS.into();
            } else if it["name"] == format!("outbound|443||{TARGET}") {
                for (field, value) in cluster.as_object().expect("fields of a cluster") {
                    it[field] = value.clone();
                }
                let options = &mut it["typed_extension_protocol_options"]["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"];
                // From istiod there; from a file here.
                options["http_filters"][0]["config_discovery"]["config_source"] = json!({
                    "path_config_source": {"path": ecds},
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
            _folder: folder,
            url: format!("http://127.0.0.1:{port}{ECHO}"),
        }
    }

    fn post(&self, is_remote_write: bool) -> http::Response {
        let mut request = http::Request::post(&self.url)
            .header("Host", TARGET)
            .header("Authorization", "Bearer the-clients-own");
        if is_remote_write {
            request = request.header("X-Prometheus-Remote-Write-Version", "0.1.0");
        }
        http::send(request.body(vec![b'x'; 100_000]).expect("a request")).expect("an answer")
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

/// What istiod serves and its agent hands on, with the module as a file.
fn ecds_response(azure: &Azure, identity: &Identity, mut extension: Value) -> Value {
    let config = &mut extension["typed_config"]["config"];
    config["vm_config"]["code"] = json!({"local": {"filename": tools::module()}});
    let text = config["configuration"]["value"].as_str().expect("a text");
    let text = text.replace(CLIENT_ID, &identity.client_id);
    let mut plugin: Value = serde_json::from_str(&text).expect("JSON");
    plugin["identities"][0]["imds"]["authority"] = azure.addresses().imds.to_string().into();
    config["configuration"]["value"] = plugin.to_string().into();
    extension["@type"] = "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig".into();
    json!({"version_info": "1", "resources": [extension]})
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

fn azure() -> (Azure, Identity) {
    let identity = Identity::user_assigned("hardened");
    let azure = Azure::start(Options {
        user_assigned: vec![identity.clone()],
        ..Options::default()
    });
    (azure, identity)
}

#[test]
fn the_hardened_form_heals_a_revoked_token_within_one_request() {
    let (azure, identity) = azure();
    let sidecar = Sidecar::start(&azure, &identity);
    eventually(Duration::from_secs(60), "a first token", || {
        match sidecar.post(true) {
            answer if answer.status == 200 => Ok(()),
            answer => Err(answer.text()),
        }
    });
    for revoked in 0..2 {
        azure.revoke(CachedTokens::Forget);
        let answer = sidecar.post(true);
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(azure.state().imds.calls, 2 + revoked);
    }
}

#[test]
fn the_hardened_form_turns_a_missing_role_into_503_for_remote_write_alone() {
    let (azure, identity) = azure();
    let role = RoleAssignment {
        object_id: identity.object_id.clone(),
        audience: AZURE_MONITOR.into(),
        role: METRICS_PUBLISHER.into(),
    };
    azure.remove_role(role.clone());
    let sidecar = Sidecar::start(&azure, &identity);
    eventually(
        Duration::from_secs(60),
        "the target's refusal",
        || match sidecar.post(false) {
            answer if answer.status == 403 => Ok(()),
            answer => Err(answer.text()),
        },
    );
    let answer = sidecar.post(true);
    let seen = (answer.status, answer.header("retry-after"));
    assert_eq!(seen, (503, Some("30")), "{}", answer.text());

    azure.grant_role(role);
    assert_eq!(sidecar.post(true).status, 200);
}
