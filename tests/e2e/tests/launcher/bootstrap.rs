//! Envoy's bootstrap in a form in which two of them can be compared.

use serde_json::Value;

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
