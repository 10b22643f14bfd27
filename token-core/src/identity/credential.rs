//! Reads a secret or an assertion from a file's content or from the token-sidecar's response, and
//! rejects what is unusable.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use crate::failure::Failure;
use crate::http::Response;
use crate::invisible;
use crate::{Now, Secret, Wall};

/// The kind of a credential, which determines its form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialKind {
    /// A client secret, or a key of App Service.
    Secret,
    /// A client assertion: a JWT, which expires.
    Assertion,
}

/// The largest credential. An assertion with a certificate chain has some 10 kB.
const MAX_BYTES: usize = 32 * 1024;

pub(super) fn read(kind: CredentialKind, response: &Response, now: Now) -> Result<Secret, Failure> {
    if response.status != 200 {
        return Err(Failure::credential_unavailable(response));
    }
    let text = credential_text(kind, &response.body.0).map_err(|what| {
        Failure::unusable_credential(format!("the credential {what}, and is not sent"))
    })?;
    if let Some(expired) = expiry(kind, text).filter(|expiry| *expiry <= now.wall) {
        return Err(Failure::assertion_expired(now.wall.since(expired)));
    }
    Ok(Secret::new(text.to_owned()))
}

/// The credential in a file's content, without a byte-order mark and surrounding white space.
///
/// # Errors
/// Why it is unusable, as the predicate of a sentence. It quotes no part of the credential except
/// the name and position of an invisible character.
pub fn credential_text(kind: CredentialKind, content: &[u8]) -> Result<&str, String> {
    let text = str::from_utf8(invisible::without_mark(content)).map_err(|_| "is not text")?;
    // Editors and `echo` add a newline at the end of a file.
    let text = text.trim_ascii();
    if text.is_empty() {
        return Err("is empty".into());
    }
    if text.len() > MAX_BYTES {
        return Err("is longer than 32 KiB".into());
    }
    // No secret of Entra and no JWT contains such a character; copying a text may add one.
    let named = |(n, c)| Some((n, c, invisible::name(c)?));
    if let Some((n, c, name)) = text.chars().enumerate().find_map(named) {
        let (position, point) = (n + 1, u32::from(c));
        return Err(format!(
            "holds {name} (U+{point:04X}) as character {position}"
        ));
    }
    if kind == CredentialKind::Assertion && claims(text).is_none() {
        return Err("is no JWT (three parts in base64url, RFC 7519)".into());
    }
    Ok(text)
}

/// The claims of an assertion that are checked here; Entra verifies the assertion.
#[derive(Deserialize)]
struct Claims {
    /// The expiration time (RFC 7519 §4.1.4), in seconds since 1970, possibly with a fraction.
    exp: Option<f64>,
}

/// The claims of a JWT; `None` if the text is not a JWT.
fn claims(text: &str) -> Option<Claims> {
    let mut parts = text.split('.');
    let (Some(_), Some(claims), Some(_), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()
}

/// When an assertion expires. A file that is no longer renewed keeps being served, so an expired
/// assertion is detected here.
fn expiry(kind: CredentialKind, text: &str) -> Option<Wall> {
    if kind == CredentialKind::Secret {
        return None;
    }
    // Saturates.
    Some(Wall((claims(text)?.exp?.max(0.0) * 1000.0) as u64))
}
