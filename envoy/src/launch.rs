//! The two commands: read the environment, say everything that is wrong with it, then print the
//! bootstrap or run Envoy with it.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::bootstrap::{self, header_overrides};
use crate::children;
use crate::cli::Command;
use crate::drain::Drain;
use crate::machine::{self, Machine};
use crate::run_dir::RunDir;
use crate::settings::authority::Scheme;
use crate::settings::credential_file::servable;
use crate::settings::mistake::{Mistake, Problem, quoted};
use crate::settings::variables::Variables;
use crate::settings::{self, Settings};
use crate::supervise::{self, NotStarted};

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
        Command::Run => {
            let programs = Programs::find(&variables, &machine, reading.outcome.as_ref().ok());
            match (reading.outcome, programs) {
                (Ok(settings), Ok(programs)) => match machine::taken_ports(&settings) {
                    taken if taken.is_empty() => run(&settings, programs),
                    taken => refuse(&taken),
                },
                (settings, programs) => {
                    let mut mistakes = settings.err().unwrap_or_default();
                    mistakes.extend(programs.err().unwrap_or_default());
                    refuse(&mistakes)
                }
            }
        }
    };
    ExitCode::from(code)
}

/// What `run` runs.
struct Programs {
    envoy: PathBuf,
    /// Where the settings have a certificate.
    token_sidecar: Option<PathBuf>,
}

impl Programs {
    fn find(
        variables: &Variables,
        machine: &Machine,
        settings: Option<&Settings>,
    ) -> Result<Self, Vec<Mistake>> {
        let envoy = settings::envoy(variables, machine);
        let certificate = settings.and_then(|settings| settings.identity.certificate());
        let sidecar = certificate.map(|_| settings::token_sidecar(variables, machine));
        match (envoy, sidecar.transpose()) {
            (Ok(envoy), Ok(token_sidecar)) => Ok(Self {
                envoy,
                token_sidecar,
            }),
            (envoy, sidecar) => Err([envoy.err(), sidecar.err()].into_iter().flatten().collect()),
        }
    }
}

/// One line for people, apart from standard output, which belongs to the bootstrap or to Envoy's
/// access log.
pub(crate) fn say(line: &str) {
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
    if settings.identity.identity_header().is_some() {
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
    match writeln!(io::stdout(), "{bootstrap:#}") {
        Ok(()) => 0,
        Err(error) => {
            say(&format!("cannot write to standard output: {error}"));
            OS_ERROR
        }
    }
}

fn run(settings: &Settings, programs: Programs) -> u8 {
    let run_dir = match RunDir::create() {
        Ok(run_dir) => run_dir,
        Err(error) => {
            say(&format!("cannot make a private directory: {error}"));
            return OS_ERROR;
        }
    };
    if let Some(header) = settings.identity.identity_header() {
        if let Err(wrong) = servable(run_dir.path()) {
            let path = quoted(&run_dir.path().to_string_lossy());
            let problem = Problem::new(
                format!("leads to {path}, which {wrong}"),
                "Use another directory.",
            );
            return refuse(&[problem.of("TMPDIR")]);
        }
        let written = run_dir.write(bootstrap::IDENTITY_HEADER, header.expose().as_bytes());
        if let Err(error) = written {
            say(&format!(
                "cannot write the value of IDENTITY_HEADER: {error}"
            ));
            return OS_ERROR;
        }
    }
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
    let envoy = children::envoy(settings, programs.envoy, bootstrap_file);
    let sidecar = programs
        .token_sidecar
        .and_then(|program| children::token_sidecar(settings, program, run_dir.path()))
        .map(|child| (child, bootstrap::sidecar_socket(run_dir.path())));
    let drain = (!settings.drain.is_zero()).then(|| Drain {
        admin_socket: bootstrap::admin_socket(run_dir.path()),
        within: settings.drain,
    });
    match supervise::run(&envoy, sidecar, drain) {
        Ok(code) => code,
        Err(NotStarted { program, error }) => {
            say(&format!("cannot run {}: {error}", program.display()));
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
