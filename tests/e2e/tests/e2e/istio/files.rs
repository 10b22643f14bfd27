//! `istio/`: what its files say to the plugin is without a mistake, and the clusters that they name are
//! those that Istio makes of the ServiceEntries in the same folder.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use e2e::tools;
use entra_token_core::config::{self, PluginConfig};
use serde_json::Value;

/// What stands in the files for the user's own.
pub(crate) const WORKSPACE: &str = "my-workspace-a1b2.eastus-1.metrics.ingest.monitor.azure.com";
pub(crate) const CLIENT_ID: &str = "11111111-1111-1111-1111-111111111111";

/// The folder with the files.
pub(crate) fn folder() -> PathBuf {
    tools::repository().join("istio")
}

/// The documents of a file.
pub(crate) fn yaml(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_saphyr::from_multiple(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Every folder with a `kustomization.yaml`.
fn kustomizations() -> Vec<PathBuf> {
    fn search(folder: &Path, found: &mut Vec<PathBuf>) {
        if folder.join("kustomization.yaml").exists() {
            found.push(folder.to_owned());
        }
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                search(&path, found);
            }
        }
    }
    let mut found = Vec::new();
    search(&folder(), &mut found);
    found
}

/// What can be applied and has a plugin: neither a part for others nor an object without one.
pub(crate) fn ways_in() -> Vec<(String, Vec<Value>)> {
    let all = kustomizations().into_iter();
    let named = all.map(|folder_of_it| {
        let name = folder_of_it.strip_prefix(folder()).expect("inside");
        (name.display().to_string(), documents(&folder_of_it))
    });
    let ways: Vec<_> = named
        .filter(|(_, documents)| !plugin_configurations(documents).is_empty())
        .filter(|(name, _)| !name.contains("components"))
        .collect();
    assert!(ways.len() >= 8, "{:?}", ways.len());
    ways
}

pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The documents that a kustomization brings together, each patch after what it patches.
fn documents(folder: &Path) -> Vec<Value> {
    let path = folder.join("kustomization.yaml");
    let kustomization = yaml(&path).remove(0);
    let mut all = Vec::new();
    for field in ["resources", "components"] {
        for entry in list(&kustomization[field]) {
            let path = folder.join(text(entry));
            if path.is_dir() {
                all.extend(documents(&path));
            } else {
                all.extend(yaml(&path));
            }
        }
    }
    for patch in list(&kustomization["patches"]) {
        match (patch["path"].as_str(), patch["patch"].as_str()) {
            (Some(file), None) => all.extend(yaml(&folder.join(file))),
            (None, Some(inline)) => all.push(serde_saphyr::from_str(inline).expect("a patch")),
            _ => panic!("{}: neither `path` nor `patch`", path.display()),
        }
    }
    // What a patch deletes is as if it had never been there.
    let is_deletion = |document: &Value| document["$patch"] == "delete";
    let id =
        |document: &Value| [&document["kind"], &document["metadata"]["name"]].map(Clone::clone);
    let deleted: Vec<_> = all.iter().filter(|it| is_deletion(it)).map(id).collect();
    all.retain(|document| !deleted.contains(&id(document)));
    all
}

/// Those of a kind.
pub(crate) fn of_kind<'a>(
    documents: &'a [Value],
    kind: &'a str,
) -> impl Iterator<Item = &'a Value> {
    documents.iter().filter(move |it| it["kind"] == kind)
}

/// Whether it is the form with an EnvoyFilter in the place of the WasmPlugin.
pub(crate) fn is_hardened(documents: &[Value]) -> bool {
    of_kind(documents, "WasmPlugin").next().is_none()
}

/// The texts that istiod gives to a plugin: a WasmPlugin's `pluginConfig` as JSON, and each
/// StringValue of an EnvoyFilter. A patch that has one has it whole, so the last one counts.
pub(crate) fn plugin_configurations(documents: &[Value]) -> Vec<String> {
    let wasm_plugins = of_kind(documents, "WasmPlugin");
    let last = wasm_plugins
        .filter_map(|it| it["spec"].get("pluginConfig"))
        .last();
    let mut found: Vec<_> = last.map(Value::to_string).into_iter().collect();
    for filter in of_kind(documents, "EnvoyFilter") {
        string_values(filter, &mut found);
    }
    found
}

fn string_values(value: &Value, found: &mut Vec<String>) {
    if value["@type"] == "type.googleapis.com/google.protobuf.StringValue" {
        found.push(text(&value["value"]).to_owned());
    }
    match value {
        Value::Array(elements) => elements.iter().for_each(|it| string_values(it, found)),
        Value::Object(fields) => fields.values().for_each(|it| string_values(it, found)),
        _ => {}
    }
}

fn read(way: &str, configuration: &str) -> PluginConfig {
    config::read(configuration.as_bytes()).unwrap_or_else(|errors| panic!("{way}: {errors:?}"))
}

