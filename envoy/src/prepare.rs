//! What `run` and `check` prepare before they start a process: the programs' paths, the private
//! directory, and the file with the bootstrap.

use std::io;
use std::path::{Path, PathBuf};

use entra_auth_settings_input::{ConfigError, Problem, Variables, quoted};
use serde_json::Value;

use crate::bootstrap;
use crate::exit::{NOT_EXECUTABLE, NOT_FOUND, OS_ERROR, refuse, say};
use crate::machine::Machine;
use crate::process::NotStarted;
use crate::run_dir::RunDir;
use crate::settings::credential_file::{LONGEST_SOCKET, servable};
use crate::settings::{self, Settings};

/// The programs that `run` and `check` start.
pub(crate) struct Programs {
    pub(crate) envoy: PathBuf,
    /// `None` if the settings have no certificate.
    pub(crate) token_sidecar: Option<PathBuf>,
}

impl Programs {
    pub(crate) fn find(
        variables: &Variables,
        machine: &Machine,
        settings: Option<&Settings>,
    ) -> Result<Self, Vec<ConfigError>> {
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

/// Creates the private directory, with the files whose content must not be in the bootstrap.
///
/// # Errors
/// The exit code; the error has been reported.
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

/// Checks that the paths of all sockets are short enough for the kernel. (Envoy's own error message
/// would contain the whole bootstrap.)
fn sockets_fit(settings: &Settings, run_dir: &Path) -> Result<(), Problem> {
    let mut sockets = vec![
        bootstrap::admin_socket(run_dir),
        bootstrap::check::socket(run_dir),
    ];
    let sidecars = bootstrap::sidecars(settings, run_dir);
    sockets.extend(sidecars.into_iter().map(|sidecar| sidecar.socket));
    sockets.extend(bootstrap::telemetry_socket(settings, run_dir));
    let longest = sockets.iter().map(|socket| socket.as_os_str().len()).max();
    let excess = longest.unwrap_or_default().saturating_sub(LONGEST_SOCKET);
    if excess == 0 {
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
            len - excess
        ),
    ))
}

/// Writes the bootstrap to a file.
///
/// # Errors
/// The exit code; the error has been reported.
pub(crate) fn write_bootstrap(run_dir: &RunDir, bootstrap: &Value) -> Result<PathBuf, u8> {
    let written = run_dir.write("bootstrap.json", bootstrap.to_string().as_bytes());
    written.map_err(|error| {
        say(&format!("cannot write the bootstrap: {error}"));
        OS_ERROR
    })
}

/// Reports which process could not be started, and returns the exit code.
pub(crate) fn cannot_run(NotStarted { program, error }: &NotStarted) -> u8 {
    say(&format!("cannot run {}: {error}", program.display()));
    match error.kind() {
        io::ErrorKind::NotFound => NOT_FOUND,
        io::ErrorKind::PermissionDenied => NOT_EXECUTABLE,
        _ => OS_ERROR,
    }
}
