//! The rules that a request to a metadata service or a token can break. The rules of Entra are
//! in [`crate::EntraRefusal`].

use serde::{Deserialize, Serialize};

/// The rule that a request to IMDS broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImdsRefusal {
    /// No such path.
    UnknownPath,
    /// Another method than GET.
    MethodNotAllowed,
    /// More than 20 requests in a second.
    TooManyRequests,
    /// More than 5 requests at once.
    TooManyAtOnce,
    /// `X-Forwarded-For` was present.
    ForwardedFor,
    /// `Metadata: true` was missing, doubled or different.
    MissingMetadataHeader,
    /// A query parameter came twice.
    DuplicateParameter,
    /// `api-version` was missing.
    MissingApiVersion,
    /// `api-version` was not one that has tokens.
    UnknownApiVersion,
    /// `resource` was missing or empty.
    MissingResource,
    /// `resource` ended in `/.default`: that is a scope.
    ScopeInsteadOfResource,
    /// The tenant has no such resource.
    UnknownResource,
    /// More than one of `client_id`, `object_id`, `msi_res_id`.
    SeveralSelectors,
    /// The machine has no such identity.
    IdentityNotFound,
    /// No selector, no system-assigned identity and several user-assigned ones.
    SeveralIdentities,
}

/// Why the target refused a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenRefusal {
    /// No `Authorization` header.
    MissingAuthorization,
    /// More than one `Authorization` header.
    SeveralAuthorizations,
    /// The scheme is not `Bearer`.
    NotBearer,
    /// Not a JWT with the claims of an access token.
    Malformed,
    /// The header names another algorithm than RS256, `none` included.
    BadAlgorithm,
    /// The header names a key that the tenant does not have.
    UnknownKey,
    /// The signature does not match.
    BadSignature,
    /// Another issuer than the tenant.
    WrongIssuer,
    /// For another audience.
    WrongAudience,
    /// `exp` has come.
    Expired,
    /// `nbf` has not come yet.
    NotYetValid,
    /// The token was revoked.
    Revoked,
    /// A good token whose identity lacks the role: 403, all others are 401.
    MissingRole,
}

/// The rule that a request to App Service's identity endpoint broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AppServiceRefusal {
    /// No such path.
    UnknownPath,
    /// Another method than GET.
    MethodNotAllowed,
    /// `X-IDENTITY-HEADER` was missing or doubled.
    MissingIdentityHeader,
    /// `X-IDENTITY-HEADER` was not the value of `IDENTITY_HEADER`.
    WrongIdentityHeader,
    /// A query parameter came twice.
    DuplicateParameter,
    /// `api-version` was missing.
    MissingApiVersion,
    /// `api-version` was not `2019-08-01`.
    UnknownApiVersion,
    /// `resource` was missing or empty.
    MissingResource,
    /// `resource` ended in `/.default`: that is a scope.
    ScopeInsteadOfResource,
    /// The tenant has no such resource.
    UnknownResource,
    /// More than one of `client_id`, `principal_id`, `mi_res_id`.
    SeveralSelectors,
    /// The app has no such identity.
    IdentityNotFound,
}

/// The rule that a request to tsiam broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TsiamRefusal {
    /// No such path.
    UnknownPath,
    /// Another method than POST.
    MethodNotAllowed,
    /// `X-Tsiam` was missing or empty.
    MissingHeader,
    /// Neither `resource` nor `audience` was given.
    MissingAudience,
    /// `resource` and `audience` were given and differ.
    AudienceConflict,
    /// The audience is longer than 512 characters.
    AudienceTooLong,
    /// The audience is none that this tsiam gives tokens for.
    AudienceNotAllowed,
}
