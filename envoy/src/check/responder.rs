//! What answers the calls of a plan: a token service, a file or the token-sidecar.

use entra_token_core::config::IdentityType;
use entra_token_core::http::Endpoint;
use entra_token_core::identity::{ManagedIdentity, MetadataService, Plan, Proof, Source};

/// Where a token or its credential comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Responder<'a> {
    /// A service that issues the tokens of managed identities.
    Service(&'a MetadataService),
    Entra,
    /// The file with the secret.
    SecretFile,
    /// The file with the federated token.
    TokenFile,
    /// The token-sidecar.
    Sidecar,
    /// The file with the key of App Service.
    IdentityHeader,
}

impl<'a> Responder<'a> {
    /// What answers at this endpoint, for a plan of an identity of this type.
    pub(super) fn of(plan: &'a Plan, kind: IdentityType, endpoint: &Endpoint) -> Self {
        match &plan.source {
            Source::Managed(MetadataService::AppService { key, .. })
                if key.endpoint == *endpoint =>
            {
                Self::IdentityHeader
            }
            Source::Managed(service) => Self::Service(service),
            Source::Entra(exchange) if exchange.endpoint == *endpoint => Self::Entra,
            Source::Entra(exchange) => match &exchange.proof {
                Proof::Secret(_) => Self::SecretFile,
                Proof::Assertion(_) if kind.has_certificate() => Self::Sidecar,
                Proof::Assertion(_) => Self::TokenFile,
                Proof::ManagedIdentity(service, _) => Self::Service(service),
            },
        }
    }

    /// The name in messages.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Service(service) => service.name(),
            Self::Entra => "Entra",
            Self::SecretFile => "the file with the secret",
            Self::TokenFile => "the file with the federated token",
            Self::Sidecar => "the token-sidecar",
            Self::IdentityHeader => "the file with the key",
        }
    }

    /// Whether the endpoint's authority is the address of a service.
    pub(super) fn has_address(self) -> bool {
        matches!(self, Self::Service(_) | Self::Entra)
    }

    /// Whether this is the service of App Service, Functions and Container Apps.
    pub(super) fn is_app_service(self) -> bool {
        matches!(self, Self::Service(MetadataService::AppService { .. }))
    }
}

/// The application or managed identity that a plan uses, and its client id if known.
pub(super) fn principal(plan: &Plan) -> (String, Option<&str>) {
    match &plan.source {
        Source::Entra(exchange) => {
            let (id, tenant) = (exchange.client_id.as_str(), exchange.tenant.as_str());
            (format!("application {id} of tenant {tenant}"), Some(id))
        }
        Source::Managed(service) => match service.identity() {
            None => (
                format!("the identity that {} has for this machine", service.name()),
                None,
            ),
            Some(ManagedIdentity::SystemAssigned) => {
                ("the system-assigned identity".to_owned(), None)
            }
            Some(ManagedIdentity::ClientId(id)) => (
                format!("the managed identity with client id {id}"),
                Some(id),
            ),
            Some(ManagedIdentity::ObjectId(id)) => {
                (format!("the managed identity with object id {id}"), None)
            }
            Some(ManagedIdentity::ResourceId(id)) => (format!("the managed identity {id}"), None),
        },
    }
}
