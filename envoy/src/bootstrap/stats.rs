//! How the plugin's metrics get their labels. A plugin can only give a metric a name, so labels
//! stand before it, as Istio's plugins write them (`label=.=value;.;name`), and are taken out here.

use serde_json::{Value, json};

/// Every label of our metrics.
const LABELS: [&str; 8] = [
    "identity",
    "audience",
    "result",
    "target",
    "outcome",
    "plugin",
    "status_code",
    "version",
];

pub(super) fn config() -> Value {
    let tags: Vec<Value> = LABELS
        .iter()
        .map(|label| {
            // The first group is cut out of the name, the second is the label's value.
            json!({ "tag_name": label, "regex": format!(r"({label}=\.=(.*?);\.;)") })
        })
        .collect();
    json!({ "stats_tags": tags })
}
