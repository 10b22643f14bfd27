//! The commands: read the environment, say everything that is wrong with it, then print the
//! bootstrap, run Envoy with it, or `check` whether there are tokens to be had.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::Value;

use crate::admin::Admin;
use crate::bootstrap::{self, header_overrides};
use crate::check;
use crate::children;
use crate::cli::Command;
use crate::drain::Drain;
use crate::machine::{self, Machine};
use crate::refusal::{self, REFUSED};
use crate::run_dir::RunDir;
use crate::settings::credential_file::{LONGEST_SOCKET, servable};
use crate::settings::mistake::{Mistake, Problem, quoted};
use crate::settings::target::Routing;
use crate::settings::variables::Variables;
use crate::settings::{self, Settings, file};
use crate::supervise::{self, NotStarted};

/// The command line or the environment cannot be used (`EX_USAGE` of sysexits.h).
pub const USAGE: u8 = 64;
/// The machine refuses something (`EX_OSERR` of sysexits.h).
pub(crate) const OS_ERROR: u8 = 71;
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
        Command::Render { config } => match reading.outcome {
            Ok(settings) if config => render_file(&settings),
            Ok(settings) => render(&settings),
            Err(mistakes) => refuse(&mistakes),
        },
        Command::Run | Command::Check => {
            let outcome = reading.outcome.and_then(|settings| {
                let out_of_reach = machine::out_of_reach(&settings);
                out_of_reach
                    .is_empty()
                    .then_some(settings)
                    .ok_or(out_of_reach)
            });
            let programs = Programs::find(&variables, &machine, outcome.as_ref().ok());
            match (outcome, programs) {
                (Ok(settings), Ok(programs)) if command == Command::Check => {
                    check::check(&settings, programs)
                }
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

/// What `run` and `check` run.
pub(crate) struct Programs {
    pub(crate) envoy: PathBuf,
    /// Where the settings have a certificate.
    pub(crate) token_sidecar: Option<PathBuf>,
}

impl Programs {
    fn find(
        variables: &Variables,
        machine: &Machine,
        settings: Option<&Settings>,
    ) -> Result<Self, Vec<Mistake>> {
        let envoy = settings::envoy(variables, machine);
        let has_certificate = settings.is_some_and(Settings::has_certificate);
        let sidecar = has_certificate.then(|| settings::token_sidecar(variables, machine));
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

pub(crate) fn refuse(mistakes: &[Mistake]) -> u8 {
    match mistakes.len() {
        1 => say("1 mistake in the settings:"),
        count => say(&format!("{count} mistakes in the settings:")),
    }
    for mistake in mistakes {
        eprintln!("  {mistake}");
    }
    USAGE
}

fn render(settings: &Settings) -> u8 {
    let bootstrap = bootstrap::build(settings, Path::new(RENDERED_RUN_DIR));
    for (variable, header) in header_overrides::variables(settings) {
        say(&format!(
            "the value of {} is not in the bootstrap: set {variable} for Envoy",
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

/// The configuration file that says the same as the environment.
fn render_file(settings: &Settings) -> u8 {
    for (variable, header) in header_overrides::variables(settings) {
        say(&format!(
            "the value of {} is not in the file: set {variable} beside it",
            header.name
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

/// The private directory with what does not stand in a bootstrap; else the code to end with.
pub(crate) fn private_directory(settings: &Settings) -> Result<RunDir, u8> {
    let run_dir = RunDir::create().map_err(|error| {
        say(&format!("cannot make a private directory: {error}"));
        OS_ERROR
    })?;
    if let Err(problem) = sockets_fit(settings, run_dir.path()) {
        return Err(refuse(&[problem.of("TMPDIR")]));
    }
    if let Some(header) = settings.identity_header() {
        if let Err(wrong) = servable(run_dir.path()) {
            let path = quoted(&run_dir.path().to_string_lossy());
            let problem = Problem::new(
                format!("leads to {path}, which {wrong}"),
                "Use another directory.",
            );
            return Err(refuse(&[problem.of("TMPDIR")]));
        }
        let written = run_dir.write(bootstrap::IDENTITY_HEADER, header.expose().as_bytes());
        if let Err(error) = written {
            say(&format!(
                "cannot write the value of IDENTITY_HEADER: {error}"
            ));
            return Err(OS_ERROR);
        }
    }
    Ok(run_dir)
}

/// Whether the sockets of a run have paths that the kernel takes. (Envoy's own message has its whole
/// bootstrap in it.)
fn sockets_fit(settings: &Settings, run_dir: &Path) -> Result<(), Problem> {
    let mut sockets = vec![
        bootstrap::admin_socket(run_dir),
        bootstrap::check::socket(run_dir),
    ];
    let sidecars = bootstrap::sidecars(settings, run_dir);
    sockets.extend(sidecars.into_iter().map(|(_, socket)| socket));
    let longest = sockets.iter().map(|socket| socket.as_os_str().len()).max();
    let over = longest.unwrap_or_default().saturating_sub(LONGEST_SOCKET);
    if over == 0 {
        return Ok(());
    }
    let directory = run_dir.parent().unwrap_or(run_dir);
    let len = directory.as_os_str().len();
    Err(Problem::new(
        format!(
            "is {}, whose {len} bytes make the paths of Unix sockets in it longer than the \
             {LONGEST_SOCKET} that the system takes",
            quoted(&directory.to_string_lossy())
        ),
        format!(
            "Set it to a directory whose path has {} bytes at most, as /tmp.",
            len - over
        ),
    ))
}

/// The file with a bootstrap; else the code to end with.
pub(crate) fn write_bootstrap(run_dir: &RunDir, bootstrap: &Value) -> Result<PathBuf, u8> {
    let written = run_dir.write("bootstrap.json", bootstrap.to_string().as_bytes());
    written.map_err(|error| {
        say(&format!("cannot write the bootstrap: {error}"));
        OS_ERROR
    })
}

/// Says which process could not be started, and gives the code to end with.
pub(crate) fn cannot_run(NotStarted { program, error }: &NotStarted) -> u8 {
    say(&format!("cannot run {}: {error}", program.display()));
    match error.kind() {
        io::ErrorKind::NotFound => NOT_FOUND,
        io::ErrorKind::PermissionDenied => NOT_EXECUTABLE,
        _ => OS_ERROR,
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
    supervise::raise_open_files();
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
    });
    let code =
        supervise::run(&envoy, sidecars, drain).map_err(|not_started| cannot_run(&not_started))?;
    let mistake = (code == REFUSED)
        .then(|| refusal::mistake(settings, programs.envoy, bootstrap_file))
        .flatten();
    Ok(mistake.map_or(code, |mistake| refuse(&[mistake])))
}

/// What an operator wants to see first in the log: where each port leads to.
fn summary(settings: &Settings) -> Vec<String> {
    let mut lines = Vec::new();
    for listener in &settings.listeners {
        let by_host = match listener.routing {
            Routing::Always(_) => "",
            Routing::ByHost(_) => "what is for it ",
        };
        for target in listener.routing.targets() {
            let Some(target) = settings.targets.get(*target) else {
                continue;
            };
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
