//! What a person can do about a failure, beside what token-core says: what Envoy's reason means. As tables.

use entra_token_core::config::Terms;
use entra_token_core::failure::{Failure, FailureCode, Reached, Setting};

use super::place::Place;

/// What a failure means for whoever started the check. Of several the last one counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    /// Nobody answers, or not with what was asked for: `EX_UNAVAILABLE` of sysexits.h.
    Unreachable,
    /// The endpoint refuses the identity: `EX_NOPERM`.
    Refused,
    /// What is here is wrong: `EX_USAGE`, as for the environment.
    Misconfigured,
}

impl Verdict {
    /// The code to end with.
    pub(super) fn exit_code(self) -> u8 {
        match self {
            Self::Misconfigured => crate::exit::USAGE,
            Self::Unreachable => 69,
            Self::Refused => 77,
        }
    }

    /// Of a failure.
    pub(super) fn of(failure: &Failure) -> Self {
        match failure.code {
            FailureCode::CredentialUnavailable
            | FailureCode::EndpointBrokeOff
            | FailureCode::EndpointClusterMissing
            | FailureCode::EndpointFailed
            | FailureCode::EndpointNameUnknown
            | FailureCode::EndpointNotReady
            | FailureCode::EndpointRedirects
            | FailureCode::EndpointTimeout
            | FailureCode::EndpointTlsFailed
            | FailureCode::EndpointUnreachable
            | FailureCode::EntraUnavailable
            | FailureCode::MalformedReply
            | FailureCode::Throttled
            | FailureCode::UnexpectedStatus
            | FailureCode::Unknown => Self::Unreachable,
            FailureCode::AssertionOver | FailureCode::CredentialUnusable => Self::Misconfigured,
            FailureCode::ApplicationDisabled
            | FailureCode::ApplicationNotFound
            | FailureCode::AssertionNotValidNow
            | FailureCode::AudienceNotFound
            | FailureCode::CertificateRefused
            | FailureCode::ClientSecretExpired
            | FailureCode::ClientSecretWrong
            | FailureCode::CredentialMissing
            | FailureCode::FederatedCredentialNotFound
            | FailureCode::IdentityNotFound
            | FailureCode::RequestRefused
            | FailureCode::ScopeInvalid
            | FailureCode::TenantIdInvalid
            | FailureCode::TenantNotFound
            | FailureCode::WrongCloud => Self::Refused,
        }
    }
}

/// Whether somebody answered.
pub(super) fn was_reached(failure: &Failure) -> bool {
    failure.code.reached() == Reached::Somebody
}

/// What Envoy's reason for an answer of its own means.
struct Cause {
    /// Found in the reason.
    mark: &'static str,
    meaning: &'static str,
    /// The setting that it points to.
    setting: Option<Setting>,
}

static CAUSES: &[Cause] = &[
    Cause {
        mark: "ssl.fail_verify",
        meaning: "its certificate is not one that is trusted here for that name",
        setting: Some(Setting::TrustStore),
    },
    Cause {
        mark: "TLS_error",
        meaning: "it does not speak TLS as is wanted here",
        setting: None,
    },
    Cause {
        mark: "Connection_refused",
        meaning: "nothing listens there",
        setting: None,
    },
    Cause {
        mark: "no_healthy_upstream",
        meaning: "DNS knows no address for its name",
        setting: None,
    },
    Cause {
        mark: "response_timeout",
        meaning: "there is a connection, and no answer comes on it",
        setting: None,
    },
];

/// The same behind a forward proxy, which refuses by ending the connection.
static TUNNEL: Cause = Cause {
    mark: "TLS_error",
    meaning: "the proxy refused or broke the tunnel; what it answered is the `failure` on standard error",
    setting: None,
};

/// What to look at and what to do.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Remedy {
    /// What Envoy's reason means; none where it gave none or is unknown.
    pub(super) cause: Option<&'static str>,
    /// The settings to look at, as they are called where they were set.
    pub(super) settings: Vec<String>,
    /// For a shell, with what is not known in angle brackets.
    pub(super) commands: &'static [&'static str],
}

/// What to do about a failure at a place, which was reached by a forward proxy or not.
pub(super) fn remedy(
    failure: &Failure,
    terms: &Terms,
    place: Place,
    reason: Option<&str>,
    by_proxy: bool,
) -> Remedy {
    let cause = reason.and_then(|reason| cause(reason, by_proxy));
    let of_cause = cause.and_then(|cause| terms.name(cause.setting?));
    let mut settings: Vec<String> = Vec::new();
    for name in of_cause.into_iter().chain(terms.to_look_at(failure)) {
        if !settings.iter().any(|known| known == name) {
            settings.push(name.to_owned());
        }
    }
    Remedy {
        cause: cause.map(|cause| cause.meaning),
        settings,
        commands: failure.code.commands(place == Place::AppService),
    }
}

fn cause(reason: &str, by_proxy: bool) -> Option<&'static Cause> {
    let mut causes = by_proxy.then_some(&TUNNEL).into_iter().chain(CAUSES);
    causes.find(|cause| reason.contains(cause.mark))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_that_a_forward_proxy_ends_is_not_laid_at_the_endpoints_door() {
        let reason = "upstream_reset…TLS_error:|…Connection_reset_by_peer";
        let meaning = |by_proxy| cause(reason, by_proxy).map(|cause| cause.meaning);
        assert!(meaning(false).is_some_and(|it| it.contains("speak TLS")));
        assert!(meaning(true).is_some_and(|it| it.contains("tunnel")));
    }
}
