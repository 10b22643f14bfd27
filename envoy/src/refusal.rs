//! Finds the setting because of which Envoy refused its bootstrap. Only the trust store can be one:
//! BoringSSL checks more of a CA certificate, such as dates and names, than the launcher does.

use std::path::PathBuf;

use entra_auth_settings_input::{ConfigError, Problem};

use crate::children;
use crate::process;
use crate::settings::Settings;

/// Envoy's exit code for a bootstrap that it refuses.
pub(crate) const BOOTSTRAP_REFUSED: u8 = 1;

/// How Envoy's error message about a trust store begins (`ContextImpl`, `DefaultCertValidator`).
const TRUST_STORE_ERROR: &str = "Failed to load trusted CA certificates";

/// Runs Envoy in validation mode with the bootstrap that it refused, and returns the setting that is
/// wrong. A second run is needed because the first one's messages went to standard error.
pub(crate) fn config_error(
    settings: &Settings,
    program: PathBuf,
    bootstrap: PathBuf,
) -> Option<ConfigError> {
    let envoy = children::validating_envoy(settings, program, bootstrap);
    let output = process::command(&envoy).output().ok()?;
    trust_store_error(&String::from_utf8_lossy(&output.stderr))
}

fn trust_store_error(log: &str) -> Option<ConfigError> {
    let reason = log.lines().find_map(|line| {
        let start = line.find(TRUST_STORE_ERROR)?;
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
    fn only_an_error_of_the_trust_store_is_a_mistake_in_the_settings() {
        let log = "[2026-11-28 00:20:20.795][1][critical][main] [server.cc:76] error initializing \
                    configuration '/b.json': Failed to load trusted CA certificates from /ca.pem\n";
        let error = trust_store_error(log).unwrap().to_string();
        assert!(
            error.contains("refuses: Failed to load trusted CA certificates from /ca.pem. Remove"),
            "{error}"
        );
        assert_eq!(
            trust_store_error("error initializing configuration: no such file"),
            None
        );
    }
}