/// The name of the cluster that Istio makes of each port of a ServiceEntry.
fn clusters_of(documents: &[Value]) -> BTreeSet<String> {
    let entries = of_kind(documents, "ServiceEntry").map(|entry| &entry["spec"]);
    entries
        .flat_map(|spec| {
            list(&spec["hosts"])
                .iter()
                .map(move |host| (spec, text(host)))
        })
        .flat_map(|(spec, host)| {
            let ports = list(&spec["ports"]).iter();
            ports.map(move |port| format!("outbound|{}||{host}", port["number"]))
        })
        .collect()
}

/// The clusters that a configuration has the plugin call.
pub(crate) fn called(configuration: &str) -> BTreeSet<String> {
    let json: Value = serde_json::from_str(configuration).expect("JSON");
    let identities = list(&json["identities"]).iter();
    identities
        .flat_map(|identity| ["imds", "entra", "credential", "tsiam"].map(|at| &identity[at]))
        .filter_map(|endpoint| endpoint["cluster"].as_str())
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_plugin_configuration_under_istio_is_accepted_without_a_mistake() {
    for (way, documents) in ways_in() {
        for configuration in plugin_configurations(&documents) {
            read(&way, &configuration);
        }
    }
}

#[test]
fn the_clusters_that_a_plugin_calls_are_those_that_istio_makes() {
    for (way, documents) in ways_in() {
        let made = clusters_of(&documents);
        for configuration in plugin_configurations(&documents) {
            let called = called(&configuration);
            assert!(!called.is_empty(), "{way} calls nobody");
            assert!(called.is_subset(&made), "{way}: {called:?} of {made:?}");
        }
    }
}

#[test]
fn a_token_may_go_to_its_targets_cluster_and_to_none_that_the_plugin_calls() {
    for (way, documents) in ways_in() {
        for configuration in plugin_configurations(&documents) {
            let plugin = config::compile(&read(&way, &configuration)).expect("a configuration");
            let calls = called(&configuration);
            let made = clusters_of(&documents);
            let (calls, rest): (Vec<_>, Vec<_>) = made.iter().partition(|it| calls.contains(*it));
            for target in &plugin.targets {
                assert!(rest.iter().any(|it| target.clusters.allow(it)), "{way}");
                // An EnvoyFilter puts the filter into the target's cluster, and asks no more.
                if !is_hardened(&documents) {
                    assert!(!calls.iter().any(|it| target.clusters.allow(it)), "{way}");
                    assert!(!target.clusters.allow("PassthroughCluster"), "{way}");
                }
            }
        }
    }
}

/// A Sidecar prunes what it does not list, also what only a plugin calls.
#[test]
fn a_sidecar_lists_the_namespace_of_every_service_entry() {
    let mut sidecars = 0;
    for (way, documents) in ways_in() {
        let Some(sidecar) = of_kind(&documents, "Sidecar").next() else {
            continue;
        };
        sidecars += 1;
        let egress = list(&sidecar["spec"]["egress"]).iter();
        let hosts = egress.flat_map(|it| list(&it["hosts"]));
        let listed: BTreeSet<_> = hosts.map(text).collect();
        for entry in of_kind(&documents, "ServiceEntry") {
            let namespaces = [entry, sidecar].map(|it| &it["metadata"]["namespace"]);
            assert_eq!(namespaces[0], namespaces[1], "{way}");
            assert!(listed.contains("./*"), "{way}: {listed:?}");
        }
    }
    assert!(sidecars > 3, "{sidecars} Sidecars");
}

/// What leaves for port 443 carries a token or a credential.
#[test]
fn every_port_that_leads_to_443_speaks_tls_and_checks_the_name() {
    let mut ports = 0;
    for (way, documents) in ways_in() {
        for entry in of_kind(&documents, "ServiceEntry").map(|it| &it["spec"]) {
            let to_tls = |port: &&Value| port["targetPort"] == 443;
            for port in list(&entry["ports"]).iter().filter(to_tls) {
                let host = &entry["hosts"][0];
                let rules = of_kind(&documents, "DestinationRule").map(|it| &it["spec"]);
                let of_host = rules.filter(|spec| spec["host"] == *host);
                let tls = of_host
                    .flat_map(|spec| list(&spec["trafficPolicy"]["portLevelSettings"]))
                    .find(|it| it["port"]["number"] == port["number"])
                    .map(|it| &it["tls"])
                    .unwrap_or_else(|| panic!("{way}: no TLS for {host}"));
                assert_eq!(tls["mode"], "SIMPLE", "{way}");
                assert_eq!(&tls["sni"], host, "{way}");
                assert_eq!(&tls["subjectAltNames"][0], host, "{way}");
                assert!(tls["caCertificates"].is_string(), "{way}");
                ports += 1;
            }
        }
    }
    assert!(ports > 8, "{ports} ports");
}

/// A container that reaches the clusters of the plugin by their hosts could ask for what it asks for.
#[test]
fn beside_an_application_no_route_leads_to_what_only_the_plugin_calls() {
    for (way, documents) in ways_in()
        .into_iter()
        .filter(|(way, _)| way.starts_with("prometheus"))
    {
        for entry in of_kind(&documents, "ServiceEntry") {
            let spec = &entry["spec"];
            if spec["resolution"] != "STATIC" {
                continue;
            }
            let refused = of_kind(&documents, "VirtualService").any(|route| {
                let route = &route["spec"];
                route["hosts"] == spec["hosts"]
                    && route["http"][0].get("match").is_none()
                    && route["http"][0]["directResponse"]["status"] == 403
            });
            assert!(refused, "{way}: {}", spec["hosts"]);
        }
    }
}

#[test]
fn prometheus_writes_in_clear_to_the_host_that_gets_tokens() {
    let example = yaml(&folder().join("prometheus/example/prometheus.yml")).remove(0);
    let url = text(&example["remote_write"][0]["url"]);
    let (scheme, rest) = url.split_once("://").expect("a URL");
    // Envoy speaks TLS; of a request in TLS the filter sees nothing.
    assert_eq!(scheme, "http");
    let host = rest.split('/').next().expect("a host");
    for (way, documents) in ways_in() {
        for configuration in plugin_configurations(&documents) {
            let plugin = config::compile(&read(&way, &configuration)).expect("a configuration");
            assert!(plugin.hosts.find(host).is_some(), "{way}: {host}");
        }
    }
}

/// The blocks in YAML of a guide.
pub(super) fn blocks(guide: &str) -> Vec<Value> {
    let path = tools::repository().join("docs/guides").join(guide);
    let text = fs::read_to_string(path).expect("a guide");
    let blocks = text.split("\n```yaml\n").skip(1);
    blocks
        .filter_map(|rest| rest.split("```").next())
        .map(|block| serde_saphyr::from_str(block).expect("YAML"))
        .collect()
}

#[test]
fn the_guides_show_the_remote_write_of_the_files() {
    let example = yaml(&folder().join("prometheus/example/prometheus.yml")).remove(0);
    for guide in ["istio-prometheus.md", "istio-egress.md"] {
        let blocks = blocks(guide);
        let shown = blocks.iter().find_map(|it| it.get("remote_write"));
        assert_eq!(shown, Some(&example["remote_write"]), "{guide}");
    }
}

#[test]
fn the_configuration_for_a_waypoint_names_its_clusters() {
    let blocks = blocks("istio-prometheus.md");
    let mut ours = blocks.iter().filter(|it| it.get("identities").is_some());
    let configuration = ours.next().expect("a configuration").to_string();
    let plugin = config::compile(&read("the guide", &configuration)).expect("a configuration");
    let target = &plugin.targets[0];
    let cluster = format!("inbound-vip|80|http|{}", target.name);
    assert!(target.clusters.allow(&cluster), "{cluster}");
    for called in called(&configuration) {
        assert!(called.starts_with("inbound-vip|80|http|"), "{called}");
        assert!(!target.clusters.allow(&called), "{called}");
    }
}

#[test]
fn what_selects_pods_selects_those_that_are_there() {
    let mut selectors = 0;
    for (way, documents) in ways_in() {
        let labels: Vec<_> = of_kind(&documents, "Deployment")
            .filter_map(|it| it["spec"]["template"]["metadata"]["labels"].as_object())
            .collect();
        let selecting = documents.iter().filter_map(|document| {
            let spec = &document["spec"];
            let of_istio = spec["selector"].get("matchLabels");
            let of_workloads = spec["workloadSelector"].get("labels");
            let of_network = spec["podSelector"].get("matchLabels");
            of_istio.or(of_workloads).or(of_network)?.as_object()
        });
        for wanted in selecting {
            // The base alone has no Prometheus.
            if labels.is_empty() {
                continue;
            }
            selectors += 1;
            let selects = labels.iter().any(|labels| {
                wanted
                    .iter()
                    .all(|(key, value)| labels.get(key) == Some(value))
            });
            assert!(selects, "{way}: {wanted:?} of {labels:?}");
        }
    }
    assert!(selectors > 20, "{selectors} selectors");
}

#[test]
fn no_registry_is_named_but_the_placeholder() {
    let mut count = 0;
    for (way, documents) in ways_in() {
        let text = documents.iter().map(Value::to_string).collect::<String>();
        for field in [r#""image":""#, r#""url":"oci://"#, r#""uri":"oci://"#] {
            for rest in text.split(field).skip(1) {
                count += 1;
                let is_placeholder = rest.starts_with("registry.example.com/");
                assert!(
                    is_placeholder || rest.starts_with("auto\""),
                    "{way}: {field}"
                );
            }
        }
    }
    assert!(count >= 20, "{count} images");
}

#[test]
fn the_readme_lists_every_folder_that_can_be_built_and_no_other() {
    let readme = fs::read_to_string(folder().join("README.md")).expect("a README");
    let listed: BTreeSet<_> = readme
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .filter(|name| name.starts_with("prometheus/") || name.starts_with("egress/"))
        .map(str::to_owned)
        .collect();
    let found: BTreeSet<_> = kustomizations()
        .iter()
        .map(|path| path.strip_prefix(folder()).expect("inside"))
        .map(|path| path.display().to_string())
        .filter(|name| !name.contains("components"))
        .collect();
    assert_eq!(listed, found);
}
