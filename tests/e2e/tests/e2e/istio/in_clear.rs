//! A target's cluster without TLS: the token stays here, and the client is told why. No property of Envoy
//! tells of TLS, so what istiod writes into the cluster's metadata does.

use std::fs;
use std::path::Path;

use azure_sim::Options;
use e2e::azure::{Azure, ECHO};
use e2e::eventually;
use serde_json::{Value, json};

use super::{Istio, PATIENCE, Setup};
use crate::downstream::{self, TARGET, send};

const CLUSTER: &str = "type.googleapis.com/envoy.config.cluster.v3.Cluster";

/// What istiod writes of the host of a ServiceEntry that is outside of the mesh.
pub(super) fn external(has_tls: bool) -> Value {
    let mut istio = json!({
        "external": true,
        "services": [{"host": TARGET, "name": TARGET, "namespace": "monitoring"}],
    });
    if has_tls {
        istio["config"] =
            json!("/apis/networking.istio.io/v1/namespaces/monitoring/destination-rule/x");
        istio["alpn_override"] = json!("false");
    }
    json!({"filter_metadata": {"istio": istio}})
}

/// Puts the target's cluster in the place of the last one.
fn write(folder: &Path, cluster: &Value, metadata: &Value, version: u32) {
    let mut cluster = cluster.clone();
    cluster["@type"] = CLUSTER.into();
    cluster["metadata"] = metadata.clone();
    let response = json!({"version_info": version.to_string(), "resources": [cluster]});
    let new = folder.join("new.json");
    fs::write(&new, response.to_string()).expect("written");
    fs::rename(new, folder.join("clusters.json")).expect("renamed");
}

fn wait_for(istio: &Istio, status: u16) -> String {
    eventually(PATIENCE, "this status", || {
        match send(istio.port(), TARGET, ECHO) {
            answer if answer.status == status => Ok(answer.text()),
            answer => Err(format!("{}: {}", answer.status, answer.text())),
        }
    })
}

/// A DestinationRule comes, goes and comes again: each time Envoy gets another cluster of the same name.
#[test]
fn a_token_goes_to_the_targets_cluster_only_while_it_has_tls() {
    let azure = Azure::start(Options::default());
    let folder = tempfile::tempdir().expect("a folder");
    let clusters =
        downstream::around(&azure, 1, &Value::Null)["static_resources"]["clusters"].take();
    let name = format!("outbound|443||{TARGET}");
    let mut clusters = clusters.as_array().into_iter().flatten();
    let target = clusters
        .find(|it| it["name"] == name)
        .expect("the target's");
    write(folder.path(), target, &external(false), 1);

    let by_file = |bootstrap: &mut Value| {
        let resources = &mut bootstrap["static_resources"];
        let clusters = resources["clusters"].as_array_mut();
        clusters.expect("clusters").retain(|it| it["name"] != name);
        let manager = &mut resources["listeners"][0]["filter_chains"][0]["filters"][0];
        manager["typed_config"]["route_config"]["validate_clusters"] = json!(false);
        bootstrap["dynamic_resources"] = json!({"cds_config": {
            "path_config_source": {"path": folder.path().join("clusters.json")},
            "resource_api_version": "V3",
        }});
    };
    let setup = Setup {
        change: &by_file,
        ..Setup::default()
    };
    let istio = Istio::set_up(&azure, &downstream::plugin(&azure), &setup);
    let answer = wait_for(&istio, 503);
    for part in ["target_without_tls", "DestinationRule with TLS"] {
        assert!(answer.contains(part), "no {part} in {answer}");
    }
    // The client's own token was no reason to let it pass.
    assert_eq!(azure.state().target.requests, 0);

    write(folder.path(), target, &external(true), 2);
    wait_for(&istio, 200);
    write(folder.path(), target, &external(false), 3);
    wait_for(&istio, 503);
    // In the mesh it is Istio's own mTLS that protects it.
    write(
        folder.path(),
        target,
        &json!({"filter_metadata": {"istio": {"services": []}}}),
        4,
    );
    wait_for(&istio, 200);
    let log = istio.envoy.process().logs();
    let told = format!("the cluster `outbound|443||{TARGET}` leads out of the mesh without TLS");
    assert!(log.contains(&told), "{log}");
}
