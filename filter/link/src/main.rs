//! `entra-auth-link LINKED [--for-tests] SHIPPED`: see [`entra_auth_link`].

use std::path::Path;
use std::process::ExitCode;
use std::{env, fs};

use entra_auth_link::surface::Export;
use entra_auth_link::{link, surface};

fn main() -> ExitCode {
    let mut arguments: Vec<_> = env::args_os().skip(1).collect();
    let for_tests = arguments.iter().position(|it| it == "--for-tests");
    let mut exports = surface::EXPORTS.to_vec();
    if let Some(place) = for_tests {
        arguments.remove(place);
        exports.extend(surface::FOR_TESTS);
    }
    let [linked, shipped] = arguments.as_slice() else {
        eprintln!("usage: entra-auth-link LINKED [--for-tests] SHIPPED");
        return ExitCode::from(64);
    };
    match run(linked.as_ref(), shipped.as_ref(), &exports) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("entra-auth-link: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(linked: &Path, shipped: &Path, exports: &[Export]) -> Result<(), String> {
    let wasm = fs::read(linked).map_err(|e| format!("{}: {e}", linked.display()))?;
    let module = link(&wasm, exports).map_err(|e| format!("{}: {e}", linked.display()))?;
    fs::write(shipped, module).map_err(|e| format!("{}: {e}", shipped.display()))
}
