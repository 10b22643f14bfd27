//! Configuration that is wrong is refused whole, and the reason names what to mend.

use azure_sim::Options;
use e2e::azure::Azure;
use e2e::{Envoy, free_port};
use serde_json::json;

use crate::downstream;

/// A filter that stands alone, of which the launcher has two: one that authorizes requests accepts a wrong
/// configuration where there is none better (`istio/first_configuration.rs`, `istio/hardened.rs`).
#[test]
fn envoy_refuses_a_malformed_plugin_configuration_and_the_log_names_the_path() {
    let azure = Azure::start(Options::default());
    let mut plugin = downstream::plugin(&azure);
    plugin["targets"][0]["hosts"] = json!(["*.metrics.ingest.monitor.azure.com", "https://x"]);
    plugin["targets"][0]["identity"] = json!("nobody");
    plugin["identities"][0]["tpye"] = json!("systemAssigned");
    plugin["mode"] = json!("status");
    let port = free_port();
    let reason = Envoy::try_start(&downstream::bootstrap(&azure, port, &plugin), port)
        .map(drop)
        .expect_err("Envoy takes a malformed configuration");
    for path in [
        "targets[0].hosts[1]: ",
        "targets[0].identity: there is no identity `nobody`",
        "identities[0]: `tpye` is no field here",
    ] {
        assert!(reason.contains(path), "no {path:?} in {reason}");
    }
    assert_eq!(azure.state().imds.calls, 0);
}
