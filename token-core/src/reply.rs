//! Parses the replies of token endpoints (RFC 6749 §5.1).
//!
//! The server is not trusted: a malformed, truncated or implausible reply is an error, which the slot
//! retries.

use core::fmt;
use core::time::Duration;

use serde_json::{Map, Value};

use crate::expiry::{self, BadTime};
use crate::invisible;
use crate::{Mono, Now, Secret, Token, Wall};

/// The largest accepted token. The largest tokens of Entra, with many groups, have 8 KiB; Envoy accepts
/// 60 KiB of request headers by default.
pub const MAX_TOKEN_BYTES: usize = 32 * 1024;

/// Longer lifetimes are reduced to this one. No token of Entra lives longer than 28 h; the limit keeps
/// the arithmetic from overflowing.
pub const MAX_LIFETIME: Duration = Duration::from_secs(7 * 24 * 3600);

/// If `expires_in` and `expires_on` differ by more than this, the wall clock of this machine is wrong,
/// and only `expires_in` is used.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(300);

/// A successful reply of a token endpoint.
#[derive(Debug, PartialEq, Eq)]
pub struct Reply {
    /// The access token, a valid `b64token` (RFC 6750 §2.1).
    pub secret: Secret,
    /// The remaining lifetime when the server replied.
    pub expires_in: Option<Duration>,
    /// The time at which the token expires.
    pub expires_on: Option<Wall>,
    /// The server's recommended time until the next request.
    pub refresh_in: Option<Duration>,
}

/// Why a reply with status 200 does not yield a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplyError {
    /// The body is not one JSON object.
    NotJson(String),
    /// The named field is absent, null or empty.
    Missing(&'static str),
    /// The named field has a value that cannot be used.
    Invalid(&'static str, String),
    /// The token had expired when the reply arrived.
    OverOnArrival,
}

impl fmt::Display for ReplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotJson(why) => write!(f, "the reply is not a JSON object ({why})"),
            Self::Missing(field) => write!(f, "the reply has no `{field}`"),
            Self::Invalid(field, why) => write!(f, "the reply's `{field}` {why}"),
            Self::OverOnArrival => f.write_str("the token was over before the reply arrived"),
        }
    }
}

/// Parses the body of a reply with status 200.
///
/// # Errors
/// [`ReplyError`] names the missing or invalid field. It never quotes the token.
pub fn parse(body: &[u8]) -> Result<Reply, ReplyError> {
    let mut fields: Map<String, Value> = serde_json::from_slice(invisible::without_mark(body))
        .map_err(|e| ReplyError::NotJson(json_reason(&e)))?;
    let mut field = |name| fields.remove(name).unwrap_or_default();
    let secret = access_token(field("access_token"))?;
    bearer(&field("token_type"))?;
    let expires_in = expiry::seconds(&field("expires_in")).map_err(invalid("expires_in"));
    let expires_on = expiry::moment(&field("expires_on")).map_err(invalid("expires_on"));
    // One valid field of the two is enough.
    let (expires_in, expires_on) = match (expires_in, expires_on) {
        (Err(error), Err(_) | Ok(None)) | (Ok(None), Err(error)) => return Err(error),
        (Ok(None), Ok(None)) => return Err(ReplyError::Missing("expires_in")),
        (expires_in, expires_on) => (expires_in.unwrap_or(None), expires_on.unwrap_or(None)),
    };
    // A hint only: an invalid value is ignored.
    let refresh_in = expiry::seconds(&field("refresh_in")).unwrap_or(None);
    Ok(Reply {
        secret,
        expires_in,
        expires_on,
        refresh_in,
    })
}

/// Describes a JSON error. `serde_json`'s own message may quote a value, which may be the token.
fn json_reason(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        serde_json::error::Category::Eof => "it ends too early",
        serde_json::error::Category::Data => "it is another kind of value",
        serde_json::error::Category::Syntax | serde_json::error::Category::Io => "syntax error",
    };
    format!("{what} at line {} column {}", error.line(), error.column())
}

