//! Which metrics Istio's proxies show, under which names, and what the scrape of `istio/` makes of them.

use e2e::{Metrics, Sample, http};
use regex::Regex;
use serde_json::{Value, json};

use super::files::{list, of_kind, text};

/// What is shown in any case: the beginnings of names (`pkg/bootstrap/config.go`).
const ALWAYS: [&str; 6] = [
    "reporter=",
    "cluster_manager",
    "listener_manager",
    "server",
    "cluster.xds-grpc",
    "wasm",
];

/// What a label looks like in the name of a metric of ours: what Istio makes of `extraStatTags`.
fn extra_tags(pods: &[Value]) -> Vec<Value> {
    let tags = pods.iter().flat_map(|it| list(&it["extraStatTags"]));
    let tags = tags.map(text);
    tags.map(|tag| json!({"tag_name": tag, "regex": format!("({tag}=\\.=(.*?);\\.;)")}))
        .collect()
}

/// What the annotation of the pods, if there are pods, says of their proxies.
pub(super) fn proxy_configs(documents: &[Value]) -> Vec<Value> {
    let pods = of_kind(documents, "Deployment").map(|it| &it["spec"]["template"]["metadata"]);
    let texts = pods.map(|it| text(&it["annotations"]["proxy.istio.io/config"]));
    texts
        .map(|it| serde_saphyr::from_str(it).expect("YAML"))
        .collect()
}

/// `stats_config` with the labels of our metrics alone.
pub(super) fn labels(documents: &[Value]) -> Value {
    json!({"stats_tags": extra_tags(&proxy_configs(documents))})
}

/// `stats_config` as Istio's bootstrap has it (`tools/packaging/common/envoy_bootstrap.json`), as far as
/// our metrics are concerned.
pub(super) fn of_istio(documents: &[Value]) -> Value {
    let mut tags = vec![json!({"tag_name": "cluster_name", "regex": "^cluster(\\.(.+);)"})];
    tags.extend(extra_tags(&proxy_configs(documents)));
    let mut patterns: Vec<_> = ALWAYS.iter().map(|it| json!({"prefix": it})).collect();
    for pod in of_kind(documents, "Deployment") {
        let annotations = &pod["spec"]["template"]["metadata"]["annotations"];
        let regexps = text(&annotations["sidecar.istio.io/statsInclusionRegexps"]);
        let regexps = regexps.split(',').filter(|it| !it.is_empty());
        patterns.extend(regexps.map(|it| json!({"safe_regex": {"regex": it}})));
    }
    json!({
        "use_all_default_tags": false,
        "stats_tags": tags,
        "stats_matcher": {"inclusion_list": {"patterns": patterns}},
    })
}

/// What a proxy shows to Prometheus of our metrics.
pub(super) fn shown(admin: u16) -> Vec<Sample> {
    let url = format!("http://127.0.0.1:{admin}/stats/prometheus?filter=entra_auth");
    let page = http::get(&url).expect("metrics").text();
    Metrics::parse(&page).samples().cloned().collect()
}

/// What a scrape keeps of a sample by `metric_relabel_configs`
/// (<https://prometheus.io/docs/prometheus/latest/configuration/configuration/#relabel_config>), as far as
/// our files use them.
pub(super) fn relabelled(mut sample: Sample, rules: &[Value]) -> Option<Sample> {
    for rule in rules {
        // Prometheus anchors every expression.
        let regex = format!("^(?:{})$", text(&rule["regex"]));
        let regex = Regex::new(&regex).expect("an expression");
        match rule["action"].as_str().unwrap_or("replace") {
            "labeldrop" => sample.labels.retain(|label, _| !regex.is_match(label)),
            action => {
                assert_eq!(rule["source_labels"], json!(["__name__"]), "{rule}");
                match (action, regex.captures(&sample.name)) {
                    ("keep", None) => return None,
                    ("keep", Some(_)) | ("replace", None) => {}
                    ("replace", Some(captures)) => {
                        assert_eq!(rule["target_label"], "__name__", "{rule}");
                        let mut name = String::new();
                        captures.expand(text(&rule["replacement"]), &mut name);
                        sample.name = name;
                    }
                    _ => panic!("{rule}"),
                }
            }
        }
    }
    Some(sample)
}
