//! Several listeners, and several plugins side by side in one proxy.

use std::time::Duration;

use azure_sim::{EchoReport, Identity, Options, Settings};
use e2e::azure::{Azure, ECHO};
use e2e::eventually;
use serde_json::{Value, json};

use super::neighbour::{self, COUNTER, HEADER};
use super::{Istio, PATIENCE, Setup};
use crate::downstream::{self, TARGET, send};

#[track_caller]
fn echo_by(port: u16, host: &str) -> EchoReport {
    let answer = send(port, host, ECHO);
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json().expect("an echo")
}

#[test]
fn all_listeners_of_a_pod_share_one_token_refresh_after_refresh() {
    let azure = Azure::with(Settings {
        token_lifetime_seconds: 8,
        refresh_in_seconds: Some(2),
        cache: false,
        ..Settings::default()
    });
    let setup = Setup {
        workers: 3,
        listeners: 4,
        ..Setup::default()
    };
    let istio = Istio::set_up(&azure, &downstream::plugin(&azure), &setup);
    eventually(Duration::from_secs(60), "the fourth token", || {
        for &port in &istio.ports {
            echo_by(port, TARGET);
        }
        match echo_by(istio.port(), TARGET).token.generation {
            Some(4..) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    assert_eq!(azure.state().imds.max_in_flight, 1);
    assert_eq!(azure.state().target.refused.values().sum::<u64>(), 0);
}

#[test]
fn another_plugin_that_uses_shared_data_of_the_same_namespace_disturbs_nothing() {
    let azure = Azure::with(Settings {
        token_lifetime_seconds: 8,
        refresh_in_seconds: Some(2),
        cache: false,
        ..Settings::default()
    });
    let folder = tempfile::tempdir().expect("a folder");
    let neighbour = neighbour::filter(folder.path());
    let setup = Setup {
        neighbour: Some(&neighbour),
        ..Setup::default()
    };
    let istio = Istio::set_up(&azure, &downstream::plugin(&azure), &setup);
    let mut asked = 0;
    eventually(Duration::from_secs(60), "the third token", || {
        let echo = istio.echo();
        asked += 1;
        let headers = &echo.request.headers;
        let counted = headers.iter().find(|(name, _)| name == HEADER);
        let counted = counted.map(|(_, value)| value.as_str());
        // Two workers may read the same count, but nothing takes any away.
        assert!(
            counted.is_some_and(|it| ("1"..="9").contains(&it)),
            "{counted:?}"
        );
        assert!(
            asked < 20 || counted == Some("9"),
            "{counted:?} after {asked}"
        );
        match echo.token.generation {
            Some(3..) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    assert_eq!(azure.state().imds.max_in_flight, 1);
    assert_eq!(azure.state().target.refused.values().sum::<u64>(), 0);
    istio.wait_for_stat(COUNTER, asked);
}

/// The filter of a WasmPlugin of ours with another name.
fn called(name: &str, plugin: &Value) -> Value {
    let mut filter = downstream::wasm(plugin, &e2e::tools::module(), Some(""));
    filter["config"]["name"] = json!(format!("monitoring.{name}"));
    filter["config"]["root_id"] = json!(name);
    filter
}

#[test]
fn two_of_ours_each_put_their_own_token_on_their_own_hosts() {
    let second = Identity::user_assigned("second");
    let azure = Azure::start(Options {
        user_assigned: vec![second.clone()],
        ..Options::default()
    });
    let mut of_second = downstream::plugin(&azure);
    of_second["identities"][0]["type"] = json!("userAssigned");
    of_second["identities"][0]["clientId"] = json!(second.client_id);
    of_second["targets"][0]["hosts"] = json!(["other.example.com"]);
    let neighbour = called("second", &of_second);
    let setup = Setup {
        neighbour: Some(&neighbour),
        ..Setup::default()
    };
    let istio = Istio::set_up(&azure, &downstream::plugin(&azure), &setup);
    let first = Identity::system_assigned();
    for (host, identity) in [(TARGET, &first), ("other.example.com", &second)] {
        assert_eq!(echo_by(istio.port(), host).token.oid, identity.object_id);
    }
    assert_eq!(azure.state().imds.calls, 2);
}

/// That a good one is in use is known by the plugin's name.
#[test]
fn a_wrong_one_beside_a_good_one_takes_nothing_down_and_is_no_reason_to_keep_wrong_ones() {
    let azure = Azure::start(Options::default());
    let mut wrong = downstream::plugin(&azure);
    wrong["targets"][0]["hosts"] = json!(["other.example.com"]);
    wrong["targets"][0]["audience"] = json!(7);
    let neighbour = called("second", &wrong);
    let setup = Setup {
        neighbour: Some(&neighbour),
        ..Setup::default()
    };
    let istio = Istio::set_up(&azure, &downstream::plugin(&azure), &setup);
    istio.echo();
    assert_eq!(send(istio.port(), "other.example.com", ECHO).status, 503);
    let gauge =
        |plugin: &str| format!("plugin=.=monitoring.{plugin};.;entra_auth_configuration_mistakes");
    istio.wait_for_stat(&gauge("second"), 1);
    istio.wait_for_stat(&gauge("entra-auth"), 0);

    istio.update_refused(&wrong, "");
    eventually(PATIENCE, "the good one stays", || {
        match send(istio.port(), TARGET, ECHO).status {
            200 => Ok(()),
            other => Err(other),
        }
    });
    istio.wait_for_stat(&gauge("second"), 1);
}
