//! The proxy's own responses: `/ready`, `/status`, and the response to a request for which there is
//! no token.

use serde::{Serialize, Serializer};

use crate::config::{Mistakes, SlotSpec, Terms};
use crate::failure::{Failure, FailureCode};
use crate::state::State;
use crate::trace::Trace;
use crate::{Now, Token, calendar};

/// How many mistakes of a configuration a response lists, and the length of each in characters. The
/// log has all of them in full.
const MISTAKES_NAMED: usize = 3;
const MISTAKE_LENGTH: usize = 200;

/// The longest `Retry-After` for clients, in seconds: the token may come earlier than scheduled.
const MAX_RETRY_AFTER: u64 = 30;

/// The path at which the status listener answers with [`Ready`]. The proxy port forwards its own
/// `/ready` to this path, because its clients are not trusted with details.
pub const READY_WITHOUT_DETAILS: &str = "/ready/without-details";

/// The body of `/status`: whether the proxy is ready, and the state of every slot.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// Whether requests can be authorised.
    pub ready: bool,
    /// The state of each slot.
    pub slots: Vec<SlotStatus>,
    /// See [`Ready::code`].
    #[serde(skip)]
    failure: Option<String>,
}

/// Whether the proxy is ready, without details of identities, tenants, audiences or endpoints.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Ready {
    /// Whether requests can be authorised.
    pub ready: bool,
    /// The code of the failure because of which the proxy is not ready; `None` if it is ready or if
    /// nothing has failed yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// The state of a slot.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SlotStatus {
    /// The identity's name in the configuration.
    pub identity: String,
    /// The token's audience.
    pub audience: String,
    /// Whether the slot has a token that may be sent.
    pub state: TokenState,
    /// The token's generation, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// When the newest token expires or expired, in RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_on: Option<String>,
    /// The seconds until the newest token expires; 0 if it has expired.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_in_seconds: Option<u64>,
    /// The number of consecutive failures.
    pub consecutive_failures: u32,
    /// Why the last attempt failed; `None` after a success.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<LastError>,
    /// The seconds until the next attempt.
    pub next_attempt_in_seconds: u64,
}

/// Whether a slot has a token that may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum TokenState {
    /// The token may be sent.
    Valid,
    /// There has been no token yet.
    Waiting,
    /// The token has expired.
    Expired,
}

/// The failure of the last attempt.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LastError {
    /// The stable code, see [`FailureCode`].
    pub code: String,
    /// What happened.
    pub message: String,
    /// What to do.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub advice: String,
    /// The settings to check, by the names under which they were set.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub settings: Vec<String>,
    /// How long requests are unaffected; `None` if the token has expired.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meanwhile: Option<String>,
    /// The ids by which Microsoft's support finds the exchange.
    #[serde(flatten, serialize_with = "trace_fields")]
    pub trace: Trace,
}

/// Serializes the ids that are present.
fn trace_fields<S: Serializer>(trace: &Trace, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(trace.parts().map(|(name, _, value)| (name, value)))
}

impl LastError {
    fn of(failure: &Failure, terms: &Terms, meanwhile: Option<String>) -> Self {
        let settings = terms.to_look_at(failure).into_iter();
        Self {
            code: failure.code.to_string(),
            message: failure.message.clone(),
            advice: failure.advice().unwrap_or_default().to_owned(),
            settings: settings.map(str::to_owned).collect(),
            meanwhile,
            trace: Trace::clone(&failure.trace),
        }
    }
}

/// How long requests are unaffected by a failed refresh, as a sentence; `None` if the token may no
/// longer be sent.
#[must_use]
pub fn meanwhile(token: Option<&Token>, now: Now) -> Option<String> {
    let token = token.filter(|token| token.is_valid(now))?;
    let end = calendar::time_of_day(token.sendable_until(now))?;
    let minutes = token.remaining(now).as_secs() / 60;
    Some(format!(
        "requests go on with the token in hand until {end} UTC ({minutes} min)"
    ))
}

impl Status {
    /// The status of all slots at `now`.
    ///
    /// If some slots are required, the proxy is ready when all of these have a valid token. Otherwise
    /// it is ready when any slot that is not excluded has one, so that one broken identity does not
    /// take the others down.
    pub fn of<'a>(slots: impl IntoIterator<Item = (&'a SlotSpec, &'a State)>, now: Now) -> Self {
        let (specs, slots): (Vec<_>, Vec<_>) = slots
            .into_iter()
            .map(|(spec, state)| (spec.required, SlotStatus::of(spec, state, now)))
            .unzip();
        let any_required = specs.contains(&Some(true));
        let counts = |required: &Option<bool>| match required {
            Some(required) => *required,
            None => !any_required,
        };
        let counted = || {
            let slots = specs.iter().zip(&slots);
            slots
                .filter(|(required, _)| counts(required))
                .map(|(_, slot)| slot)
        };
        let valid = |slot: &SlotStatus| slot.state == TokenState::Valid;
        let ready = if any_required {
            counted().all(valid)
        } else {
            counted().next().is_none() || counted().any(valid)
        };
        let mut failures =
            counted().filter_map(|slot| slot.last_error.as_ref().filter(|_| !valid(slot)));
        let failure = failures
            .next()
            .filter(|_| !ready)
            .map(|failure| failure.code.clone());
        Self {
            ready,
            slots,
            failure,
        }
    }

    /// The part that untrusted clients may see.
    #[must_use]
    pub fn without_details(&self) -> Ready {
        Ready {
            ready: self.ready,
            code: self.failure.clone(),
        }
    }
}

impl SlotStatus {
    fn of(spec: &SlotSpec, state: &State, now: Now) -> Self {
        let token = state.token.as_ref();
        Self {
            identity: spec.identity.clone(),
            audience: spec.plan.audience.to_string(),
            state: match token {
                None => TokenState::Waiting,
                Some(token) if token.is_valid(now) => TokenState::Valid,
                Some(_) => TokenState::Expired,
            },
            generation: token.map(|token| token.generation.0),
            expires_on: token.and_then(|token| calendar::rfc3339(token.expires_wall)),
            expires_in_seconds: token.map(|token| token.until_expiry(now).as_secs()),
            consecutive_failures: state.failures,
            last_error: state
                .last_failure
                .as_ref()
                .map(|failure| LastError::of(failure, &spec.terms, meanwhile(token, now))),
            next_attempt_in_seconds: state.next_attempt.since(now.mono).as_secs(),
        }
    }
}

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
    pub fn misconfigured(Mistakes(mistakes): &Mistakes) -> Self {
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

/// Serializes a response body, which cannot fail for the types of this module.
#[must_use]
pub fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}
