//! A token-sidecar that the test starts itself, as in a container of its own.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::{Process, tools};

const START: Duration = Duration::from_secs(20);

/// Starts it with this environment and no other, and waits for its socket.
///
/// # Panics
/// When there is no socket in time; its log is in the message.
#[must_use]
pub fn token_sidecar(
    socket: &Path,
    environment: impl IntoIterator<Item = (String, OsString)>,
) -> Process {
    let mut command = Command::new(tools::token_sidecar());
    command
        .env_clear()
        .envs(environment)
        .env("TOKEN_SIDECAR_SOCKET", socket);
    let mut sidecar = Process::spawn("token-sidecar", |_| Ok(command)).expect("a token-sidecar");
    let is_there = || match socket.exists() {
        true => Ok(()),
        false => Err("no socket yet".to_owned()),
    };
    sidecar
        .wait_ready(START, is_there)
        .unwrap_or_else(|reason| panic!("{reason}"));
    sidecar
}
