//! Why a token could not be had, whether asking again helps, and what a person should do.

mod aadsts;
mod advice;
mod code;
mod commands;
mod envoy_reply;
mod error_details;
mod no_answer;
mod settings;

use core::fmt;
use core::time::Duration;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

pub use code::{EndsBy, FailureCode, Reached};
use error_details::ErrorDetails;
pub use no_answer::NoAnswer;
pub use settings::Setting;
pub(crate) use settings::to_look_at;

use crate::http::Response;
use crate::reply::ReplyError;
use crate::trace::Trace;
use crate::{Now, Secret, Wall};

/// What to do where no answer came through a forward proxy.
const ADVICE_ON_THE_PROXY: &str = "Check that the proxy is up, wants no other credentials and \
                                   lets CONNECT to the token endpoint pass; Envoy's log has its \
                                   answers.";

/// One failed attempt, in a form that can be shared between VMs and shown to a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What it is, for programs.
    pub code: FailureCode,
    /// One sentence: what happened, in the server's words where it had some.
    pub message: String,
    /// Which call of the attempt failed.
    pub step: Step,
    /// Whether the call led through a forward proxy, which may be the reason that no answer came.
    pub by_proxy: bool,
    /// Whether a token was in hand that could still be sent: then requests go on.
    pub renewal: bool,
    /// Whether asking again soon is useless: a person has to act.
    pub permanent: bool,
    /// What the server asked for in `Retry-After`.
    #[serde(skip)]
    pub retry_after: Option<Duration>,
    /// By what the endpoint's support finds the exchange; another one each time.
    pub trace: Box<Trace>,
}

/// The calls of an attempt, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// For what the token is asked for with: a secret, an assertion, a key.
    Credential,
    /// For the token.
    Token,
}

impl Failure {
    pub(crate) fn malformed(error: &ReplyError) -> Self {
        Self::new(FailureCode::MalformedReply, error.to_string())
    }

    /// Judges an answer whose status is not 200. `sent` is the credential that went out with the
    /// request, which an endpoint may give back.
    pub(crate) fn refused(response: &Response, now: Now, sent: Option<&Secret>) -> Self {
        let body = &response.body.0;
        let status = response.status;
        let retry_after = response
            .retry_after
            .as_deref()
            .and_then(|v| retry_after(v, now.wall));
        let has_words = status >= 400;
        let details = ErrorDetails::in_json(body)
            .or_else(|| has_words.then(|| ErrorDetails::in_words(body)).flatten());
        // A gateway on the way that reached nobody.
        let is_of_a_gateway = response.retry_after.is_none()
            && (details.is_none() || envoy_reply::is_of_another(response));
        let code = match (status, &details) {
            (400.., Some(details)) if let Some(code) = details.code() => code,
            (400, Some(details)) if details.finds_no_identity() => FailureCode::IdentityNotFound,
            (400, Some(details)) if details.name == "invalid_resource" => {
                FailureCode::AudienceNotFound
            }
            (404 | 410, _) => FailureCode::EndpointNotReady,
            (408, _) => FailureCode::EndpointTimeout,
            (504, _) if is_of_a_gateway => FailureCode::EndpointTimeout,
            (502 | 503, _) if is_of_a_gateway => FailureCode::EndpointUnreachable,
            (429, _) => FailureCode::Throttled,
            (300..=399, _) => FailureCode::EndpointRedirects,
            (500.., _) => FailureCode::EndpointFailed,
            (..=299, _) => FailureCode::UnexpectedStatus,
            _ => FailureCode::RequestRefused,
        };
        let trace = details
            .as_ref()
            .map(ErrorDetails::trace)
            .unwrap_or_default();
        let message = match details {
            Some(details) => format!(
                "the token endpoint answered {status}: {}",
                details.detail(sent)
            ),
            None => format!("the token endpoint answered {status}"),
        };
        Self {
            // A status that asks for another try is believed, whatever the code.
            permanent: code.is_permanent() && is_permanent(status),
            retry_after,
            trace,
            ..Self::new(code, message)
        }
    }

