//! The programs that checks run, each named with the command that brings it where it is missing.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::manifests::Manifests;

/// The versions of Kubernetes that the chart is rendered for: the oldest that it allows, and the
/// newest whose schemas there are.
pub(crate) const KUBERNETES: [&str; 2] = ["1.27", "1.37"];

/// A file of the repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).join(path)
}

/// A file's text, or why there is none.
pub(crate) fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// A command of the program at `path`, which `brought_by` installs.
pub(crate) fn program(path: &str, brought_by: &str) -> Result<Command, String> {
    let path = repository(path);
    match path.is_file() {
        true => Ok(Command::new(path)),
        false => Err(format!("{} is missing: run `{brought_by}`", path.display())),
    }
}

/// Standard output of a command that must succeed.
pub(crate) fn output(command: &mut Command) -> Result<String, String> {
    let output = run(command)?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    match output.status.success() {
        true => Ok(text),
        false => Err(format!(
            "{command:?}: {}\n{text}{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        )),
    }
}

/// What a command says, whether it succeeds or not.
pub(crate) fn run(command: &mut Command) -> Result<Output, String> {
    command.stdin(Stdio::null());
    let output = command.output();
    output.map_err(|error| format!("{command:?}: {error}"))
}

/// Checks every object against the schema of its kind.
pub(crate) fn meets_its_schemas(manifests: &Manifests) -> Result<(), String> {
    let mut checker = program(".tools/venv/bin/python", "scripts/setup schemas")?
        .arg(repository("tests/deploy/schemas.py"))
        .args(KUBERNETES)
        .arg(repository(".tools/crds"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("schemas.py: {error}"))?;
    let objects = serde_json::to_vec(manifests.all()).map_err(|error| error.to_string())?;
    if let Some(mut input) = checker.stdin.take() {
        let written = input.write_all(&objects);
        written.map_err(|error| format!("schemas.py: {error}"))?;
    }
    let output = checker.wait_with_output();
    let output = output.map_err(|error| format!("schemas.py: {error}"))?;
    let stdout = String::from_utf8_lossy(&output.stdout);
    match output.status.success() && stdout.is_empty() {
        true => Ok(()),
        false => Err(format!("{}\n{stdout}", output.status)),
    }
}
