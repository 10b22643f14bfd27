//! What a bootstrap is checked for: that it says the same as another one, and that Envoy accepts it.

use std::path::Path;
use std::process::Command;

use e2e::tools;
use serde_json::Value;

/// Checks that Envoy accepts the bootstrap in this file, and finds nothing deprecated in it.
pub(crate) fn assert_envoy_accepts(file: &Path) {
    let validation = Command::new(tools::envoy())
        .args(["--mode", "validate", "--log-level", "warning", "-c"])
        .arg(file)
        .output()
        .expect("Envoy runs");
    let stderr = String::from_utf8_lossy(&validation.stderr);
    assert!(validation.status.success(), "{stderr}");
    assert!(!stderr.to_lowercase().contains("deprecated"), "{stderr}");
}

/// The plugin configuration is JSON in a string: what it says counts, not how it is laid out. What the
/// launcher's settings are called is left out: it depends on where they were set.
pub(crate) fn with_parsed_configurations(value: Value) -> Value {
    match value {
        Value::Object(members) => members
            .into_iter()
            .map(|(name, value)| match (name.as_str(), &value) {
                ("value", Value::String(text)) if text.contains("\"mode\"") => (
                    name,
                    without_names(serde_json::from_str(text).expect("a plugin configuration")),
                ),
                _ => (name, with_parsed_configurations(value)),
            })
            .collect(),
        Value::Array(items) => items.into_iter().map(with_parsed_configurations).collect(),
        other => other,
    }
}

fn without_names(value: Value) -> Value {
    match value {
        Value::Object(members) => members
            .into_iter()
            .filter(|(name, _)| !["settingNames", "audienceName"].contains(&name.as_str()))
            .map(|(name, value)| (name, without_names(value)))
            .collect(),
        Value::Array(items) => items.into_iter().map(without_names).collect(),
        other => other,
    }
}