    /// The place of a secret or an assertion answered with another status than 200.
    pub(crate) fn no_credential(response: &Response) -> Self {
        let status = response.status;
        // Not as words: what is served there is secret.
        let details = ErrorDetails::in_json(&response.body.0);
        let trace = details
            .as_ref()
            .map(ErrorDetails::trace)
            .unwrap_or_default();
        let message = match details {
            Some(details) => format!("no credential ({status}): {}", details.detail(None)),
            None => format!("no credential: its place answered {status}"),
        };
        Self {
            trace,
            ..Self::new(FailureCode::CredentialUnavailable, message)
        }
    }

    /// What came in place of a secret or an assertion must not be sent.
    pub(crate) fn unusable_credential(message: String) -> Self {
        Self::new(FailureCode::CredentialUnusable, message)
    }

    /// The assertion ended this long ago.
    pub(crate) fn over(ago: Duration) -> Self {
        let message = format!("the assertion ended {} s ago", ago.as_secs());
        Self::new(FailureCode::AssertionOver, message)
    }

    /// What to do about it, in one sentence; `None` where waiting is all there is to do.
    #[must_use]
    pub fn advice(&self) -> Option<&'static str> {
        if self.by_proxy {
            Some(ADVICE_ON_THE_PROXY)
        } else {
            self.code.advice()
        }
    }

    /// Says which call failed. Names the forward proxy on its way, where no answer of the endpoint's
    /// came: then the proxy, which Envoy got no connection from, is as likely to be the reason.
    pub(crate) fn of_call(mut self, step: Step, forward_proxy: Option<&str>) -> Self {
        self.step = step;
        if let Some(proxy) = forward_proxy
            && self.code.reached() == Reached::Nobody
        {
            self.message
                .push_str(&format!(", by way of the proxy {proxy}"));
            // Where a certificate was shown, the proxy let the tunnel pass, or showed one of its own
            // to inspect TLS: then the trust store is to be looked at.
            self.by_proxy = self.code != FailureCode::EndpointTlsFailed;
        }
        self
    }

    /// Whether people have been told this already by `before`, the failure of the attempt before:
    /// the code is the same, and so are the words but for what differs each time (times, positions,
    /// and the ids that Entra gives its answers). That the token in hand has ended meanwhile is
    /// another thing to tell.
    pub(crate) fn is_told_by(&self, before: &Self) -> bool {
        let has_ended = before.renewal && !self.renewal;
        self.code == before.code && self.lasting_words().eq(before.lasting_words()) && !has_ended
    }

    fn lasting_words(&self) -> impl Iterator<Item = &str> {
        let has_digits = |word: &str| word.contains(|c: char| c.is_ascii_digit());
        self.message
            .split_whitespace()
            .filter(move |word| word.starts_with("AADSTS") || !has_digits(word))
    }

    fn new(code: FailureCode, message: String) -> Self {
        Self {
            code,
            message,
            step: Step::Token,
            by_proxy: false,
            renewal: false,
            permanent: code.is_permanent(),
            retry_after: None,
            trace: Box::default(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.code)?;
        if let Some(advice) = self.advice() {
            write!(f, ". {advice}")?;
        }
        if !self.trace.is_empty() {
            write!(f, " [{}]", self.trace)?;
        }
        Ok(())
    }
}

/// IMDS: retry 404, 408, 410 (it comes back within 70 s), 429 and 5xx; other 4xx need a person.
/// A redirect is none of these: it is what a captive proxy answers, and it may go away.
fn is_permanent(status: u16) -> bool {
    matches!(status, 400..=499) && !matches!(status, 404 | 408 | 410 | 429)
}

/// RFC 9110 §10.2.3: a count of seconds or an HTTP date.
fn retry_after(value: &str, now: Wall) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let moment: SystemTime = httpdate::parse_http_date(value).ok()?;
    let since_epoch = moment.duration_since(UNIX_EPOCH).ok()?;
    Some(since_epoch.saturating_sub(Duration::from_millis(now.0)))
}
