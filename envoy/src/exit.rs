//! How the launcher ends: its exit codes, and what it says on standard error.

use rustix::process::WaitStatus;

use crate::settings::mistake::Mistake;

/// The command line or the environment cannot be used (`EX_USAGE` of sysexits.h).
pub const USAGE: u8 = 64;
/// The machine refuses something (`EX_OSERR` of sysexits.h).
pub(crate) const OS_ERROR: u8 = 71;
/// A shell's codes for a command that is there but cannot be executed, and for one that is not.
pub(crate) const NOT_EXECUTABLE: u8 = 126;
pub(crate) const NOT_FOUND: u8 = 127;

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

/// The exit code for the end of a child process: its own, or 128 and the number of the signal that ended it,
/// as in a shell.
#[must_use]
pub(crate) fn code_of(status: WaitStatus) -> u8 {
    let code = match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => code,
        (None, Some(signal)) => 128 + signal,
        (None, None) => 1,
    };
    u8::try_from(code).unwrap_or(1)
}
