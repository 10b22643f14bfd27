//! `token-sidecar`: see [`token_sidecar`].

use std::alloc::System;
use std::io::{self, Write};
use std::process::ExitCode;

use token_sidecar::run;
use token_sidecar::variables::help;
use zeroizing_alloc::ZeroAlloc;

/// Wipes all memory that is freed. The libraries that decrypt and parse keys free copies of them
/// unwiped.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<System> = ZeroAlloc(System);

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let shown = match arguments.as_slice() {
        [] => return run::run(),
        [only] if only == "--help" || only == "-h" => help(),
        [only] if only == "--version" || only == "-V" => {
            format!("token-sidecar {}\n", env!("CARGO_PKG_VERSION"))
        }
        _ => {
            eprintln!("token-sidecar: it takes no arguments but --help and --version");
            return ExitCode::from(run::USAGE);
        }
    };
    // With a closed standard output there is nobody to report the failure to.
    let _ = io::stdout().write_all(shown.as_bytes());
    ExitCode::SUCCESS
}
