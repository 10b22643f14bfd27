//! The labels of the plugin's metrics. A plugin can only name a metric, so the labels are encoded in the
//! name, as in Istio's plugins (`label=.=value;.;name`), and Envoy extracts them by these rules.

use serde_json::{Value, json};

/// Every label of our metrics.
const LABELS: [&str; 9] = [
    "identity",
    "audience",
    "result",
    "target",
    "outcome",
    "plugin",
    "status_code",
    "version",
    "signal",
];

pub(super) fn config() -> Value {
    let tags: Vec<Value> = LABELS
        .iter()
        .map(|label| {
            // Envoy removes the first group from the name; the second is the label's value.
            json!({ "tag_name": label, "regex": format!(r"({label}=\.=(.*?);\.;)") })
        })
        .collect();
    json!({ "stats_tags": tags })
}
