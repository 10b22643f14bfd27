//! A configuration that is wrong: the first one takes nothing else of the pod down, a later one is
//! refused (docs/decisions/0017-a-first-configuration-that-is-wrong.md).

use azure_sim::Options;
use e2e::azure::{Azure, ECHO};
use e2e::{eventually, http};
use serde_json::{Value, json};

use super::{Istio, PATIENCE, Setup, another};
use crate::downstream::{self, TARGET, send};

const MISTAKES: &str = "entra_auth_configuration_mistakes";

/// A host that is nobody's target.
const OTHER: &str = "other.example.com";

/// With two mistakes, neither of them in its hosts.
fn wrong(azure: &Azure) -> Value {
    let mut plugin = downstream::plugin(azure);
    plugin["identities"][0]["type"] = json!("magic");
    plugin["targets"][0]["audience"] = json!("");
    plugin
}

/// Checks the answer to a request that there is no token for because of these mistakes.
#[track_caller]
fn explains(answer: &http::Response, errors: &[&str]) {
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert_eq!(answer.header("retry-after"), Some("30"));
    let body: Value = answer.json().expect("JSON");
    assert_eq!(body["error"]["code"], "configuration_invalid");
    let message = body["error"]["message"].as_str().expect("a message");
    for error in errors {
        assert!(message.contains(error), "no {error:?} in {message}");
    }
}

/// A request that nobody has touched: what the client sent goes on, and the simulated target, which
/// every host is here, refuses it.
#[track_caller]
fn passes(port: u16, host: &str, path: &str) {
    assert_eq!(send(port, host, path).status, 401, "{host}{path}");
}

#[test]
fn the_first_one_lets_all_else_pass_and_says_at_its_hosts_what_to_mend() {
    let azure = Azure::start(Options::default());
    let setup = Setup {
        listeners: 2,
        ..Setup::default()
    };
    let istio = Istio::set_up(&azure, &wrong(&azure), &setup);
    let errors = ["identities[0].type: `magic`", "targets[0].audience: \"\""];
    for &port in &istio.ports {
        // On every worker.
        for _ in 0..5 {
            passes(port, OTHER, ECHO);
            explains(&send(port, TARGET, ECHO), &errors);
        }
        // A cluster that the target does not allow is not meant.
        passes(port, TARGET, "/anywhere");
    }
    istio.wait_for_stat(MISTAKES, 2);
    istio.wait_for_stat(
        "target=.=*.metrics.ingest.monitor.azure.com;.;outcome=.=unavailable;.;entra_auth_requests_total",
        10,
    );
    let log = istio.envoy.process().logs();
    let becomes = "requests to *.metrics.ingest.monitor.azure.com are answered 503";
    for part in errors.into_iter().chain([becomes]) {
        assert!(log.contains(part), "no {part:?} in {log}");
    }
    assert_eq!(azure.state().imds.calls, 0);

    istio.update(&downstream::plugin(&azure));
    for &port in &istio.ports {
        eventually(PATIENCE, "a token", || {
            match send(port, TARGET, ECHO).status {
                200 => Ok(()),
                other => Err(other),
            }
        });
        passes(port, OTHER, ECHO);
    }
    istio.wait_for_stat(MISTAKES, 0);
    assert_eq!(azure.state().imds.calls, 1);
}

/// Whether the WasmPlugin's resource version makes new VMs, as in Istio, or not.
#[test]
fn a_later_one_is_refused_and_the_good_one_stays() {
    let azure = Azure::start(Options::default());
    let istio = Istio::start(&azure, &downstream::plugin(&azure));
    istio.echo();
    for (number, version) in ["", "1"].into_iter().enumerate() {
        // Another one each time: Envoy refuses what was refused once without asking again.
        istio.update_refused(&another(&wrong(&azure), number), version);
        for _ in 0..5 {
            istio.echo();
        }
        istio.wait_for_stat(MISTAKES, 2);
        istio.update_at(&another(&downstream::plugin(&azure), number), version);
        istio.wait_for_stat(MISTAKES, 0);
    }
    let log = istio.envoy.process().logs();
    for part in ["identities[0].type: ", "refused; the one in use stays"] {
        assert!(log.contains(part), "no {part:?} in {log}");
    }
    assert!(!log.contains("there is no good one to keep"), "{log}");
    assert_eq!(azure.state().imds.calls, 1);
}

#[test]
fn a_wrong_one_after_a_wrong_one_says_its_own_mistakes() {
    let azure = Azure::start(Options::default());
    let istio = Istio::start(&azure, &wrong(&azure));
    explains(&send(istio.port(), TARGET, ECHO), &["identities[0].type"]);
    let mut second = downstream::plugin(&azure);
    second["targets"][0]["hosts"] = json!([TARGET, 7, "https://x.example.com/path"]);
    second["hold"] = json!({"timeout": "soon"});
    istio.update_at(&second, "1");
    eventually(PATIENCE, "the second one's mistakes", || {
        let answer = send(istio.port(), TARGET, ECHO).text();
        if answer.contains("targets[0].hosts[1]") {
            Ok(())
        } else {
            Err(answer)
        }
    });
    istio.wait_for_stat(MISTAKES, 3);

    // A good one has been in use: from now on it is that which stays.
    istio.update_at(&downstream::plugin(&azure), "2");
    eventually(PATIENCE, "a token", || {
        match send(istio.port(), TARGET, ECHO).status {
            200 => Ok(()),
            other => Err(other),
        }
    });
    second["targets"][0]["audience"] = json!("");
    istio.update_refused(&second, "3");
    istio.echo();
}

/// Envoy remembers what it was told of a configuration as long as the VM is the same, and does not
/// ask again: it takes this one for good, and the plugin keeps to the other.
#[test]
fn the_same_wrong_one_once_more_in_the_same_vm_leaves_the_good_one_in_use() {
    let azure = Azure::start(Options::default());
    let istio = Istio::start(&azure, &wrong(&azure));
    passes(istio.port(), OTHER, ECHO);
    istio.update(&downstream::plugin(&azure));
    eventually(PATIENCE, "a token", || {
        match send(istio.port(), TARGET, ECHO).status {
            200 => Ok(()),
            other => Err(other),
        }
    });
    istio.update(&wrong(&azure));
    istio.wait_for_stat(MISTAKES, 2);
    for _ in 0..10 {
        passes(istio.port(), OTHER, ECHO);
        istio.echo();
    }
    istio.update(&another(&downstream::plugin(&azure), 1));
    istio.wait_for_stat(MISTAKES, 0);
    istio.echo();
    assert_eq!(azure.state().imds.calls, 1);
}

#[test]
fn one_that_names_no_host_lets_all_traffic_pass() {
    let azure = Azure::start(Options::default());
    // A text in place of an object: JSON, and no configuration.
    let istio = Istio::start(&azure, &json!("targets: []"));
    for host in [OTHER, TARGET] {
        passes(istio.port(), host, ECHO);
    }
    istio.wait_for_stat(MISTAKES, 1);
    let log = istio.envoy.process().logs();
    assert!(log.contains("no host can be made out"), "{log}");
}
