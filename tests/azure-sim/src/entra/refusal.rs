//! Why Entra refuses a token request: its error codes, and the body that carries them.
//!
//! Codes, OAuth errors and wording follow "Microsoft Entra authentication and authorization
//! error codes" and replies quoted in public issues. What Entra does not document is marked.

use hyper::{Response, StatusCode};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::caller::Caller;
use crate::http::{Body, json};
use crate::settings::FederationErrors;

/// The rule that a request to Entra's token endpoint broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntraRefusal {
    /// No such path: 404.
    UnknownPath,
    /// AADSTS900561: another method than POST.
    MethodNotAllowed,
    /// AADSTS900144: the body is no `application/x-www-form-urlencoded`, so nothing is in it.
    NotAForm,
    /// AADSTS9000411: a parameter came twice.
    DuplicateParameter,
    /// AADSTS900144: a parameter is missing.
    MissingParameter,
    /// AADSTS70003: another grant than `client_credentials`.
    UnsupportedGrant,
    /// AADSTS901002: `resource` at the v2 endpoint.
    ResourceAtV2,
    /// AADSTS70011: the scope is not one resource.
    InvalidScope,
    /// AADSTS1002012: the scope does not end in `/.default`.
    ScopeWithoutDefault,
    /// AADSTS90100: `claims` is not a JSON object.
    InvalidClaims,
    /// AADSTS900023: the tenant is neither an id nor a domain name.
    MalformedTenant,
    /// AADSTS90002: no such tenant.
    UnknownTenant,
    /// AADSTS90038: the tenant lives in another cloud.
    OtherCloud,
    /// AADSTS700016: the tenant has no such application.
    UnknownApplication,
    /// AADSTS7000112: the application is switched off.
    DisabledApplication,
    /// AADSTS7000218: neither a secret nor an assertion.
    NoCredential,
    /// AADSTS9002313: a secret and an assertion (RFC 6749 §2.3; Entra documents no answer).
    SeveralCredentials,
    /// AADSTS7000215: no secret of the application.
    WrongSecret,
    /// AADSTS7000222: an expired secret of the application.
    ExpiredSecret,
    /// AADSTS90100: another assertion type than `…:jwt-bearer`.
    InvalidAssertionType,
    /// AADSTS50027: the assertion is no JWT with the claims of one.
    MalformedAssertion,
    /// AADSTS5002738: signed by an algorithm that is not taken.
    UnsupportedAlgorithm,
    /// AADSTS700021: `iss` or `sub` of the assertion is not the client id.
    AssertionOfAnother,
    /// AADSTS700026: the application has no certificate.
    NoCertificates,
    /// AADSTS700027: the header names no certificate of the application.
    CertificateNotRegistered,
    /// AADSTS700027: the certificate is over, or not valid yet.
    CertificateExpired,
    /// AADSTS700027: the signature does not match.
    InvalidSignature,
    /// AADSTS700023: `aud` is not the token endpoint.
    WrongAudience,
    /// AADSTS700024: before `nbf` or at `exp`.
    OutsideValidity,
    /// AADSTS700024: an assertion that is valid for more than ten minutes ("exp … 5-10 minutes
    /// after nbf at most").
    TooLongValid,
    /// AADSTS50027: an assertion that was used before (RFC 7523 §3; Entra documents no answer).
    Replayed,
    /// AADSTS70025: the application has no federated credential.
    NoFederatedCredentials,
    /// AADSTS700211: no credential with the token's issuer.
    IssuerMismatch,
    /// AADSTS700213: no credential with the token's subject.
    SubjectMismatch,
    /// AADSTS7002138: a credential with the token's subject in another case.
    SubjectCaseMismatch,
    /// AADSTS700212: no credential with the token's audience.
    AudienceMismatch,
    /// AADSTS90061: the issuer's keys cannot be had.
    IssuerUnreachable,
    /// AADSTS500011: the tenant has no such resource.
    UnknownResource,
}

