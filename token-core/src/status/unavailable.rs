//! The responses to requests for which there is no token.

use serde::Serialize;

use crate::Now;
use crate::config::ConfigErrors;
use crate::failure::FailureCode;
use crate::state::State;

/// How many mistakes of a configuration a response lists, and the length of each in characters. The
/// log has all of them in full.
const MISTAKES_NAMED: usize = 3;
const MISTAKE_LENGTH: usize = 200;

/// The longest `Retry-After` for clients, in seconds: the token may come earlier than scheduled.
const MAX_RETRY_AFTER: u64 = 30;

/// The body of the 503 for a request without a token. Clients retry 503, but not 401. The body does
/// not reveal the identity, because its readers may not be trusted; `/status` has the details.
#[derive(Debug, Serialize)]
pub struct Unavailable {
    error: ErrorBody,
    /// The value of `Retry-After`, in seconds.
    #[serde(skip)]
    pub retry_after: u64,
}

#[derive(Debug, Serialize)]
struct ErrorBody {
    code: &'static str,
    message: String,
    /// The code of the slot's last failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<FailureCode>,
    /// What to do, if `/status` does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<&'static str>,
}

/// Why a request did not get a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoToken {
    /// The request was held for `hold.timeout`.
    HeldTooLong,
    /// `hold.maxRequests` requests were held already.
    TooManyHeld,
    /// The filter could not set the header.
    NotSet,
}

impl Unavailable {
    /// The response to a request of a slot in this state.
    #[must_use]
    pub fn new(why: NoToken, state: &State, now: Now) -> Self {
        let (code, what) = match why {
            NoToken::HeldTooLong => (
                "token_unavailable",
                "no token that may be sent came in time",
            ),
            NoToken::TooManyHeld => (
                "too_many_held",
                "as many requests are waiting for a token as may",
            ),
            NoToken::NotSet => (
                "internal",
                "the proxy could not put the token on the request",
            ),
        };
        let failure = state.last_failure.as_ref();
        let wait = state.next_attempt.since(now.mono).as_secs();
        Self {
            error: ErrorBody {
                code,
                message: what.into(),
                reason: failure.map(|failure| failure.code),
                advice: None,
            },
            retry_after: wait.saturating_add(1).min(MAX_RETRY_AFTER),
        }
    }

    /// The response to a request that would carry the token out of the mesh in clear text.
    #[must_use]
    pub fn without_tls() -> Self {
        Self {
            error: ErrorBody {
                code: "target_without_tls",
                message: "the cluster of this host leads out of the mesh without TLS, where everybody on the way could read the token".into(),
                reason: None,
                advice: Some("Add a DestinationRule with TLS for the port of this host, in the namespace of the client, or name the cluster in the target's `clusters`."),
            },
            retry_after: MAX_RETRY_AFTER,
        }
    }

    /// The response while the filter has only a configuration with mistakes.
    #[must_use]
    pub fn misconfigured(ConfigErrors(mistakes): &ConfigErrors) -> Self {
        let mut message = String::from("the plugin configuration is wrong: ");
        for (n, mistake) in mistakes.iter().take(MISTAKES_NAMED).enumerate() {
            if n > 0 {
                message.push_str("; ");
            }
            message.extend(mistake.to_string().chars().take(MISTAKE_LENGTH));
        }
        if let Some(more @ 1..) = mistakes.len().checked_sub(MISTAKES_NAMED) {
            message.push_str("; and ");
            message.push_str(&more.to_string());
            message.push_str(" more in the proxy's log");
        }
        Self {
            error: ErrorBody {
                code: "configuration_invalid",
                message,
                reason: None,
                advice: Some(
                    "Correct the plugin's configuration; it takes effect without a restart.",
                ),
            },
            retry_after: MAX_RETRY_AFTER,
        }
    }
}

/// The body of the 401 for a request whose token the target refused, if there is no newer token.
pub const IDENTITY_REFUSED: &str = r#"{"error":{"code":"target_refuses_identity","message":"the target refuses the proxy's token (401), and there is no newer one"}}"#;
