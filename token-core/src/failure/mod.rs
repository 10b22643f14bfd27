//! Why a token could not be had, whether asking again helps, and what a person should do.

mod aadsts;
mod code;
mod no_answer;

use core::fmt;
use core::time::Duration;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use code::{EndsBy, FailureCode, Reached};
pub use no_answer::NoAnswer;

use crate::http::Response;
use crate::reply::ReplyError;
use crate::trace::Trace;
use crate::{Now, Wall};

/// The longest part of a server's own words that is kept for logs and `/ready`, in characters.
const MAX_DETAIL: usize = 400;

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

    /// Judges an answer whose status is not 200.
    pub(crate) fn refused(response: &Response, now: Now) -> Self {
        let said = ErrorBody::parse(&response.body.0);
        let retry_after = response
            .retry_after
            .as_deref()
            .and_then(|v| retry_after(v, now.wall));
        let status = response.status;
        let verdict = said.as_ref().and_then(ErrorBody::verdict);
        let code = match (status, &said) {
            (400.., _) if let Some(code) = verdict => code,
            (400, Some(said)) if said.finds_no_identity() => FailureCode::IdentityNotFound,
            (400, Some(said)) if said.error == "invalid_resource" => FailureCode::AudienceNotFound,
            (404 | 410, _) => FailureCode::EndpointNotReady,
            (408 | 504, None) => FailureCode::EndpointTimeout,
            // Envoy answers so by itself when nothing listens there, with a body that is not JSON.
            (502 | 503, None) => FailureCode::EndpointUnreachable,
            (429, _) => FailureCode::Throttled,
            (300..=399, _) => FailureCode::EndpointRedirects,
            (500.., _) => FailureCode::EndpointFailed,
            (..=299, _) => FailureCode::UnexpectedStatus,
            _ => FailureCode::RequestRefused,
        };
        let trace = said.as_ref().map(ErrorBody::trace).unwrap_or_default();
        let message = match said {
            Some(said) => format!("the token endpoint answered {status}: {}", said.detail()),
            // Envoy's own, see above.
            None if matches!(status, 502 | 503) => {
                format!("nothing answers at the token endpoint ({status})")
            }
            None if status == 504 => {
                format!("the token endpoint did not answer in time ({status})")
            }
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
        let said = ErrorBody::parse(&response.body.0);
        let trace = said.as_ref().map(ErrorBody::trace).unwrap_or_default();
        let message = match said {
            Some(said) => format!("no credential ({status}): {}", said.detail()),
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
            self.by_proxy = true;
        }
        self
    }

    /// Whether people have been told this already: the code is the same, and so are the words but
    /// for what differs each time (times, positions, and the ids that Entra gives its answers).
    pub(crate) fn is_the_same_reason_as(&self, other: &Self) -> bool {
        self.code == other.code && self.lasting_words().eq(other.lasting_words())
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

/// `{error, error_description, error_codes, trace_id, correlation_id, timestamp}` of IMDS and Entra
/// (RFC 6749 §5.2), or `{message}` of App Service. `error` or a text must be there: a reason that is
/// half understood is better than none.
#[derive(Deserialize)]
struct ErrorBody {
    #[serde(default)]
    error: String,
    #[serde(default)]
    error_description: Value,
    #[serde(default)]
    error_codes: Value,
    #[serde(default)]
    message: Value,
    #[serde(default)]
    trace_id: Value,
    #[serde(default)]
    correlation_id: Value,
    #[serde(default)]
    timestamp: Value,
}

impl ErrorBody {
    fn parse(body: &[u8]) -> Option<Self> {
        serde_json::from_slice(body)
            .ok()
            .filter(|said: &Self| !said.detail().is_empty())
    }

    fn description(&self) -> &str {
        let text = self.error_description.as_str();
        text.or(self.message.as_str()).unwrap_or_default()
    }

    /// In the words of IMDS and in those of App Service.
    fn finds_no_identity(&self) -> bool {
        self.mentions("identity not found") || self.mentions("managed identity found for specified")
    }

    fn verdict(&self) -> Option<FailureCode> {
        let codes: Vec<u64> = self
            .error_codes
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_u64)
            .collect();
        let unavailable = self.error == "temporarily_unavailable";
        let by_error = unavailable.then_some(FailureCode::EntraUnavailable);
        aadsts::code(&codes, self.description()).or(by_error)
    }

    fn mentions(&self, what: &str) -> bool {
        let said = format!("{} {}", self.error, self.description());
        said.to_ascii_lowercase().contains(what)
    }

    fn trace(&self) -> Box<Trace> {
        let (_, in_text) = Trace::cut_off(self.description());
        let fields = Trace::of_fields(&self.trace_id, &self.correlation_id, &self.timestamp);
        Box::new(fields.or(in_text))
    }

    /// The server's words on one line, bounded: descriptions often hold `\r\n`. The ids after
    /// them are told apart.
    fn detail(&self) -> String {
        let (words, _) = Trace::cut_off(self.description());
        let said = match (self.error.as_str(), words) {
            (said, "") | ("", said) => said.to_owned(),
            (error, words) => format!("{error}: {words}"),
        };
        let line = said.replace(char::is_control, " ");
        bounded(line.trim_end()).to_owned()
    }
}

/// The line up to [`MAX_DETAIL`] characters, without the word that is cut there.
fn bounded(line: &str) -> &str {
    let Some((end, _)) = line.char_indices().nth(MAX_DETAIL) else {
        return line;
    };
    let kept = line.get(..end).unwrap_or_default();
    kept.rsplit_once(' ').map_or(kept, |(whole, _)| whole)
}