fn invalid(field: &'static str) -> impl Fn(BadTime) -> ReplyError {
    move |BadTime(why)| ReplyError::Invalid(field, why)
}

fn access_token(value: Value) -> Result<Secret, ReplyError> {
    let field = "access_token";
    match value {
        Value::Null => Err(ReplyError::Missing(field)),
        Value::String(text) if text.is_empty() => Err(ReplyError::Missing(field)),
        Value::String(text) if text.len() > MAX_TOKEN_BYTES => Err(ReplyError::Invalid(
            field,
            format!("has {} bytes, more than {MAX_TOKEN_BYTES}", text.len()),
        )),
        Value::String(text) if !text.bytes().all(is_b64token) => Err(ReplyError::Invalid(
            field,
            "holds characters that a bearer token may not have (RFC 6750 §2.1)".into(),
        )),
        Value::String(text) => Ok(Secret::new(text)),
        _ => Err(ReplyError::Invalid(field, "is not a string".into())),
    }
}

/// RFC 6750 §2.1: `1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="`.
fn is_b64token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte)
}

fn bearer(value: &Value) -> Result<(), ReplyError> {
    match value {
        Value::Null => Ok(()),
        Value::String(kind) if kind.eq_ignore_ascii_case("bearer") => Ok(()),
        _ => Err(ReplyError::Invalid("token_type", "is not `Bearer`".into())),
    }
}

/// When a token expires, on both clocks.
#[derive(Debug, PartialEq, Eq)]
pub struct Expiry {
    /// The lifetime, counted from when the request was sent.
    pub lifetime: Duration,
    /// The expiry on the monotonic clock.
    pub mono: Mono,
    /// The expiry on the wall clock of this machine.
    pub wall: Wall,
    /// By how much this machine's wall clock and the server's differ, if they do.
    pub clock_skew: Option<Duration>,
    /// Whether `expires_in` was zero or less and was ignored in favour of `expires_on`.
    pub lifetime_ignored: bool,
}

impl Reply {
    /// When the token expires. The lifetime counts from when the request was **sent**, so that a slow
    /// reply does not prolong the token.
    ///
    /// # Errors
    /// If the token has expired, or expires within [`Token::slack`].
    pub fn expiry(&self, sent: Now) -> Result<Expiry, ReplyError> {
        let until_expires_on = self.expires_on.map(|end| end.since(sent.wall));
        // Some caches count `expires_in` down to zero and below while the token is still valid.
        let is_in_future = until_expires_on.is_some_and(|left| !left.is_zero());
        let lifetime_ignored = is_in_future && self.expires_in == Some(Duration::ZERO);
        let expires_in = self.expires_in.filter(|_| !lifetime_ignored);
        let skew = |lifetime, end: Wall| {
            let expected = sent.wall.after(lifetime);
            expected.since(end).max(end.since(expected))
        };
        let (field, lifetime, clock_skew) = match (expires_in, self.expires_on) {
            (Some(lifetime), Some(end)) if skew(lifetime, end) > CLOCK_TOLERANCE => {
                ("expires_in", lifetime, Some(skew(lifetime, end)))
            }
            (Some(lifetime), _) => (
                "expires_in",
                until_expires_on.map_or(lifetime, |left| lifetime.min(left)),
                None,
            ),
            (None, _) => ("expires_on", until_expires_on.unwrap_or_default(), None),
        };
        let lifetime = lifetime.min(MAX_LIFETIME);
        if lifetime <= Token::slack(lifetime) {
            return Err(ReplyError::Invalid(
                field,
                "says that the token is over already".into(),
            ));
        }
        Ok(Expiry {
            lifetime,
            mono: sent.mono.after(lifetime),
            wall: sent.wall.after(lifetime),
            clock_skew,
            lifetime_ignored,
        })
    }
}
