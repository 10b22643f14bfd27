//! The command line: two commands, and everything else by the environment.

use clap::{Parser, Subcommand};

use crate::settings::variables::SERVED;

/// What the command line says.
#[derive(Debug, Parser)]
#[command(
    name = "entra-auth-envoy",
    version,
    about = "Runs Envoy as a proxy that puts Microsoft Entra tokens on requests.",
    after_help = variables_help()
)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Run Envoy with the settings of the environment
    Run,
    /// Print Envoy's bootstrap for the settings of the environment; its admin socket lies in
    /// /run/entra-auth-envoy
    Render {
        /// Print the configuration file (ENTRA_AUTH_CONFIG) that says the same, instead
        #[arg(long)]
        config: bool,
    },
}

/// The variables, as a table under the help text.
fn variables_help() -> String {
    let mut help = String::from("Environment:\n");
    for known in SERVED {
        help.push_str(&format!("  {}\n          {}\n", known.name, known.meaning));
    }
    help.push_str(
        "\nAn empty variable counts as unset. Mistakes are reported all at once, with exit code 64.",
    );
    help
}
