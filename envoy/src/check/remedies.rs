//! What a person can do about a failure, in addition to token-core's advice: what Envoy's reason means.

use entra_token_core::config::{Setting, Terms};
use entra_token_core::failure::{CallOutcome, Failure, FailureCode};

use super::responder::Responder;

/// The kind of a failure, which determines the exit code. The kinds are in ascending order of severity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    /// The endpoint does not answer, or not as expected: `EX_UNAVAILABLE` of sysexits.h.
    Unreachable,
    /// The endpoint refuses the identity: `EX_NOPERM`.
    Refused,
    /// A local credential is wrong: `EX_USAGE`, as for wrong settings.
    Misconfigured,
}

impl Verdict {
    /// The exit code.
    pub(super) fn exit_code(self) -> u8 {
        match self {
            Self::Misconfigured => crate::exit::USAGE,
            Self::Unreachable => 69,
            Self::Refused => 77,
        }
    }

    /// The kind of this failure.
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

/// Whether the last call got a response.
pub(super) fn has_response(failure: &Failure) -> bool {
    failure.code.call_outcome() == CallOutcome::Answered
}

/// The meaning of the details of a local reply.
struct Cause {
    /// A text that occurs in the details.
    mark: &'static str,
    meaning: &'static str,
    /// The setting to check first.
    setting: Option<Setting>,
}

static CAUSES: &[Cause] = &[
    Cause {
        mark: "ssl.fail_verify",
        meaning: "its certificate is not trusted for this name",
        setting: Some(Setting::TrustStore),
    },
    Cause {
        mark: "TLS_error",
        meaning: "the TLS handshake failed: it speaks no TLS, or no version that is accepted here",
        setting: None,
    },
    Cause {
        mark: "Connection_refused",
        meaning: "nothing listens there",
        setting: None,
    },
    Cause {
        mark: "no_healthy_upstream",
        meaning: "its name has no address in DNS",
        setting: None,
    },
    Cause {
        mark: "response_timeout",
        meaning: "the connection was established, but no response came",
        setting: None,
    },
];

/// A TLS error behind a forward proxy: a proxy that refuses the tunnel closes the connection.
static TUNNEL: Cause = Cause {
    mark: "TLS_error",
    meaning: "the proxy refused or closed the tunnel; its response is the `failure` on standard error",
    setting: None,
};

/// What to check and what to do.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Remedy {
    /// The meaning of Envoy's reason; `None` if there is no reason or an unknown one.
    pub(super) cause: Option<&'static str>,
    /// The settings to check, by the names under which they were set.
    pub(super) settings: Vec<String>,
    /// Shell commands. Placeholders are in angle brackets.
    pub(super) commands: &'static [&'static str],
}

/// What to do about a failed call to this responder.
pub(super) fn remedy(
    failure: &Failure,
    terms: &Terms,
    responder: Responder<'_>,
    reason: Option<&str>,
    via_proxy: bool,
) -> Remedy {
    let cause = reason.and_then(|reason| cause(reason, via_proxy));
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
        commands: failure.code.commands(responder.is_app_service()),
    }
}

fn cause(reason: &str, via_proxy: bool) -> Option<&'static Cause> {
    let mut causes = via_proxy.then_some(&TUNNEL).into_iter().chain(CAUSES);
    causes.find(|cause| reason.contains(cause.mark))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_that_a_forward_proxy_closes_is_attributed_to_the_proxy() {
        let reason = "upstream_reset…TLS_error:|…Connection_reset_by_peer";
        let meaning = |via_proxy| cause(reason, via_proxy).map(|cause| cause.meaning);
        assert!(meaning(false).is_some_and(|it| it.contains("TLS handshake")));
        assert!(meaning(true).is_some_and(|it| it.contains("tunnel")));
    }
}
