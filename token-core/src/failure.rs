//! Why a token could not be had, whether asking again helps, and what a person should do.

use core::fmt;
use core::time::Duration;
use std::borrow::Cow;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::aadsts;
use crate::http::Response;
use crate::reply::ReplyError;
use crate::trace::Trace;
use crate::{Now, Wall};

/// The longest part of a server's own words that is kept for logs and `/ready`, in characters.
const MAX_DETAIL: usize = 400;

/// The codes of failures in which the endpoint itself said nothing.
const NO_WORD_OF_THE_ENDPOINT: [&str; 3] = [
    "endpoint_broke_off",
    "endpoint_timeout",
    "endpoint_unreachable",
];

/// The place of a credential did not give it out.
const NO_CREDENTIAL: &str = "credential_unavailable";

/// One failed attempt, in a form that can be shared between VMs and shown to a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Stable code for programs: `endpoint_unreachable`, `identity_not_found` …
    pub code: Cow<'static, str>,
    /// One sentence: what happened, in the server's words where it had some.
    pub message: String,
    /// One sentence: what to do about it. Empty when waiting is all there is to do.
    pub advice: Cow<'static, str>,
    /// Whether asking again soon is useless: a person has to act.
    pub permanent: bool,
    /// What the server asked for in `Retry-After`.
    #[serde(skip)]
    pub retry_after: Option<Duration>,
    /// By what the endpoint's support finds the exchange; another one each time.
    pub trace: Box<Trace>,
}

/// Why no answer came at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoAnswer {
    /// The call could not be made: the cluster is unknown to Envoy (yet).
    NoCluster,
    /// The call was not accepted, or broke off before the answer was whole.
    Broken,
    /// Nothing came within the call's own deadline.
    TimedOut,
}

impl Failure {
    pub(crate) fn no_answer(why: NoAnswer) -> Self {
        let (code, message, advice) = match why {
            NoAnswer::NoCluster => (
                "endpoint_cluster_missing",
                "Envoy has no cluster of the configured name for the token endpoint",
                "Check `imds.cluster` in the plugin configuration against Envoy's clusters.",
            ),
            NoAnswer::Broken => (
                "endpoint_broke_off",
                "the token endpoint broke the connection off, or its answer was too large",
                "",
            ),
            NoAnswer::TimedOut => (
                "endpoint_timeout",
                "the token endpoint did not answer in time",
                "Check that the proxy may reach the token endpoint (network policy, IMDS access).",
            ),
        };
        Self::new(code, message.into(), advice, false)
    }

    pub(crate) fn malformed(error: &ReplyError) -> Self {
        Self::new("malformed_reply", error.to_string(), "", false)
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
        let mut permanent = is_permanent(status);
        let (code, advice) = match (status, &said) {
            (400.., _) if let Some(verdict) = verdict => {
                // A status that asks for another try is believed, whatever the number.
                permanent &= verdict.permanent;
                (verdict.code, verdict.advice)
            }
            (400, Some(said)) if said.finds_no_identity() => (
                "identity_not_found",
                "Assign the managed identity to this machine or node pool, or correct \
                 AAD_CLIENT_ID; a system-assigned identity must be switched on.",
            ),
            (400, Some(said)) if said.error == "invalid_resource" => (
                "audience_not_found",
                "Correct AUDIENCE: the tenant knows no resource of that name.",
            ),
            (404 | 410, _) => ("endpoint_not_ready", ""),
            (408 | 504, None) => (
                "endpoint_timeout",
                "Check that the proxy may reach the token endpoint (network policy, IMDS access).",
            ),
            // Envoy answers so by itself when nothing listens there, with a body that is not JSON.
            (502 | 503, None) => (
                "endpoint_unreachable",
                "Check that the proxy may reach the token endpoint (network policy, IMDS access).",
            ),
            (429, _) => ("throttled", ""),
            (300..=399, _) => (
                "endpoint_redirects",
                "A redirect is never followed: check the address of the token endpoint.",
            ),
            (500.., _) => ("endpoint_failed", ""),
            (..=299, _) => ("unexpected_status", ""),
            _ => ("request_refused", "Check the identity and the audience."),
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
            retry_after,
            trace,
            ..Self::new(code, message, advice, permanent)
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
        let advice = "Check the file of the secret or assertion, and that the token-sidecar runs \
                      where one is used.";
        Self {
            trace,
            ..Self::new(NO_CREDENTIAL, message, advice, false)
        }
    }

    /// What came in place of a secret or an assertion must not be sent.
    pub(crate) fn unusable_credential(message: String) -> Self {
        let advice = "Mend the file of the secret or assertion; it is read anew for each attempt.";
        Self::new("credential_unusable", message, advice, false)
    }

    /// The assertion ended this long ago.
    pub(crate) fn over(ago: Duration) -> Self {
        let message = format!("the assertion ended {} s ago", ago.as_secs());
        let advice = "Whoever writes its file has stopped (kubelet renews a projected token), or \
                      this machine's clock is wrong.";
        Self::new("assertion_over", message, advice, false)
    }

    /// Names the forward proxy on the way, where no answer of the endpoint's came: then the
    /// proxy, which Envoy got no connection from, is as likely to be the reason.
    pub(crate) fn by_way_of(mut self, forward_proxy: Option<&str>) -> Self {
        if let Some(proxy) = forward_proxy
            && NO_WORD_OF_THE_ENDPOINT.contains(&self.code.as_ref())
        {
            self.message
                .push_str(&format!(", by way of the proxy {proxy}"));
            self.advice =
                "Check that the proxy is up, wants no other credentials and lets CONNECT to the \
                           token endpoint pass; Envoy's log has its answers."
                    .into();
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

    fn new(code: &'static str, message: String, advice: &'static str, permanent: bool) -> Self {
        Self {
            code: code.into(),
            message,
            advice: advice.into(),
            permanent,
            retry_after: None,
            trace: Box::default(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.code)?;
        if !self.advice.is_empty() {
            write!(f, ". {}", self.advice)?;
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

    fn verdict(&self) -> Option<aadsts::Verdict> {
        let codes: Vec<u64> = self
            .error_codes
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_u64)
            .collect();
        let unavailable = (self.error == "temporarily_unavailable").then_some(aadsts::UNAVAILABLE);
        aadsts::verdict(&codes, self.description()).or(unavailable)
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
