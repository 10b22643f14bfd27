//! What can be changed while the stand-in runs: lifetimes, the forms of IMDS replies, limits,
//! the clock.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How sources for managed identities write `expires_on`. All of them have been seen in real replies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExpiresOnForm {
    /// Seconds since 1970 as a string: what IMDS sends.
    UnixString,
    /// Seconds since 1970 as a number.
    UnixNumber,
    /// `2026-01-31T23:59:59Z`.
    Rfc3339,
    /// `01/31/2026 23:59:59 +00:00`.
    UsDateWithOffset,
    /// `01/31/2026 23:59:59`.
    UsDate,
    /// `2026-01-31 23:59:59`.
    IsoDate,
    /// Left out.
    Absent,
}

/// How a source for managed identities writes `expires_in`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExpiresInForm {
    /// Seconds as a string: what IMDS sends.
    String,
    /// Seconds as a number.
    Number,
    /// Left out, as App Service does.
    Absent,
}

/// The version of access tokens. A resource chooses it for the tokens that it gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccessTokenVersion {
    /// Issued by `https://sts.windows.net/{tenant}/`; the client is `appid`.
    V1,
    /// Issued by `https://login.microsoftonline.com/{tenant}/v2.0`; the client is `azp`.
    V2,
}

/// How Entra refuses a federated token that no credential of the application matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FederationErrors {
    /// By what does not match: AADSTS700211 (issuer), 700212 (audience), 700213 (subject),
    /// 7002138 (only the case of the subject).
    Detailed,
    /// AADSTS70021 for all of them: until 2023, and for minutes after a credential was made.
    Generic,
}

/// What can be changed at run time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Lifetime of managed identities' new tokens in seconds: 24 hours. Zero, negative and
    /// absurd values are allowed: a client must survive them.
    pub token_lifetime_seconds: i64,
    /// The same for tokens of Entra's token endpoint: about an hour.
    pub entra_token_lifetime_seconds: i64,
    /// The same for tokens of tsiam: 5 minutes.
    pub tsiam_token_lifetime_seconds: i64,
    /// The version of access tokens. Those for `api://AzureADTokenExchange` have version 2.0
    /// always.
    pub access_token_version: AccessTokenVersion,
    /// How Entra refuses a federated token that no credential matches.
    pub federation_errors: FederationErrors,
    /// The form of `expires_on`.
    pub expires_on: ExpiresOnForm,
    /// The form of `expires_in` of IMDS.
    pub expires_in: ExpiresInForm,
    /// The form of `expires_in` of App Service, which leaves it out.
    pub app_service_expires_in: ExpiresInForm,
    /// When set, replies carry `refresh_in`: seconds after issue at which to refresh.
    pub refresh_in_seconds: Option<i64>,
    /// Whether IMDS hands out the same token again until shortly before it expires.
    pub cache: bool,
    /// Remaining lifetime in seconds at which IMDS issues a new token. Unset: 300, but at most
    /// a twentieth of the lifetime, so that short tokens are cached in the same way as long ones.
    pub cache_until_remaining_seconds: Option<i64>,
    /// Whether IMDS answers 429 beyond 20 requests a second or 5 at once.
    pub rate_limit: bool,
    /// Seconds by which Azure's clock is ahead of this machine's (negative: behind).
    pub clock_skew_seconds: i64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            token_lifetime_seconds: 86_400,
            entra_token_lifetime_seconds: 3_599,
            tsiam_token_lifetime_seconds: 300,
            access_token_version: AccessTokenVersion::V1,
            federation_errors: FederationErrors::Detailed,
            expires_on: ExpiresOnForm::UnixString,
            expires_in: ExpiresInForm::String,
            app_service_expires_in: ExpiresInForm::Absent,
            refresh_in_seconds: None,
            cache: true,
            cache_until_remaining_seconds: None,
            rate_limit: true,
            clock_skew_seconds: 0,
        }
    }
}

impl Settings {
    /// These settings with the members of a JSON object put over them; `null` unsets.
    ///
    /// # Errors
    /// When the change is not an object, names an unknown setting or gives a wrong type.
    pub fn changed_by(&self, change: &Value) -> Result<Self, InvalidSettings> {
        let invalid = |error: serde_json::Error| InvalidSettings(error.to_string());
        let Value::Object(change) = change else {
            return Err(InvalidSettings("a JSON object is expected".to_owned()));
        };
        let mut merged = serde_json::to_value(self).map_err(invalid)?;
        if let Value::Object(members) = &mut merged {
            members.extend(change.clone());
        }
        serde_json::from_value(merged).map_err(invalid)
    }

    /// Remaining lifetime in seconds at which IMDS stops handing out a token that was issued
    /// to live `lifetime` seconds.
    pub(crate) fn cache_until_remaining(&self, lifetime: i64) -> i64 {
        self.cache_until_remaining_seconds
            .unwrap_or_else(|| 300.min(lifetime / 20))
    }
}

/// Why a change of settings was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidSettings(pub(crate) String);

impl fmt::Display for InvalidSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid settings: {}", self.0)
    }
}

impl std::error::Error for InvalidSettings {}
