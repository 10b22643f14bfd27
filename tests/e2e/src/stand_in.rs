//! Wasm modules in the place of ours, for what is Envoy's part and the launcher's: an Envoy starts with
//! one in a fraction of the time.

use std::path::{Path, PathBuf};

/// Accepts every configuration and touches no request.
const PASSIVE: &str = r#"(module
    (memory (export "memory") 2)
    (func (export "proxy_abi_version_0_2_1"))
    (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 1024))
    (func (export "proxy_on_context_create") (param i32 i32))
    (func (export "proxy_on_vm_start") (param i32 i32) (result i32) (i32.const 1))
    (func (export "proxy_on_configure") (param i32 i32) (result i32) (i32.const 1)))"#;

/// Writes a module into `folder` that lets every request pass; gives its path.
///
/// # Panics
/// When it cannot be written.
#[must_use]
pub fn passive_module(folder: &Path) -> PathBuf {
    write(folder, "passive.wasm", PASSIVE)
}

/// The same for one that crashes at every request.
///
/// # Panics
/// When it cannot be written.
#[must_use]
pub fn crashing_module(folder: &Path) -> PathBuf {
    write(folder, "crashing.wasm", &on_request("unreachable"))
}

/// The same for one that holds every request, for ever.
///
/// # Panics
/// When it cannot be written.
#[must_use]
pub fn parking_module(folder: &Path) -> PathBuf {
    // proxy-wasm's Action::Pause.
    write(folder, "parking.wasm", &on_request("(i32.const 1)"))
}

/// The passive module, with this body of the function that is called for each request.
fn on_request(body: &str) -> String {
    let open = PASSIVE.strip_suffix(')').unwrap_or(PASSIVE);
    format!(
        r#"{open}
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) {body}))"#
    )
}

fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    let bytes = wat::parse_str(text).expect("a module");
    std::fs::write(&path, bytes).expect("a file");
    path
}
