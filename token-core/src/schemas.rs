//! The JSON Schemas under `docs/` are generated from the types.

use std::error::Error;
use std::fs;
use std::path::Path;

use schemars::{JsonSchema, schema_for};

use crate::config::PluginConfig;
use crate::status::Status;

/// Compares a file under `docs/` with the schema of a type. Run with `UPDATE_SCHEMA=1` after a change of the type.
#[expect(
    clippy::disallowed_methods,
    reason = "how a person asks the test to write the file"
)]
fn committed_is_that_of<T: JsonSchema>(file: &str) -> Result<(), Box<dyn Error>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../docs")
        .join(file);
    let current = serde_json::to_string_pretty(&schema_for!(T))? + "\n";
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        fs::write(&path, &current)?;
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == current,
        "{} is out of date: run with UPDATE_SCHEMA=1",
        path.display()
    );
    Ok(())
}

#[test]
fn the_committed_schema_of_the_plugin_configuration_is_that_of_the_types()
-> Result<(), Box<dyn Error>> {
    committed_is_that_of::<PluginConfig>("plugin-config.schema.json")
}

#[test]
fn the_committed_schema_of_the_status_is_that_of_the_types() -> Result<(), Box<dyn Error>> {
    committed_is_that_of::<Status>("status.schema.json")
}
