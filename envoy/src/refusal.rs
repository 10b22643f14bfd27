//! Why Envoy has refused its bootstrap, where that is for a setting that nobody but Envoy can judge:
//! BoringSSL reads more of an authority's certificate than others do, such as dates and names.

use std::path::PathBuf;

use entra_auth_settings_input::{ConfigError, Problem};

use crate::children;
use crate::process;
use crate::settings::Settings;

/// Envoy's exit code for a bootstrap that it refuses; it has others for a signal.
pub(crate) const REFUSED: u8 = 1;

/// How Envoy (`ContextImpl`, `DefaultCertValidator`) begins what it says of a trust store.
const AUTHORITIES: &str = "Failed to load trusted CA certificates";

/// Has Envoy validate the bootstrap that it has refused, and gives the setting that is wrong: what it
/// has said at the start went to standard error.
pub(crate) fn config_error(
    settings: &Settings,
    program: PathBuf,
    bootstrap: PathBuf,
) -> Option<ConfigError> {
    let envoy = children::validating_envoy(settings, program, bootstrap);
    let output = process::command(&envoy).output().ok()?;
    of_words(&String::from_utf8_lossy(&output.stderr))
}

fn of_words(words: &str) -> Option<ConfigError> {
    let reason = words.lines().find_map(|line| {
        let start = line.find(AUTHORITIES)?;
        line.get(start..)
    })?;
    let problem = Problem::new(
        format!(
            "names authorities that Envoy refuses: {}",
            reason.trim_end()
        ),
        "Remove the certificate that breaks RFC 5280, or get it anew from its authority.",
    );
    Some(problem.of("SSL_CERT_FILE"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_envoy_says_of_authorities_is_a_mistake() {
        let told = "[2026-11-28 00:20:20.795][1][critical][main] [server.cc:76] error initializing \
                    configuration '/b.json': Failed to load trusted CA certificates from /ca.pem\n";
        let error = of_words(told).unwrap().to_string();
        assert!(
            error.contains("refuses: Failed to load trusted CA certificates from /ca.pem. Remove"),
            "{error}"
        );
        assert_eq!(
            of_words("error initializing configuration: no such file"),
            None
        );
    }
}
