//! What Istio's agent sends where it cannot have the module, and what becomes of a filter that runs: the
//! agent cannot tell a pod that starts from one that serves.

use azure_sim::Options;
use e2e::azure::{Azure, ECHO};
use e2e::eventually;
use serde_json::{Value, json};

use super::files::{of_kind, text, yaml};
use super::{AS_ISTIOD, Istio, PATIENCE, Setup, another, files, stats};
use crate::downstream::{self, NAME, TARGET, WASM, send};

pub(super) const RBAC: &str = "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC";

/// A host that is nobody's target.
const OTHER: &str = "other.example.com";

/// What Istio's agent (`pkg/wasm/convert.go`) sends in the place of a Wasm filter: rules that allow
/// nothing.
pub(super) fn denial() -> Value {
    json!({"@type": RBAC, "rules": {}, "rules_stat_prefix": "wasm-default-deny"})
}

/// Which types of filter the listener takes with both the EnvoyFilter and the WasmPlugin.
const WITH_KEEP_FILTER: &[&str] = &[WASM];

/// The statuses of a request to the target and of one to anybody else.
fn statuses(istio: &Istio) -> [u16; 2] {
    [TARGET, OTHER].map(|host| send(istio.port(), host, ECHO).status)
}

fn wait_for(istio: &Istio, expected: [u16; 2]) {
    eventually(PATIENCE, "these statuses", || match statuses(istio) {
        now if now == expected => Ok(()),
        now => Err(format!("{now:?} instead of {expected:?}")),
    });
}

/// What happens with istiod's own listener. The metrics go with the filter, which is what the alert
/// `EntraAuthFilterMissing` sees.
#[test]
fn without_the_envoy_filter_a_module_that_is_lost_takes_the_running_filter_away() {
    let azure = Azure::start(Options::default());
    let plugin = downstream::plugin(&azure);
    let istio = Istio::start(&azure, &plugin);
    wait_for(&istio, [200, 401]);
    istio.offer_filter(&denial(), "config_reload");
    wait_for(&istio, [403, 403]);
    eventually(PATIENCE, "no metrics", || match stats::shown(istio.admin) {
        shown if shown.is_empty() => Ok(()),
        shown => Err(format!("{shown:?}")),
    });
    istio.update(&another(&plugin, 1));
    wait_for(&istio, [200, 401]);
}

#[test]
fn with_the_envoy_filter_a_module_that_is_lost_leaves_the_running_filter_in_place() {
    let azure = Azure::start(Options::default());
    let plugin = downstream::plugin(&azure);
    let setup = Setup {
        types: WITH_KEEP_FILTER,
        ..Setup::default()
    };
    let istio = Istio::set_up(&azure, &plugin, &setup);
    wait_for(&istio, [200, 401]);
    istio.offer_filter(&denial(), "update_rejected");
    for _ in 0..10 {
        assert_eq!(statuses(&istio), [200, 401]);
    }
    // The module is there again.
    istio.update(&another(&plugin, 1));
    assert_eq!(statuses(&istio), [200, 401]);
    assert_eq!(azure.state().imds.calls, 1);
}

/// Prometheus repeats what is answered 500, and gives up what is answered 403.
#[test]
fn a_pod_that_starts_without_the_module_refuses_and_with_the_envoy_filter_asks_for_a_repeat() {
    let azure = Azure::start(Options::default());
    let plugin = downstream::plugin(&azure);
    for (types, status) in [(AS_ISTIOD, 403), (WITH_KEEP_FILTER, 500)] {
        let setup = Setup {
            types,
            has_module: false,
            ..Setup::default()
        };
        let istio = Istio::set_up(&azure, &plugin, &setup);
        wait_for(&istio, [status; 2]);
        istio.update(&plugin);
        wait_for(&istio, [200, 401]);
    }
}

/// The EnvoyFilters take the filter by the names that istiod gives it, and what they put in its place
/// differs from istiod's in the types alone.
#[test]
fn the_envoy_filters_name_the_filters_of_their_wasm_plugins() {
    for base in ["prometheus/base", "egress/base"] {
        let [plugin, keep] = ["wasmplugin.yaml", "keep-filter.yaml"]
            .map(|file| yaml(&files::folder().join(base).join(file)).remove(0));
        let namespace = text(&plugin["metadata"]["namespace"]);
        let name = text(&plugin["metadata"]["name"]);
        let expected = [
            format!("extensions.istio.io/wasmplugin/{namespace}.{name}"),
            format!(
                "extensions.istio.io/trafficextension/{namespace}.{name}~istio-translated-wasmplugin"
            ),
        ];
        if namespace == "monitoring" {
            assert_eq!(expected[0], NAME);
        }
        assert_eq!(keep["metadata"]["namespace"], namespace);
        let selector = &plugin["spec"]["selector"]["matchLabels"];
        assert_eq!(&keep["spec"]["workloadSelector"]["labels"], selector);
        let patches = files::list(&keep["spec"]["configPatches"]);
        assert_eq!(patches.len(), expected.len());
        for (patch, expected) in patches.iter().zip(&expected) {
            assert_eq!(patch["applyTo"], "HTTP_FILTER");
            assert_eq!(patch["patch"]["operation"], "REPLACE");
            let chain = &patch["match"]["listener"]["filterChain"];
            assert_eq!(chain["filter"]["subFilter"]["name"], **expected);
            assert_eq!(
                patch["patch"]["value"],
                json!({"name": expected, "config_discovery": {
                    "config_source": {
                        "ads": {},
                        "initial_fetch_timeout": "0s",
                        "resource_api_version": "V3",
                    },
                    "type_urls": WITH_KEEP_FILTER,
                }})
            );
        }
    }
    for (way, documents) in files::ways_in() {
        let has_keep_filter = of_kind(&documents, "EnvoyFilter")
            .any(|it| it["metadata"]["name"] == "keep-entra-auth");
        assert_eq!(has_keep_filter, !files::is_hardened(&documents), "{way}");
    }
}
