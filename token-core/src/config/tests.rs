//! The JSON Schema under `docs/` is generated from the types.

#![cfg(not(target_family = "wasm"))]

use std::fs;
use std::path::Path;

use super::PluginConfig;

/// Run with `UPDATE_SCHEMA=1` after a change of the types.
#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "how a person asks the test to write the file"
)]
fn the_committed_json_schema_is_that_of_the_types() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/plugin-config.schema.json");
    let schema = schemars::schema_for!(PluginConfig);
    let current = serde_json::to_string_pretty(&schema).unwrap() + "\n";
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        fs::write(&path, &current).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == current,
        "{} is out of date: run with UPDATE_SCHEMA=1",
        path.display()
    );
}
