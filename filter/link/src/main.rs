//! `entra-auth-link LINKED SHIPPED`: see [`entra_auth_link`].

use std::path::Path;
use std::process::ExitCode;
use std::{env, fs};

use entra_auth_link::{link, surface};

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    let [linked, shipped] = arguments.as_slice() else {
        eprintln!("usage: entra-auth-link LINKED SHIPPED");
        return ExitCode::from(64);
    };
    match run(linked.as_ref(), shipped.as_ref()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("entra-auth-link: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(linked: &Path, shipped: &Path) -> Result<(), String> {
    let wasm = fs::read(linked).map_err(|e| format!("{}: {e}", linked.display()))?;
    let module = link(&wasm, surface::EXPORTS).map_err(|e| format!("{}: {e}", linked.display()))?;
    fs::write(shipped, module).map_err(|e| format!("{}: {e}", shipped.display()))
}
