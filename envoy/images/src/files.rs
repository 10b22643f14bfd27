//! Reads files.

use std::path::Path;

/// Reads a file.
///
/// # Errors
/// If it cannot be read, with its path.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}
