//! Assertions (RFC 7523 §3): for one client and one token endpoint, and for nobody else.

use std::fmt;

use entra_token_core::config::Uuid;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::settings::config_error::ConfigError;
use crate::store::Store;

/// How long an assertion is good for. It is used at once, by a proxy on the same machine; the
/// minutes are for a clock that is behind Entra's. Entra takes ten at most, and a stolen
/// assertion is worth less the sooner it ends.
const LIFETIME: SignedDuration = SignedDuration::from_mins(5);

/// Whoever signs.
#[derive(Debug)]
pub struct Signer {
    /// Who asks for tokens with the assertion.
    pub client_id: Uuid,
    /// Who it is for.
    pub token_endpoint: String,
    /// What it is signed with.
    pub store: Store,
}

/// Why there is no assertion.
#[derive(Debug)]
pub enum Refusal {
    /// It was asked for another audience than the token endpoint.
    Audience,
    /// The certificate is not valid now.
    Certificate(ConfigError),
    /// The library refused to sign, without a reason.
    Signing,
}

impl Signer {
    /// A fresh assertion for an audience.
    pub fn assertion(&self, audience: &str, now: Timestamp) -> Result<String, Refusal> {
        if audience != self.token_endpoint {
            return Err(Refusal::Audience);
        }
        self.store.refresh(now);
        let credential = self.store.status().credential;
        credential.judge(now).map_err(Refusal::Certificate)?;
        let claims = json!({
            "aud": self.token_endpoint,
            "iss": self.client_id.as_str(),
            "sub": self.client_id.as_str(),
            "jti": uuid::Uuid::new_v4().to_string(),
            "nbf": now.as_second(),
            "iat": now.as_second(),
            "exp": (now + LIFETIME).as_second(),
        });
        credential.sign(&claims).map_err(|_| Refusal::Signing)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Audience => f.write_str("the audience is not the configured token endpoint"),
            Self::Certificate(error) => error.fmt(f),
            Self::Signing => f.write_str("the private key could not sign"),
        }
    }
}
