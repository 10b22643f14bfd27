//! The commands `run`, `render` and `check`. Each reads the settings first and reports all mistakes
//! at once.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use entra_auth_settings_input::Variables;

use crate::addresses;
use crate::admin::Admin;
use crate::bootstrap;
use crate::check;
use crate::children;
use crate::cli::Command;
use crate::drain::Drain;
use crate::exit::{OS_ERROR, refuse, say};
use crate::machine::Machine;
use crate::prepare::{Programs, cannot_run, private_directory, write_bootstrap};
use crate::process;
use crate::refusal::{self, BOOTSTRAP_REFUSED};
use crate::settings::listener::Routing;
use crate::settings::{self, Settings, file, headers};
use crate::supervise;

/// The directory of the sockets in a printed bootstrap. `run` creates a private directory instead.
const RENDERED_RUN_DIR: &str = "/run/entra-auth-envoy";

/// Executes a command and returns the exit code.
#[must_use]
pub fn launch(command: Command) -> ExitCode {
    let variables = Variables::of_this_process();
    let machine = Machine::detect();
    let reading = settings::read(&variables, &machine);
    for warning in &reading.warnings {
        say(&format!("warning: {warning}"));
    }
    let code = match command {
        Command::Render { config } => match reading.outcome {
            Ok(settings) if config => render_file(&settings),
            Ok(settings) => render(&settings),
            Err(errors) => refuse(&errors),
        },
        Command::Run | Command::Check => {
            let outcome = reading.outcome.and_then(|settings| {
                let unreachable = addresses::unreachable_ipv6(&settings);
                unreachable
                    .is_empty()
                    .then_some(settings)
                    .ok_or(unreachable)
            });
            let programs = Programs::find(&variables, &machine, outcome.as_ref().ok());
            match (outcome, programs) {
                (Ok(settings), Ok(programs)) if command == Command::Check => {
                    check::check(&settings, programs)
                }
                (Ok(settings), Ok(programs)) => match addresses::unavailable_ports(&settings) {
                    mistakes if mistakes.is_empty() => run(&settings, programs),
                    mistakes => refuse(&mistakes),
                },
                (settings, programs) => {
                    let mut errors = settings.err().unwrap_or_default();
                    errors.extend(programs.err().unwrap_or_default());
                    refuse(&errors)
                }
            }
        }
    };
    ExitCode::from(code)
}

fn render(settings: &Settings) -> u8 {
    let bootstrap = bootstrap::build(settings, Path::new(RENDERED_RUN_DIR));
    for header in headers::all(settings) {
        say(&format!(
            "the value of {} is not in the bootstrap: set {} for Envoy",
            header.name, header.variable
        ));
    }
    for (variable, header) in bootstrap::export_headers(settings) {
        say(&format!(
            "the value of the exporter's header {} is not in the bootstrap: set {variable} for Envoy",
            header.name
        ));
    }
    if settings.identity_header().is_some() {
        say(&format!(
            "the value of IDENTITY_HEADER is not in the bootstrap: put it into the file {}",
            bootstrap::identity_header(Path::new(RENDERED_RUN_DIR)).display()
        ));
    }
    let proxy = settings.forward_proxy.as_ref();
    if proxy.is_some_and(|proxy| proxy.authorization.is_some()) {
        say(&format!(
            "the credentials in HTTPS_PROXY are not in the bootstrap: set {} for Envoy, to Basic \
             and the base64 of user:password",
            bootstrap::PROXY_AUTHORIZATION
        ));
    }
    print(&format!("{bootstrap:#}\n"))
}

/// Prints the configuration file with the same settings as the environment.
fn render_file(settings: &Settings) -> u8 {
    for header in headers::all(settings) {
        say(&format!(
            "the value of {} is not in the file: set {} beside it",
            header.name, header.variable
        ));
    }
    print(&file::yaml(settings))
}

fn print(text: &str) -> u8 {
    match write!(io::stdout(), "{text}") {
        Ok(()) => 0,
        Err(error) => {
            say(&format!("cannot write to standard output: {error}"));
            OS_ERROR
        }
    }
}

fn run(settings: &Settings, programs: Programs) -> u8 {
    match try_to_run(settings, programs) {
        Ok(code) | Err(code) => code,
    }
}

fn try_to_run(settings: &Settings, programs: Programs) -> Result<u8, u8> {
    let run_dir = private_directory(settings)?;
    let bootstrap = bootstrap::build(settings, run_dir.path());
    let bootstrap_file = write_bootstrap(&run_dir, &bootstrap)?;
    process::raise_open_files();
    for line in summary(settings) {
        say(&line);
    }
    let envoy = children::envoy(settings, programs.envoy.clone(), bootstrap_file.clone());
    let sidecars = programs.token_sidecar.map_or_else(Vec::new, |program| {
        children::token_sidecars(settings, &program, run_dir.path())
    });
    let drain = (!settings.drain.is_zero()).then(|| Drain {
        admin: Admin {
            socket: bootstrap::admin_socket(run_dir.path()),
        },
        within: settings.drain,
        flushed_after: bootstrap::flushed_after(settings),
    });
    let code =
        supervise::run(&envoy, sidecars, drain).map_err(|not_started| cannot_run(&not_started))?;
    let error = (code == BOOTSTRAP_REFUSED)
        .then(|| refusal::config_error(settings, programs.envoy, bootstrap_file))
        .flatten();
    Ok(error.map_or(code, |error| refuse(&[error])))
}

/// The first lines of the log: the target of each port.
fn summary(settings: &Settings) -> Vec<String> {
    let mut lines = Vec::new();
    for listener in &settings.listeners {
        let by_host = match listener.routing {
            Routing::Always(_) => "",
            Routing::ByHost(_) => "what is for it ",
        };
        for target in settings.targets_of(&listener.routing) {
            lines.push(format!(
                "{} forwards {by_host}to {} with tokens for {}",
                listener.address.with_port(listener.port),
                target.endpoint.url(),
                target.audience
            ));
        }
    }
    lines.push(format!(
        "{} has /status and /metrics",
        settings.status_address.with_port(settings.status_port)
    ));
    lines
}
