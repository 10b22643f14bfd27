//! What the proxy serves: the targets, whose token each gets, and the ports that lead to them.

use std::fmt;
use std::str::FromStr;

use entra_auth_settings_input::{Endpoint, Place, Problem, Scheme};
use entra_token_core::Audience;
use entra_token_core::config::{AuthErrorsRetryable, Hold, IdentityName};
use entra_token_core::host::HostPattern;

use super::ListeningAddress;
use super::headers::HeaderOverride;

/// Where requests go, and with which token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// What listeners and Envoy's metrics call it.
    pub name: TargetName,
    /// Where it is.
    pub endpoint: Endpoint,
    /// The same, as the filter recognises it.
    pub pattern: HostPattern,
    /// Whose token it gets.
    pub identity: IdentityName,
    /// Whom the token is for.
    pub audience: Audience,
    /// Whether the proxy is ready only with its token; by default of several one is enough.
    pub required: Option<bool>,
    /// What happens to requests while there is no token.
    pub hold: Hold,
    /// Which requests get 503 in place of its 401 or 403.
    pub auth_errors_retryable: AuthErrorsRetryable,
    /// Request headers to set.
    pub override_headers: Vec<HeaderOverride>,
}

/// A port of the proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// The port.
    pub port: u16,
    /// Where it is open.
    pub address: ListeningAddress,
    /// What says the port.
    pub place: Place,
    /// What says the address.
    pub address_place: Place,
    /// Which target a request is for.
    pub routing: Routing,
}

/// Which target a request is for. Each is an index into the settings' targets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Routing {
    /// Always this one, whatever its `Host`.
    Always(usize),
    /// The one that its `Host` names.
    ByHost(Vec<usize>),
}

impl Routing {
    /// The targets that are reached.
    #[must_use]
    pub fn targets(&self) -> &[usize] {
        match self {
            Self::Always(target) => std::slice::from_ref(target),
            Self::ByHost(targets) => targets,
        }
    }
}

/// The `Host`s by which requests to a port mean this endpoint. A target at its scheme's own port
/// may be written with a default port, or with that of the listener, which a client has there for
/// which the target's name leads to this proxy.
#[must_use]
pub fn hosts(endpoint: &Endpoint, listening_port: u16) -> Vec<String> {
    let authority = endpoint.authority();
    if endpoint.port != endpoint.scheme.default_port() {
        return vec![authority];
    }
    let mut ports = vec![
        Scheme::Http.default_port(),
        Scheme::Https.default_port(),
        listening_port,
    ];
    ports.sort_unstable();
    ports.dedup();
    let with_port = ports.into_iter().map(|port| format!("{authority}:{port}"));
    std::iter::once(authority.clone())
        .chain(with_port)
        .collect()
}

/// Name of a target.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TargetName(String);

impl TargetName {
    /// Reads a name.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        // As those of identities, which are labels of metrics, too.
        let wrong = || {
            Problem::of_value(
                text,
                "is no name of a target; use up to 64 letters, digits, `_`, `.` and `-`",
            )
        };
        IdentityName::from_str(text).map_err(|_| wrong())?;
        Ok(Self(text.to_owned()))
    }

    /// The one that the environment names.
    #[must_use]
    pub fn only() -> Self {
        Self("target".to_owned())
    }
}

impl fmt::Display for TargetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::target_host;

    #[test]
    fn a_target_at_a_default_port_is_meant_with_it_without_it_and_with_the_listeners() {
        let of = |value| hosts(&target_host::parse(value).unwrap().0, 8082);
        assert_eq!(
            of("https://abc.example"),
            [
                "abc.example",
                "abc.example:80",
                "abc.example:443",
                "abc.example:8082"
            ]
        );
        assert_eq!(of("https://abc.example:8443"), ["abc.example:8443"]);
        assert_eq!(of("http://[::1]")[..2], ["[::1]", "[::1]:80"]);
    }
}
