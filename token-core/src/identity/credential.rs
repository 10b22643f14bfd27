//! Reads a secret or an assertion as a file's content or the token-sidecar brings it, and refuses
//! what must not be sent on.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use super::CredentialKind;
use crate::failure::Failure;
use crate::http::Response;
use crate::invisible;
use crate::{Now, Secret, Wall};

/// Far beyond any secret or assertion: one with a chain of certificates has some 10 kB.
const MAX_BYTES: usize = 32 * 1024;

pub(super) fn read(kind: CredentialKind, response: &Response, now: Now) -> Result<Secret, Failure> {
    if response.status != 200 {
        return Err(Failure::credential_unavailable(response));
    }
    let text = credential_text(kind, &response.body.0).map_err(|what| {
        Failure::unusable_credential(format!("the credential {what}, and is not sent"))
    })?;
    if let Some(ended) = end_of(kind, text).filter(|ended| *ended <= now.wall) {
        return Err(Failure::assertion_expired(now.wall.since(ended)));
    }
    Ok(Secret::new(text.to_owned()))
}

/// The credential in a file's content, without the byte-order mark that some editors begin a file
/// with, and without the white space around it.
///
/// # Errors
/// What is wrong with it, as the end of a sentence. No part of it is quoted, but a character that
/// nobody sees is named with its place.
pub fn credential_text(kind: CredentialKind, content: &[u8]) -> Result<&str, String> {
    let text = str::from_utf8(invisible::without_mark(content)).map_err(|_| "is not text")?;
    // An editor or `echo` ends a file with a newline.
    let text = text.trim_ascii();
    if text.is_empty() {
        return Err("is empty".into());
    }
    if text.len() > MAX_BYTES {
        return Err("is longer than 32 KiB".into());
    }
    // No secret of Entra and no JWT has such a character: it came along when the text was copied.
    let named = |(n, c)| Some((n, c, invisible::name(c)?));
    if let Some((n, c, name)) = text.chars().enumerate().find_map(named) {
        let (place, point) = (n + 1, u32::from(c));
        return Err(format!("holds {name} (U+{point:04X}) as character {place}"));
    }
    if kind == CredentialKind::Assertion && claims(text).is_none() {
        return Err("is no JWT (three parts in base64url, RFC 7519)".into());
    }
    Ok(text)
}

/// The claims of an assertion that matter before it is sent.
#[derive(Deserialize)]
struct Claims {
    /// RFC 7519 §4.1.4: seconds since 1970, maybe with a fraction.
    exp: Option<f64>,
}

/// Entra judges an assertion; here it is only seen whether it can be one.
fn claims(text: &str) -> Option<Claims> {
    let mut parts = text.split('.');
    let (Some(_), Some(claims), Some(_), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()
}

/// When an assertion ends: a file that nobody renews any more is served on and on.
fn end_of(kind: CredentialKind, text: &str) -> Option<Wall> {
    if kind == CredentialKind::Secret {
        return None;
    }
    // Saturates: a year 10^12 is as good as never.
    Some(Wall((claims(text)?.exp?.max(0.0) * 1000.0) as u64))
}
