//! Prints what a request costs in a module, and where that differs from the record.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use cost::{Result, modules, verdict};

/// Counts instructions, host calls and allocations of requests, and compares them with the record.
#[derive(Parser)]
struct Arguments {
    /// The Wasm module; by default the one that ships.
    module: Option<PathBuf>,
    /// Makes the figures the record.
    #[arg(long, conflicts_with = "module")]
    record: bool,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cost: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    let costs = match &arguments.module {
        Some(module) => modules::costs_of(module)?,
        None => modules::costs()?,
    };
    print!("{}", verdict::table(&costs));
    if arguments.record {
        return modules::accept(&costs);
    }
    match verdict::differences(&modules::recorded()?, &costs) {
        Some(differences) => println!("\n{differences}"),
        None => println!("\nas recorded"),
    }
    Ok(())
}