impl EntraRefusal {
    /// The AADSTS code, the OAuth error and the status.
    fn code(self) -> (u64, &'static str, StatusCode) {
        let bad = StatusCode::BAD_REQUEST;
        let unauthorized = StatusCode::UNAUTHORIZED;
        let request = |code| (code, "invalid_request", bad);
        let client = |code| (code, "invalid_client", unauthorized);
        match self {
            // Answered without a body.
            Self::UnknownPath => (0, "invalid_request", StatusCode::NOT_FOUND),
            Self::MethodNotAllowed => request(900_561),
            Self::NotAForm | Self::MissingParameter => request(900_144),
            Self::DuplicateParameter => request(9_000_411),
            Self::UnsupportedGrant => (70_003, "unsupported_grant_type", bad),
            Self::ResourceAtV2 => request(901_002),
            Self::InvalidScope => (70_011, "invalid_scope", bad),
            Self::ScopeWithoutDefault => (1_002_012, "invalid_scope", bad),
            Self::InvalidClaims | Self::InvalidAssertionType => request(90_100),
            Self::MalformedTenant => request(900_023),
            Self::UnknownTenant => request(90_002),
            Self::OtherCloud => request(90_038),
            Self::UnknownApplication => (700_016, "unauthorized_client", bad),
            Self::DisabledApplication => (7_000_112, "unauthorized_client", bad),
            Self::NoCredential => client(7_000_218),
            Self::SeveralCredentials => request(9_002_313),
            Self::WrongSecret => client(7_000_215),
            Self::ExpiredSecret => client(7_000_222),
            Self::MalformedAssertion | Self::Replayed => client(50_027),
            Self::UnsupportedAlgorithm => request(5_002_738),
            Self::AssertionOfAnother => client(700_021),
            Self::NoCertificates => client(700_026),
            Self::CertificateNotRegistered | Self::CertificateExpired | Self::InvalidSignature => {
                client(700_027)
            }
            Self::WrongAudience => client(700_023),
            Self::OutsideValidity | Self::TooLongValid => client(700_024),
            Self::NoFederatedCredentials => client(70_025),
            Self::IssuerMismatch => client(700_211),
            Self::AudienceMismatch => client(700_212),
            Self::SubjectMismatch => client(700_213),
            Self::SubjectCaseMismatch => client(7_002_138),
            Self::IssuerUnreachable => request(90_061),
            Self::UnknownResource => (500_011, "invalid_resource", bad),
        }
    }

    fn is_federated_mismatch(self) -> bool {
        matches!(
            self,
            Self::IssuerMismatch
                | Self::SubjectMismatch
                | Self::SubjectCaseMismatch
                | Self::AudienceMismatch
        )
    }
}

/// A refusal with its sentence.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) rule: EntraRefusal,
    message: String,
}

/// Shorthand for an error.
pub(crate) fn refuse<T>(rule: EntraRefusal, message: impl Into<String>) -> Result<T, Refused> {
    Err(Refused {
        rule,
        message: message.into(),
    })
}

impl Refused {
    /// The reply, as Entra writes it.
    pub(crate) fn reply(
        &self,
        caller: &Caller,
        now: i64,
        errors: FederationErrors,
    ) -> Response<Body> {
        let (code, error, status) = match errors {
            FederationErrors::Generic if self.rule.is_federated_mismatch() => {
                (70_021, "invalid_request", StatusCode::BAD_REQUEST)
            }
            FederationErrors::Generic | FederationErrors::Detailed => self.rule.code(),
        };
        let timestamp = utc(now, "%Y-%m-%d %H:%M:%SZ");
        let (trace, correlation) = (caller.trace_id, caller.correlation_id);
        let description = format!(
            "AADSTS{code}: {}\r\nTrace ID: {trace}\r\nCorrelation ID: {correlation}\r\n\
             Timestamp: {timestamp}",
            self.message
        );
        json(
            status,
            &json!({
                "error": error,
                "error_description": description,
                "error_codes": [code],
                "timestamp": timestamp,
                "trace_id": trace.to_string(),
                "correlation_id": correlation.to_string(),
                "error_uri": format!("https://login.microsoftonline.com/error?code={code}"),
            }),
        )
    }
}

/// A moment in seconds since 1970, written by a pattern; beyond the calendar, the number.
pub(crate) fn utc(unix_seconds: i64, pattern: &str) -> String {
    Timestamp::from_second(unix_seconds).map_or_else(
        |_| unix_seconds.to_string(),
        |moment| moment.strftime(pattern).to_string(),
    )
}
