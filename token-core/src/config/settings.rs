//! Which settings to check after a failure. Their names in messages are in [`super::Terms`].

use deserr::Deserr;
use serde::Serialize;

use super::IdentityType;
use crate::failure::{Failure, FailureCode, Step};

/// A setting of an identity, of what its token is for, or of the way to whom it asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserr)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[deserr(rename_all = camelCase)]
pub enum Setting {
    /// How the identity proves who it is.
    IdentityType,
    /// The id that names the application or the managed identity.
    ClientId,
    /// The application's tenant.
    TenantId,
    /// The cloud that the application is in.
    Cloud,
    /// Where Entra is.
    Authority,
    /// The secret, certificate, federated token or key that proves who asks.
    Credential,
    /// Which managed identity speaks for the application.
    ManagedIdentity,
    /// Where the service is that gives the tokens of managed identities, or tsiam.
    MetadataService,
    /// What the token is for.
    Audience,
    /// The forward proxy.
    ForwardProxy,
    /// What is reached without the forward proxy.
    NoProxy,
    /// The authorities whose certificates are trusted.
    TrustStore,
}

/// The settings to check after a failure, the likeliest first. An identity may lack some of them.
pub(super) fn to_look_at(failure: &Failure, kind: IdentityType) -> &'static [Setting] {
    use Setting::{
        Audience, Authority, ClientId, Cloud, Credential, ForwardProxy, ManagedIdentity,
        MetadataService, NoProxy, TenantId, TrustStore,
    };
    if failure.proxy_suspected {
        return &[ForwardProxy, NoProxy];
    }
    match failure.code {
        FailureCode::ApplicationDisabled | FailureCode::FederatedCredentialNotFound => &[ClientId],
        FailureCode::ApplicationNotFound => &[ClientId, TenantId],
        FailureCode::AssertionOver
        | FailureCode::ClientSecretExpired
        | FailureCode::CredentialMissing
        | FailureCode::CredentialUnavailable
        | FailureCode::CredentialUnusable => &[Credential],
        FailureCode::AudienceNotFound | FailureCode::ScopeInvalid => &[Audience],
        FailureCode::CertificateRefused | FailureCode::ClientSecretWrong => &[Credential, ClientId],
        FailureCode::IdentityNotFound => &[Setting::IdentityType, ManagedIdentity],
        FailureCode::RequestRefused => &[ClientId, Audience],
        FailureCode::TenantIdInvalid => &[TenantId],
        FailureCode::TenantNotFound => &[TenantId, Cloud, Authority],
        FailureCode::WrongCloud => &[Cloud, Authority],
        FailureCode::EndpointTlsFailed if kind.has_service_with_tls() => {
            &[TrustStore, MetadataService, Authority]
        }
        FailureCode::EndpointTlsFailed => &[TrustStore, Authority, Cloud],
        // The call went to the wrong endpoint, or the endpoint cannot be reached.
        FailureCode::EndpointBrokeOff
        | FailureCode::EndpointClusterMissing
        | FailureCode::EndpointNameUnknown
        | FailureCode::EndpointNotReady
        | FailureCode::EndpointRedirects
        | FailureCode::EndpointTimeout
        | FailureCode::EndpointUnreachable
        | FailureCode::MalformedReply
        | FailureCode::UnexpectedStatus => match failure.step {
            Step::Token if kind.is_application() => &[Authority, Cloud],
            Step::Credential if !kind.proof_is_token() => &[Credential],
            Step::Token | Step::Credential => &[MetadataService],
        },
        // No setting is at fault.
        FailureCode::AssertionNotValidNow
        | FailureCode::EndpointFailed
        | FailureCode::EntraUnavailable
        | FailureCode::Throttled
        | FailureCode::Unknown => &[],
    }
}
