//! Why a token could not be acquired, whether a retry helps, and what a person should do.

mod aadsts;
mod advice;
mod code;
mod commands;
mod envoy_reply;
mod error_details;
mod no_answer;

use core::fmt;
use core::time::Duration;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

pub use code::{CallOutcome, FailureCode, Recovery};
use error_details::ErrorDetails;
pub use no_answer::NoAnswer;

use crate::http::Response;
use crate::reply::ReplyError;
use crate::trace::Trace;
use crate::{Now, Secret, Wall};

/// Advice for a call that got no response through a forward proxy.
const PROXY_ADVICE: &str = "Check that the proxy is up, wants no other credentials and \
                                   lets CONNECT to the token endpoint pass; Envoy's log has its \
                                   answers.";

/// A failed attempt, in a form that the VMs share and that people can read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The stable code.
    pub code: FailureCode,
    /// One sentence on what happened, which quotes the server's error if there is one.
    pub message: String,
    /// Which call of the attempt failed.
    pub step: Step,
    /// Whether the forward proxy on the way may be the cause.
    pub proxy_suspected: bool,
    /// Whether the slot still had a valid token, so that requests are not affected.
    pub had_valid_token: bool,
    /// Whether a retry is useless until a person acts.
    pub permanent: bool,
    /// The server's `Retry-After`.
    #[serde(skip)]
    pub retry_after: Option<Duration>,
    /// The ids by which Microsoft's support finds the exchange. They differ for each attempt.
    pub trace: Box<Trace>,
}

/// The calls of an attempt, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// The call for the credential: a secret, an assertion or a key.
    Credential,
    /// The call for the token.
    Token,
}

impl Failure {
    pub(crate) fn malformed_reply(error: &ReplyError) -> Self {
        Self::new(FailureCode::MalformedReply, error.to_string())
    }

    /// Classifies a response whose status is not 200. `sent` is the credential in the request; it is
    /// removed from the message, because some endpoints echo it.
    pub(crate) fn from_response(response: &Response, now: Now, sent: Option<&Secret>) -> Self {
        let body = &response.body.0;
        let status = response.status;
        let retry_after = response
            .retry_after
            .as_deref()
            .and_then(|v| retry_after(v, now.wall));
        let may_be_text = status >= 400;
        let details = ErrorDetails::from_json(body)
            .or_else(|| may_be_text.then(|| ErrorDetails::from_text(body)).flatten());
        // A gateway answered, because it could not reach the endpoint.
        let from_gateway = response.retry_after.is_none()
            && (details.is_none() || envoy_reply::is_from_other_envoy(response));
        let code = match (status, &details) {
            (400.., Some(details)) if let Some(code) = details.code() => code,
            (400, Some(details)) if details.is_identity_not_found() => {
                FailureCode::IdentityNotFound
            }
            (400, Some(details)) if details.name == "invalid_resource" => {
                FailureCode::AudienceNotFound
            }
            (404 | 410, _) => FailureCode::EndpointNotReady,
            (408, _) => FailureCode::EndpointTimeout,
            (504, _) if from_gateway => FailureCode::EndpointTimeout,
            (502 | 503, _) if from_gateway => FailureCode::EndpointUnreachable,
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
                details.summary(sent)
            ),
            None => format!("the token endpoint answered {status}"),
        };
        Self {
            // A status that asks for a retry takes precedence over the code.
            permanent: code.is_permanent() && is_permanent(status),
            retry_after,
            trace,
            ..Self::new(code, message)
        }
    }

    /// The file server or the token-sidecar answered with a status other than 200.
    pub(crate) fn credential_unavailable(response: &Response) -> Self {
        let status = response.status;
        // Only a JSON error is quoted: any other body may be the secret itself.
        let details = ErrorDetails::from_json(&response.body.0);
        let trace = details
            .as_ref()
            .map(ErrorDetails::trace)
            .unwrap_or_default();
        let message = match details {
            Some(details) => format!("no credential ({status}): {}", details.summary(None)),
            None => format!("no credential: its place answered {status}"),
        };
        Self {
            trace,
            ..Self::new(FailureCode::CredentialUnavailable, message)
        }
    }

    /// The content is not a secret or an assertion that may be sent.
    pub(crate) fn unusable_credential(message: String) -> Self {
        Self::new(FailureCode::CredentialUnusable, message)
    }

    /// The assertion expired `ago`.
    pub(crate) fn assertion_expired(ago: Duration) -> Self {
        let message = format!("the assertion ended {} s ago", ago.as_secs());
        Self::new(FailureCode::AssertionOver, message)
    }

    /// What to do, in one sentence; `None` if there is nothing to do but wait.
    #[must_use]
    pub fn advice(&self) -> Option<&'static str> {
        if self.proxy_suspected {
            Some(PROXY_ADVICE)
        } else {
            self.code.advice()
        }
    }

    /// Adds which call failed. If the endpoint did not respond, this also names the forward proxy on the
    /// way, which may be the cause.
    pub(crate) fn with_call(mut self, step: Step, forward_proxy: Option<&str>) -> Self {
        self.step = step;
        if let Some(proxy) = forward_proxy
            && self.code.call_outcome() == CallOutcome::NoAnswer
        {
            self.message
                .push_str(&format!(", by way of the proxy {proxy}"));
            // A TLS failure means that the tunnel works. The certificate is the endpoint's, or that
            // of a proxy that inspects TLS, so the trust store has to be checked.
            self.proxy_suspected = self.code != FailureCode::EndpointTlsFailed;
        }
        self
    }

    /// Whether this failure says the same as `before`, the failure of the previous attempt, so that it
    /// need not be reported again. Words with digits (times, positions, ids) are not compared, except
    /// Entra's error numbers. A failure is new if the token has expired since `before`.
    pub(crate) fn repeats(&self, before: &Self) -> bool {
        let token_expired = before.had_valid_token && !self.had_valid_token;
        self.code == before.code && self.stable_words().eq(before.stable_words()) && !token_expired
    }

    fn stable_words(&self) -> impl Iterator<Item = &str> {
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
            proxy_suspected: false,
            had_valid_token: false,
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

/// Whether a status means that a retry is useless. IMDS documents that 404, 408, 410 (it is updated
/// within 70 s), 429 and 5xx are to be retried; other 4xx need a person. A 3xx is retried, because it
/// may come from a captive portal.
fn is_permanent(status: u16) -> bool {
    matches!(status, 400..=499) && !matches!(status, 404 | 408 | 410 | 429)
}

/// Parses `Retry-After` (RFC 9110 §10.2.3): a number of seconds or an HTTP date.
fn retry_after(value: &str, now: Wall) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let moment: SystemTime = httpdate::parse_http_date(value).ok()?;
    let since_epoch = moment.duration_since(UNIX_EPOCH).ok()?;
    Some(since_epoch.saturating_sub(Duration::from_millis(now.0)))
}
