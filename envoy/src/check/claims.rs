//! The claims of an access token. They are shown without verification of the signature.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use entra_token_core::Wall;
use jiff::Timestamp;
use serde_json::{Map, Value};

/// The claims to show, in this order. The client id is `appid` in version 1.0 and `azp` in 2.0.
/// <https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference>
const SHOWN: [&str; 6] = ["aud", "iss", "tid", "appid", "azp", "oid"];

/// The longest value to show, in characters; longer ones are cut.
const MAX_LENGTH: usize = 200;

/// The claims of a JWT.
#[derive(Debug)]
pub(super) struct Claims(Map<String, Value>);

impl Claims {
    /// The claims of a token; `None` if the token is not a JWT (RFC 7519 §3). Access tokens may be
    /// opaque.
    pub(super) fn of(token: &str) -> Option<Self> {
        let mut parts = token.split('.');
        let (Some(_), Some(claims), Some(_), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return None;
        };
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?)
            .ok()
            .map(Self)
    }

    /// The unmodified value of a claim, if it is a string.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }

    /// The claims to show, by name.
    pub(super) fn shown(&self) -> Vec<(&'static str, String)> {
        let claim = |name| Some((name, shown(self.0.get(name)?)));
        SHOWN.into_iter().filter_map(claim).collect()
    }

    /// The app roles in the token; `None` if there are none.
    pub(super) fn roles(&self) -> Option<String> {
        self.0
            .get("roles")
            .filter(|roles| !roles.as_array().is_some_and(Vec::is_empty))
            .map(shown)
    }

    /// When the token expires, and how long that is from now.
    pub(super) fn end(&self, now: Wall) -> Option<String> {
        let seconds = self.0.get("exp")?.as_f64()?;
        let moment = Timestamp::from_second(seconds as i64).ok()?;
        let end = Wall((seconds.max(0.0) * 1000.0) as u64);
        let left = match end.since(now) {
            Duration::ZERO => format!("expired {} ago", duration(now.since(end))),
            left => format!("in {}", duration(left)),
        };
        let moment = moment.strftime("%Y-%m-%d %H:%M:%S UTC");
        Some(format!("{moment}, {left}"))
    }
}

/// Formats a duration, in whole seconds.
pub(super) fn duration(span: Duration) -> String {
    humantime::format_duration(Duration::from_secs(span.as_secs())).to_string()
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => cut(text),
        Value::Array(items) => items.iter().map(shown).collect::<Vec<_>>().join(", "),
        other => cut(&other.to_string()),
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_LENGTH) {
        Some((end, _)) => printable(&text[..end]) + "…",
        None => printable(text),
    }
}

/// Escapes control characters, such as newlines and a terminal's escape sequences.
pub(super) fn printable(text: &str) -> String {
    let mut shown = String::new();
    for c in text.chars() {
        match c {
            '"' | '\'' | '\\' => shown.push(c),
            c => shown.extend(c.escape_debug()),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn claims(claims: &Value) -> Claims {
        let payload = URL_SAFE_NO_PAD.encode(claims.to_string());
        Claims::of(&format!("eyJhbGciOiJub25lIn0.{payload}.c2lnbmF0dXJl")).unwrap()
    }

    #[test]
    fn the_known_claims_are_shown_in_a_fixed_order() {
        let claims = claims(&json!({
            "oid": "o", "aud": "a", "uti": "u", "azp": "z", "exp": 0,
        }));
        let shown = [("aud", "a"), ("azp", "z"), ("oid", "o")];
        assert_eq!(
            claims.shown(),
            shown.map(|(name, value)| (name, value.to_owned()))
        );
    }

    #[test]
    fn an_empty_list_of_roles_counts_as_none() {
        let two = claims(&json!({ "roles": ["Read", "Write.All"] }));
        assert_eq!(two.roles().as_deref(), Some("Read, Write.All"));
        assert_eq!(claims(&json!({ "roles": [] })).roles(), None);
        assert_eq!(claims(&json!({})).roles(), None);
    }

    #[test]
    fn the_expiry_is_shown_with_the_remaining_time() {
        let of = |exp: Value, now| claims(&json!({ "exp": exp })).end(Wall(now));
        let end = "2027-01-15 08:00:00 UTC";
        let at = 1_800_000_000_u64;
        assert_eq!(
            of(json!(at), (at - 3599) * 1000),
            Some(format!("{end}, in 59m 59s"))
        );
        assert_eq!(
            of(json!(at), (at + 90) * 1000),
            Some(format!("{end}, expired 1m 30s ago"))
        );
        assert_eq!(of(json!("soon"), 0), None);
        assert_eq!(of(json!(1e300), 0), None);
    }

    #[test]
    fn control_characters_are_escaped_and_long_values_are_cut() {
        let claims =
            claims(&json!({ "oid": "a\u{1b}[2J\r\nb\u{202e}c'd", "iss": "é".repeat(300) }));
        let shown = claims.shown();
        assert_eq!(shown[0], ("iss", format!("{}…", "é".repeat(200))));
        assert_eq!(shown[1].1, "a\\u{1b}[2J\\r\\nb\\u{202e}c'd");
    }

    #[test]
    fn an_opaque_token_has_no_claims() {
        let payload = URL_SAFE_NO_PAD.encode("[1]");
        for token in [
            "opaque",
            "a.b.c",
            "a.e30",
            "a.e30.c.d.e",
            &format!("a.{payload}.c"),
            "",
        ] {
            assert!(Claims::of(token).is_none(), "{token}");
        }
    }
}
