//! What a token endpoint answered, parsed into types or into an error that says what was wrong.
//!
//! Nothing here trusts the server: a malformed, short or absurd reply is an error that the
//! slot retries, never a panic and never a token.

use core::fmt;
use core::time::Duration;

use serde_json::{Map, Value};

use crate::expiry::{self, BadTime};
use crate::invisible;
use crate::schedule::MAX_LIFETIME;
use crate::{Mono, Now, Secret, Token, Wall};

/// Far beyond any token (those with many groups have 8 KiB), and half of what Envoy takes of
/// headers in a request by default (60 KiB).
pub const MAX_TOKEN_BYTES: usize = 32 * 1024;

/// When a reply's two statements about the end of the token differ by more than this, the
/// wall clock of this machine is wrong and only the lifetime is believed.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(300);

/// A successful reply of a token endpoint (RFC 6749 §5.1, and IMDS, which sends strings).
#[derive(Debug, PartialEq, Eq)]
pub struct Reply {
    /// The access token, checked to be an RFC 6750 `b64token`.
    pub secret: Secret,
    /// Life left at the time of the answer.
    pub expires_in: Option<Duration>,
    /// The absolute end.
    pub expires_on: Option<Wall>,
    /// After how long the endpoint wants to be asked again.
    pub refresh_in: Option<Duration>,
}

/// Why a reply with status 200 is no token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplyError {
    /// The body is not one JSON object.
    NotJson(String),
    /// The named field is absent, null or empty.
    Missing(&'static str),
    /// The named field has a value that cannot be used.
    Invalid(&'static str, String),
    /// The token was over before its reply arrived.
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
/// [`ReplyError`] names the field that is missing or wrong. It never quotes the token.
pub fn parse(body: &[u8]) -> Result<Reply, ReplyError> {
    let mut fields: Map<String, Value> = serde_json::from_slice(invisible::without_mark(body))
        .map_err(|e| ReplyError::NotJson(json_reason(&e)))?;
    let mut field = |name| fields.remove(name).unwrap_or_default();
    let secret = access_token(field("access_token"))?;
    bearer(&field("token_type"))?;
    let expires_in = expiry::seconds(&field("expires_in")).map_err(invalid("expires_in"));
    let expires_on = expiry::moment(&field("expires_on")).map_err(invalid("expires_on"));
    // One of the two is enough, whatever the other says.
    let (expires_in, expires_on) = match (expires_in, expires_on) {
        (Err(error), Err(_) | Ok(None)) | (Ok(None), Err(error)) => return Err(error),
        (Ok(None), Ok(None)) => return Err(ReplyError::Missing("expires_in")),
        (expires_in, expires_on) => (expires_in.unwrap_or(None), expires_on.unwrap_or(None)),
    };
    // A hint: when it makes no sense it is as good as absent.
    let refresh_in = expiry::seconds(&field("refresh_in")).unwrap_or(None);
    Ok(Reply {
        secret,
        expires_in,
        expires_on,
        refresh_in,
    })
}

/// serde_json's message quotes values of the wrong type, and one of them may be a token.
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

/// A token's end on both clocks.
#[derive(Debug, PartialEq, Eq)]
pub struct Ends {
    /// Life counted from when the call was sent.
    pub lifetime: Duration,
    /// Its end on the monotonic clock.
    pub mono: Mono,
    /// Its end on the wall clock of this machine.
    pub wall: Wall,
    /// How far this machine's wall clock seems to be off, when it is.
    pub clock_off_by: Option<Duration>,
    /// Whether the reply's lifetime cannot be, so that its end alone is believed.
    pub lifetime_ignored: bool,
}

impl Reply {
    /// Both ends of the token, counted from when the call was **sent**: the answer's way back
    /// is part of its life.
    ///
    /// # Errors
    /// A token that is over, or as good as over, when it arrives.
    pub fn ends(&self, sent: Now) -> Result<Ends, ReplyError> {
        let by_clock = self.expires_on.map(|end| end.since(sent.wall));
        // Some caches count the lifetime down to zero and below while the token still has hours.
        let ends_later = by_clock.is_some_and(|left| !left.is_zero());
        let lifetime_ignored = ends_later && self.expires_in == Some(Duration::ZERO);
        let expires_in = self.expires_in.filter(|_| !lifetime_ignored);
        let off_by = |life, end: Wall| {
            let expected = sent.wall.after(life);
            expected.since(end).max(end.since(expected))
        };
        let (field, lifetime, clock_off_by) = match (expires_in, self.expires_on) {
            (Some(life), Some(end)) if off_by(life, end) > CLOCK_TOLERANCE => {
                ("expires_in", life, Some(off_by(life, end)))
            }
            (Some(life), _) => (
                "expires_in",
                by_clock.map_or(life, |end| life.min(end)),
                None,
            ),
            (None, _) => ("expires_on", by_clock.unwrap_or_default(), None),
        };
        let lifetime = lifetime.min(MAX_LIFETIME);
        if lifetime <= Token::slack(lifetime) {
            return Err(ReplyError::Invalid(
                field,
                "says that the token is over already".into(),
            ));
        }
        Ok(Ends {
            lifetime,
            mono: sent.mono.after(lifetime),
            wall: sent.wall.after(lifetime),
            clock_off_by,
            lifetime_ignored,
        })
    }
}
