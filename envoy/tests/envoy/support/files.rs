//! The programs and files that a launcher is given in a test.

use std::path::{Path, PathBuf};

/// The launcher that cargo built for this test.
pub(crate) const LAUNCHER: &str = env!("CARGO_BIN_EXE_entra-auth-envoy");

/// A filter that accepts every configuration and touches no request.
const STAND_IN: &str = r#"(module
    (memory (export "memory") 2)
    (func (export "proxy_abi_version_0_2_1"))
    (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 1024))
    (func (export "proxy_on_context_create") (param i32 i32))
    (func (export "proxy_on_vm_start") (param i32 i32) (result i32) (i32.const 1))
    (func (export "proxy_on_configure") (param i32 i32) (result i32) (i32.const 1)))"#;

/// The workspace's root.
pub(crate) fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the crate is a member of a workspace")
}

/// Envoy; without it these tests fail, because what they show cannot be seen otherwise.
pub(crate) fn envoy() -> PathBuf {
    let path = std::env::var_os("ENVOY_BINARY")
        .map_or_else(|| workspace().join(".tools/bin/envoy"), PathBuf::from);
    assert!(
        path.is_file(),
        "Envoy is missing: {} does not exist; `make setup` installs it, ENVOY_BINARY names another",
        path.display()
    );
    path
}

/// Whether the real filter is used: then the target sees a token.
pub(crate) fn filter_is_real() -> bool {
    std::env::var_os("ENTRA_AUTH_MODULE").is_some()
}

/// A filter that crashes at every request.
pub(crate) fn crashing_module(directory: &Path) -> PathBuf {
    module_that(directory, "unreachable")
}

/// A filter that lets every request wait, for ever.
pub(crate) fn parking_module(directory: &Path) -> PathBuf {
    // proxy-wasm's Action::Pause.
    module_that(directory, "(i32.const 1)")
}

/// The stand-in, with this for a body of the function that is asked about each request.
fn module_that(directory: &Path, on_request: &str) -> PathBuf {
    let function = format!(
        r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        {on_request}))"#
    );
    let path = directory.join("special.wasm");
    let text = STAND_IN
        .trim_end()
        .strip_suffix(')')
        .expect("a module ends with )");
    let bytes = wat::parse_str(format!("{text}\n{function}")).expect("it is a module");
    std::fs::write(&path, bytes).expect("the test's directory can be written to");
    path
}

/// The filter: the real one where a variable names it, else the stand-in.
pub(crate) fn module(directory: &Path) -> PathBuf {
    if let Some(real) = std::env::var_os("ENTRA_AUTH_MODULE") {
        return real.into();
    }
    let path = directory.join("stand_in.wasm");
    let bytes = wat::parse_str(STAND_IN).expect("the stand-in is a module");
    std::fs::write(&path, bytes).expect("the test's directory can be written to");
    path
}
