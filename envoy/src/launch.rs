//! The two commands: read the environment, say everything that is wrong with it, then print the
//! bootstrap or run Envoy with it.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::bootstrap::{self, header_overrides};
use crate::cli::Command;
use crate::drain::Drain;
use crate::machine::{self, Machine};
use crate::run_dir::RunDir;
use crate::settings::authority::Scheme;
use crate::settings::mistake::Mistake;
use crate::settings::variables::Variables;
use crate::settings::{self, Settings};
use crate::supervise;

/// The command line or the environment cannot be used (`EX_USAGE` of sysexits.h).
pub const USAGE: u8 = 64;
/// The machine refuses something (`EX_OSERR` of sysexits.h).
const OS_ERROR: u8 = 71;
/// A shell's codes for a command that is there but cannot be executed, and for one that is not.
const NOT_EXECUTABLE: u8 = 126;
const NOT_FOUND: u8 = 127;

/// Where a printed bootstrap has its admin socket; `run` makes a private directory each time.
const RENDERED_RUN_DIR: &str = "/run/entra-auth-envoy";

/// Does what the command says and gives the exit code.
#[must_use]
pub fn launch(command: Command) -> ExitCode {
    let variables = Variables::of_this_process();
    let machine = Machine::detect();
    let reading = settings::read(&variables, &machine);
    for warning in &reading.warnings {
        say(&format!("warning: {warning}"));
    }
    let code = match command {
        Command::Render => reading
            .outcome
            .map_or_else(|wrong| refuse(&wrong), |s| render(&s)),
        Command::Run => match (reading.outcome, settings::envoy(&variables, &machine)) {
            (Ok(settings), Ok(envoy)) => match machine::taken_ports(&settings) {
                taken if taken.is_empty() => run(&settings, envoy),
                taken => refuse(&taken),
            },
            (Ok(_), Err(mistake)) => refuse(&[mistake]),
            (Err(mut mistakes), envoy) => {
                mistakes.extend(envoy.err());
                refuse(&mistakes)
            }
        },
    };
    ExitCode::from(code)
}

/// One line for people, apart from standard output, which belongs to the bootstrap or to Envoy's
/// access log.
fn say(line: &str) {
    eprintln!("entra-auth-envoy: {line}");
}

fn refuse(mistakes: &[Mistake]) -> u8 {
    match mistakes.len() {
        1 => say("1 mistake in the environment:"),
        count => say(&format!("{count} mistakes in the environment:")),
    }
    for mistake in mistakes {
        eprintln!("  {mistake}");
    }
    USAGE
}

fn render(settings: &Settings) -> u8 {
    let bootstrap = bootstrap::build(settings, Path::new(RENDERED_RUN_DIR));
    for (index, header) in settings.override_headers.iter().enumerate() {
        say(&format!(
            "the value of {} is not in the bootstrap: set {} for Envoy",
            header.name,
            header_overrides::variable(index)
        ));
    }
    match writeln!(io::stdout(), "{bootstrap:#}") {
        Ok(()) => 0,
        Err(error) => {
            say(&format!("cannot write to standard output: {error}"));
            OS_ERROR
        }
    }
}

fn run(settings: &Settings, envoy: PathBuf) -> u8 {
    let run_dir = match RunDir::create() {
        Ok(run_dir) => run_dir,
        Err(error) => {
            say(&format!("cannot make a private directory: {error}"));
            return OS_ERROR;
        }
    };
    let bootstrap = bootstrap::build(settings, run_dir.path());
    let bootstrap_file = match run_dir.write("bootstrap.json", bootstrap.to_string().as_bytes()) {
        Ok(path) => path,
        Err(error) => {
            say(&format!("cannot write the bootstrap: {error}"));
            return OS_ERROR;
        }
    };
    supervise::raise_open_files();
    say(&summary(settings));
    let child = supervise::Child {
        arguments: arguments(settings, bootstrap_file),
        environment: header_values(settings),
        program: envoy,
    };
    let drain = (!settings.drain.is_zero()).then(|| Drain {
        admin_socket: bootstrap::admin_socket(run_dir.path()),
        within: settings.drain,
    });
    match supervise::run(&child, drain) {
        Ok(code) => code,
        Err(error) => {
            say(&format!("cannot run {}: {error}", child.program.display()));
            match error.kind() {
                io::ErrorKind::NotFound => NOT_FOUND,
                io::ErrorKind::PermissionDenied => NOT_EXECUTABLE,
                _ => OS_ERROR,
            }
        }
    }
}

/// What an operator wants to see first in the log.
fn summary(settings: &Settings) -> String {
    let scheme = match settings.target.scheme {
        Scheme::Http => "http",
        Scheme::Https => "https",
    };
    format!(
        "port {} forwards to {scheme}://{} with tokens for {}; port {} has /status and /metrics",
        settings.listening_port,
        settings.target.authority(),
        settings.audience,
        settings.status_port
    )
}

fn arguments(settings: &Settings, bootstrap: PathBuf) -> Vec<OsString> {
    let level = settings.log_level.as_str();
    let mut arguments: Vec<OsString> = vec![
        "--config-path".into(),
        bootstrap.into(),
        "--concurrency".into(),
        settings.concurrency.to_string().into(),
        "--log-level".into(),
        level.into(),
        // Its shared memory would clash with that of another Envoy on the machine.
        "--disable-hot-restart".into(),
    ];
    if matches!(level, "info" | "warning") {
        // At every start Envoy lists its extensions, a hundred lines (main), and warns that the
        // field for custom methods is work in progress (misc): nothing that a user can act on.
        arguments.extend([
            "--component-log-level".into(),
            "main:warning,misc:error".into(),
        ]);
    }
    arguments
}

fn header_values(settings: &Settings) -> Vec<(String, String)> {
    settings
        .override_headers
        .iter()
        .enumerate()
        .map(|(index, header)| (header_overrides::variable(index), header.value.clone()))
        .collect()
}
