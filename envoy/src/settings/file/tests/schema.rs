//! The JSON Schema under `docs/`.

use std::path::Path;

use super::*;

/// Run with `UPDATE_SCHEMA=1` after a change of the types.
#[test]
fn the_committed_json_schema_is_that_of_the_types() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/config.schema.json");
    let current = schema();
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
