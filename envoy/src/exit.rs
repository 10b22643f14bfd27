//! The launcher's exit codes, and its messages on standard error.

use entra_auth_settings_input::ConfigError;
use rustix::process::WaitStatus;

/// The command line or the environment cannot be used (`EX_USAGE` of sysexits.h).
pub const USAGE: u8 = 64;
/// A bug of the launcher (`EX_SOFTWARE` of sysexits.h).
const INTERNAL_ERROR: u8 = 70;
/// The operating system refused something (`EX_OSERR` of sysexits.h).
pub(crate) const OS_ERROR: u8 = 71;
/// The shell's exit codes for a command that cannot be executed, and for one that does not exist.
pub(crate) const NOT_EXECUTABLE: u8 = 126;
pub(crate) const NOT_FOUND: u8 = 127;

/// Prints a line on standard error. Standard output is for the bootstrap or for Envoy's access log.
pub(crate) fn say(line: &str) {
    eprintln!("entra-auth-envoy: {line}");
}

/// Reports a bug of the launcher, and returns the exit code.
pub(crate) fn internal_error(what: &str) -> u8 {
    say(&format!(
        "internal error: {what}; please report this with your settings, but without their secrets"
    ));
    INTERNAL_ERROR
}

/// Prints the mistakes in the settings, and returns the exit code.
pub(crate) fn refuse(errors: &[ConfigError]) -> u8 {
    match errors.len() {
        0 => return internal_error("the settings were refused without a mistake in them"),
        1 => say("1 mistake in the settings:"),
        count => say(&format!("{count} mistakes in the settings:")),
    }
    for error in errors {
        eprintln!("  {error}");
    }
    USAGE
}

/// The exit code for a child process that has ended: its own, or 128 plus the number of the signal that
/// ended it, as in a shell.
#[must_use]
pub(crate) fn code_of(status: WaitStatus) -> u8 {
    let code = match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => code,
        (None, Some(signal)) => 128 + signal,
        (None, None) => 1,
    };
    u8::try_from(code).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_without_a_mistake_is_an_internal_error() {
        assert_eq!(refuse(&[]), INTERNAL_ERROR);
    }
}
