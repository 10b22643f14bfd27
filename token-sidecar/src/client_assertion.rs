//! Client assertions (RFC 7523 §3) for one application and one token endpoint.

use std::fmt;

use entra_auth_settings_input::ConfigError;
use entra_token_core::config::Uuid;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::credential::Expiry;
use crate::store::Store;

/// How long an assertion is valid. The filter on the same machine uses it at once; the minutes allow
/// for a clock that is behind Entra's. Entra accepts ten minutes at most, and a stolen assertion is
/// worth less the sooner it expires.
const LIFETIME: SignedDuration = SignedDuration::from_mins(5);

/// Signs assertions for one application.
#[derive(Debug)]
pub struct Signer {
    /// The application: issuer and subject of the assertion.
    pub client_id: Uuid,
    /// The URL of the token endpoint: the audience of the assertion.
    pub token_endpoint: String,
    /// The certificate and its private key.
    pub store: Store,
}

/// A signed assertion.
#[derive(Debug)]
pub struct Assertion {
    /// The JWT.
    pub jwt: String,
    /// When the certificate ends that signed it.
    pub not_after: Expiry,
}

/// Why there is no assertion.
#[derive(Debug)]
pub enum Refusal {
    /// The audience is not the token endpoint.
    Audience,
    /// The certificate is not valid now.
    Certificate(ConfigError),
    /// The cryptographic library failed; it gives no reason.
    Signing,
}

impl Signer {
    /// A new assertion for an audience.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub fn assertion(&self, audience: &str, now: Timestamp) -> Result<Assertion, Refusal> {
        if audience != self.token_endpoint {
            return Err(Refusal::Audience);
        }
        self.store.refresh(now);
        let credential = self.store.status().credential;
        credential
            .check_validity(now)
            .map_err(Refusal::Certificate)?;
        let claims = json!({
            "aud": self.token_endpoint,
            "iss": self.client_id.as_str(),
            "sub": self.client_id.as_str(),
            "jti": uuid::Uuid::new_v4().to_string(),
            "nbf": now.as_second(),
            "iat": now.as_second(),
            "exp": (now + LIFETIME).as_second(),
        });
        let jwt = credential.sign(&claims).map_err(|_| Refusal::Signing)?;
        Ok(Assertion {
            jwt,
            not_after: credential.not_after(),
        })
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
