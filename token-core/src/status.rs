//! What the proxy says of itself: `/ready`, `/status`, and the answer to a request that cannot
//! have its token.

use serde::{Serialize, Serializer};

use crate::config::{ConfigErrors, SlotSpec, Terms};
use crate::failure::{Failure, FailureCode};
use crate::state::State;
use crate::trace::Trace;
use crate::{Now, Token, calendar};

/// How many mistakes of a configuration an answer names, and with how many letters each; the log
/// has all of them.
const ERRORS_NAMED: usize = 3;
const ERROR_LENGTH: usize = 200;

/// The longest `Retry-After` that a client gets: the token may come earlier than planned.
const MAX_RETRY_AFTER: u64 = 30;

/// The path at which the status listener answers with [`Ready`]. The proxy's port asks there for its
/// `/ready`, because whoever reaches that port may be anybody.
pub const READY_WITHOUT_DETAILS: &str = "/ready/without-details";

/// Whether the proxy can do its job, and the state of every slot.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// Whether requests can be authorised.
    pub ready: bool,
    /// One for each token.
    pub slots: Vec<SlotStatus>,
    /// The code of the failure that keeps the proxy from being ready, see [`Ready::code`].
    #[serde(skip)]
    failure: Option<String>,
}

/// Whether the proxy can do its job, without a word on identities, tenants, audiences or endpoints.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Ready {
    /// Whether requests can be authorised.
    pub ready: bool,
    /// The code of the failure that keeps them from it; none while nothing has failed yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// The state of one token.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SlotStatus {
    /// The identity's name in the configuration.
    pub identity: String,
    /// What the token is for.
    pub audience: String,
    /// Whether there is a token that may be sent.
    pub state: TokenState,
    /// Which token it is, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// When the newest token ends or ended, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_on: Option<String>,
    /// How long it is still good for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_in_seconds: Option<u64>,
    /// Failed attempts in a row.
    pub consecutive_failures: u32,
    /// Why the last attempt failed; absent after a success.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<Problem>,
    /// When the endpoint is asked next.
    pub next_attempt_in_seconds: u64,
}

/// Whether there is a token that may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum TokenState {
    /// Yes.
    Valid,
    /// Not yet.
    Waiting,
    /// No longer.
    Expired,
}

/// A failure, for people and programs.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// Stable.
    pub code: String,
    /// What happened.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub advice: String,
    /// The settings to look at, as they are called where they were set.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub settings: Vec<String>,
    /// What it means for requests, where these go on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meanwhile: Option<String>,
    /// By what the endpoint's support finds the exchange.
    #[serde(flatten, serialize_with = "trace_fields")]
    pub trace: Trace,
}

/// A field for each id that there is.
fn trace_fields<S: Serializer>(trace: &Trace, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(trace.parts().map(|(name, _, value)| (name, value)))
}

impl Problem {
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

/// What people are told of requests while a token cannot be renewed; `None` when the one in hand
/// may not be sent any more.
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
    /// Judges all slots at `now`.
    pub fn of<'a>(slots: impl IntoIterator<Item = (&'a SlotSpec, &'a State)>, now: Now) -> Self {
        let (specs, slots): (Vec<_>, Vec<_>) = slots
            .into_iter()
            .map(|(spec, state)| (spec.required, SlotStatus::of(spec, state, now)))
            .unzip();
        // One broken identity must not take the others down, unless its token is required.
        let strict = specs.contains(&Some(true));
        let decides = |required: &Option<bool>| match required {
            Some(required) => *required,
            None => !strict,
        };
        let judged = || specs.iter().zip(&slots);
        let deciding = || {
            judged()
                .filter(|(required, _)| decides(required))
                .map(|(_, slot)| slot)
        };
        let valid = |slot: &SlotStatus| slot.state == TokenState::Valid;
        let ready = if strict {
            deciding().all(valid)
        } else {
            deciding().next().is_none() || deciding().any(valid)
        };
        let mut failures =
            deciding().filter_map(|slot| slot.last_error.as_ref().filter(|_| !valid(slot)));
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

    /// What of it anybody may know.
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
                .map(|failure| Problem::of(failure, &spec.terms, meanwhile(token, now))),
            next_attempt_in_seconds: state.next_attempt.since(now.mono).as_secs(),
        }
    }
}

/// The answer to a request whose token is not to be had: 503, which clients retry, never 401. It
/// goes to whoever may send requests, who need not know of the identity: `/status` has the rest.
#[derive(Debug, Serialize)]
pub struct Unavailable {
    error: Refused,
    /// Seconds, for `Retry-After`.
    #[serde(skip)]
    pub retry_after: u64,
}

#[derive(Debug, Serialize)]
struct Refused {
    code: &'static str,
    message: String,
    /// The code of the last attempt's failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<FailureCode>,
    /// What to do about it, where it is not on `/status`.
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<&'static str>,
}

/// Why a request did not get its token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoToken {
    /// It waited as long as it may.
    HeldTooLong,
    /// As many requests are waiting as may.
    TooManyHeld,
    /// The proxy could not set the header.
    NotSet,
}

impl Unavailable {
    /// Explains it with what is known of the slot.
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
            error: Refused {
                code,
                message: what.into(),
                reason: failure.map(|failure| failure.code),
                advice: None,
            },
            retry_after: wait.saturating_add(1).min(MAX_RETRY_AFTER),
        }
    }

    /// The answer to a request that would carry the token out of the mesh in clear text.
    #[must_use]
    pub fn without_tls() -> Self {
        Self {
            error: Refused {
                code: "target_without_tls",
                message: "the cluster of this host leads out of the mesh without TLS, where everybody on the way could read the token".into(),
                reason: None,
                advice: Some("Add a DestinationRule with TLS for the port of this host, in the namespace of the client, or name the cluster in the target's `clusters`."),
            },
            // A person must act.
            retry_after: MAX_RETRY_AFTER,
        }
    }

    /// The answer while the only configuration there is has mistakes.
    #[must_use]
    pub fn misconfigured(ConfigErrors(errors): &ConfigErrors) -> Self {
        let mut message = String::from("the plugin configuration is wrong: ");
        for (n, error) in errors.iter().take(ERRORS_NAMED).enumerate() {
            if n > 0 {
                message.push_str("; ");
            }
            message.extend(error.to_string().chars().take(ERROR_LENGTH));
        }
        if let Some(more @ 1..) = errors.len().checked_sub(ERRORS_NAMED) {
            message.push_str("; and ");
            message.push_str(&more.to_string());
            message.push_str(" more in the proxy's log");
        }
        Self {
            error: Refused {
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

/// The body of the 401 for a request whose token the target has refused, when there is no newer one.
pub const IDENTITY_REFUSED: &str = r#"{"error":{"code":"target_refuses_identity","message":"the target refuses the proxy's token (401), and there is no newer one"}}"#;

/// The JSON text of one of these, which always has one.
#[must_use]
pub fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}
