//! `entra-auth-envoy`: see [`entra_auth_envoy`].

use std::process::ExitCode;

use clap::Parser;
use entra_auth_envoy::cli::Arguments;
use entra_auth_envoy::{exit, launch};

fn main() -> ExitCode {
    match Arguments::try_parse() {
        Ok(arguments) => launch::launch(arguments.command),
        Err(error) => {
            let code = if error.use_stderr() {
                ExitCode::from(exit::USAGE)
            } else {
                ExitCode::SUCCESS
            };
            // A closed standard output leaves nobody to tell.
            let _ = error.print();
            code
        }
    }
}
