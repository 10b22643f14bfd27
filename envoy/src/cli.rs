//! The command line. It selects a command; all settings come from the environment.

use clap::{Parser, Subcommand};

use crate::settings::variables::SERVED;

/// The command-line arguments.
#[derive(Debug, Parser)]
#[command(
    name = "entra-auth-envoy",
    version,
    about = "Runs Envoy as a proxy that puts Microsoft Entra tokens on requests.",
    after_help = variables_help()
)]
pub struct Arguments {
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

// The doc comments of the variants are their help texts.
/// A command of the launcher.
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
    /// Get one token for each identity, as `run` would, and print what is in it, or why there is
    /// none and what to do
    Check,
}

/// The environment variables, for the help text.
fn variables_help() -> String {
    let mut help = String::from("Environment:\n");
    for known in SERVED {
        help.push_str(&format!("  {}\n          {}\n", known.name, known.meaning));
        if !known.of_one_signal.is_empty() {
            let names = known.of_one_signal.join(", ");
            help.push_str(&format!("          for one signal: {names}\n"));
        }
    }
    help.push_str(
        "\nAn empty variable counts as unset. Mistakes are reported all at once, with exit code 64.\n\
         `check` ends with 0 where there is a token for each identity, 77 where one is refused, 69 \
         where an\nendpoint cannot be reached for some 20 s. It takes no port, so it can run \
         beside a proxy.",
    );
    help
}
