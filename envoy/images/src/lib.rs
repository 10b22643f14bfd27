//! Writes the container images and the OCI artifacts of the Wasm module to files, without a
//! container engine and without pulling anything.
//!
//! What goes in is on this machine already: our programs, Envoy's, and files of a few packages of
//! Debian. What comes out is the same, byte for byte, whenever the same went in: entries are
//! sorted, and their times and owners are fixed. Each file is an OCI image layout and what `docker
//! load` reads, in one.

pub mod arch;
pub mod archive;
pub mod crates;
pub mod debian;
pub mod image;
pub mod layer;
pub mod module;
pub mod name;
pub mod origin;
pub mod program;
pub mod recipe;
pub mod sbom;

use std::path::Path;

/// The release, whichever tag the images get.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Reads a file; an error names it.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}
