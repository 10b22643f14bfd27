//! Reads a secret or an assertion as a file's content or the token-sidecar brings it, and refuses
//! what must not be sent on.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use super::Kind;
use crate::failure::Failure;
use crate::http::Response;
use crate::{Now, Secret, Wall};

/// Far beyond any secret or assertion: one with a chain of certificates has some 10 kB.
const MAX_BYTES: usize = 32 * 1024;

pub(super) fn read(kind: Kind, response: &Response, now: Now) -> Result<Secret, Failure> {
    if response.status != 200 {
        return Err(Failure::no_credential(response));
    }
    let text = str::from_utf8(&response.body.0).map_err(|_| unusable("is not text"))?;
    // An editor or `echo` ends a file with a newline.
    let text = text.trim_ascii();
    if text.is_empty() {
        return Err(unusable("is empty"));
    }
    if text.len() > MAX_BYTES {
        return Err(unusable("is longer than 32 KiB"));
    }
    if text.chars().any(char::is_control) {
        return Err(unusable("holds a line break or another control character"));
    }
    if kind == Kind::Assertion {
        check_assertion(text, now)?;
    }
    Ok(Secret::new(text.to_owned()))
}

/// The claims of an assertion that matter before it is sent.
#[derive(Deserialize)]
struct Claims {
    /// RFC 7519 §4.1.4: seconds since 1970, maybe with a fraction.
    exp: Option<f64>,
}

/// Entra judges an assertion; here it is only seen whether it can be one, and whether it is over:
/// a file that nobody renews any more is served on and on.
fn check_assertion(text: &str, now: Now) -> Result<(), Failure> {
    let no_jwt = || unusable("is no JWT (three parts in base64url, RFC 7519)");
    let mut parts = text.split('.');
    let (Some(_), Some(claims), Some(_), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(no_jwt());
    };
    let claims = URL_SAFE_NO_PAD.decode(claims).map_err(|_| no_jwt())?;
    let claims: Claims = serde_json::from_slice(&claims).map_err(|_| no_jwt())?;
    let Some(exp) = claims.exp else {
        return Ok(());
    };
    // Saturates: a year 10^12 is as good as never.
    let ended = Wall((exp.max(0.0) * 1000.0) as u64);
    if ended <= now.wall {
        return Err(Failure::over(now.wall.since(ended)));
    }
    Ok(())
}

fn unusable(what: &str) -> Failure {
    Failure::unusable_credential(format!("the credential {what}, and is not sent"))
}
