//! Writes the container images and the OCI artifacts of the Wasm module to files, without a
//! container engine and without network access.
//!
//! The inputs are local files: our programs, Envoy's binary, and files from a few Debian packages
//! ([`build`]). The output is reproducible: entries are sorted, and their times and owners are fixed.
//! Each output file is both an OCI image layout and an archive for `docker load`.

pub mod arch;
pub mod archive;
pub mod build;
pub mod crates;
pub mod debian;
mod files;
pub mod image;
pub mod layer;
pub mod module;
pub mod name;
pub mod origin;
pub mod program;
pub mod sbom;
