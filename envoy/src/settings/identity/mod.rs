//! Identities: who requests tokens, and how it authenticates. One type holds what the environment or the
//! configuration file says, and is what `render --config` writes.

mod application;
mod certificate;
mod from_environment;
mod from_file;
mod metadata_service;
mod selector;
mod service;
#[cfg(test)]
mod tests;

pub(super) use application::{AUTHORITY_HOST, entra_at};
pub use application::{Application, EntraUrl};
pub use certificate::{Certificate, Sidecar};
pub use entra_token_core::config::Selector;
pub(super) use from_file::Context;
pub use metadata_service::{ImdsUrl, MetadataService};
pub use service::{
    APP_SERVICE, ENTRA, IMDS, PathService, Service, ServiceKind, TSIAM, TokenService, TsiamUrl,
};

use std::path::Path;

use deserr::{IntoValue, ValuePointerRef};
use entra_auth_settings_input::Scheme;
use entra_token_core::Secret;
use entra_token_core::config::{ConfigErrors, Fields, IdentityName, IdentityType};
use serde::Serialize;

use super::values::{CloudName, SecretFile, TokenFile};

/// Who asks for tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct NamedIdentity {
    /// What targets, metrics and `/status` call it.
    pub name: IdentityName,
    /// How it proves who it is.
    #[serde(flatten)]
    pub identity: Identity,
}

/// How an identity proves who it is, by its `type`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(
    tag = "type",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub enum Identity {
    /// The managed identity of the machine itself.
    SystemAssigned {
        /// Where the instance metadata service is. By default as the environment says it
        /// (`AZURE_POD_IDENTITY_AUTHORITY_HOST`, `IDENTITY_ENDPOINT`), else `http://169.254.169.254`.
        #[serde(
            rename = "imds",
            skip_serializing_if = "MetadataService::is_of_environment"
        )]
        #[cfg_attr(test, schemars(with = "Option<ImdsUrl>"))]
        service: MetadataService,
        /// `public`, `usgovernment` or `china`: the cloud that its targets must be in.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cloud: Option<CloudName>,
    },
    /// A managed identity that was given to the machine.
    UserAssigned {
        /// Where the instance metadata service is. By default as the environment says it
        /// (`AZURE_POD_IDENTITY_AUTHORITY_HOST`, `IDENTITY_ENDPOINT`), else `http://169.254.169.254`.
        #[serde(
            rename = "imds",
            skip_serializing_if = "MetadataService::is_of_environment"
        )]
        #[cfg_attr(test, schemars(with = "Option<ImdsUrl>"))]
        service: MetadataService,
        /// Which one.
        #[serde(flatten)]
        selector: Selector,
        /// `public`, `usgovernment` or `china`: the cloud that its targets must be in.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cloud: Option<CloudName>,
    },
    /// An application with a secret.
    ClientSecret {
        /// Who it is at Entra.
        #[serde(flatten)]
        application: Application,
        /// File with the application's secret, read anew for each token.
        secret_file: SecretFile,
    },
    /// An application with a certificate.
    ClientCertificate {
        /// Who it is at Entra.
        #[serde(flatten)]
        application: Application,
        /// Who signs with it.
        #[serde(flatten)]
        sidecar: Sidecar,
    },
    /// An application that trusts the token file of Azure workload identity. What is left out is as
    /// its webhook has set it: `AZURE_TENANT_ID`, `AZURE_CLIENT_ID`, `AZURE_FEDERATED_TOKEN_FILE`,
    /// and `AZURE_AUTHORITY_HOST` where neither `cloud` nor `authority` is given.
    WorkloadIdentity {
        /// Who it is at Entra.
        #[serde(flatten)]
        #[cfg_attr(test, schemars(with = "application::OfWebhook"))]
        application: Application,
        /// File with the token that the application trusts, read anew for each token.
        #[cfg_attr(test, schemars(with = "Option<TokenFile>"))]
        token_file: TokenFile,
    },
    /// An application that trusts Kubernetes' service-account tokens.
    ServiceAccountToken {
        /// Who it is at Entra.
        #[serde(flatten)]
        application: Application,
        /// File with the token that the application trusts, read anew for each token. By default
        /// that of the pod's service account.
        #[cfg_attr(test, schemars(with = "Option<TokenFile>"))]
        token_file: TokenFile,
    },
    /// An application that trusts a managed identity of this machine.
    ManagedIdentityFederated {
        /// Who it is at Entra.
        #[serde(flatten)]
        application: Application,
        /// Where the instance metadata service is. By default as the environment says it
        /// (`AZURE_POD_IDENTITY_AUTHORITY_HOST`), else `http://169.254.169.254`.
        #[cfg_attr(test, schemars(with = "Option<ImdsUrl>"))]
        imds: ImdsUrl,
        /// Which user-assigned identity of the machine speaks for the application; the machine's own
        /// by default.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        managed_identity: Option<Selector>,
    },
    /// The token of a token service inside the cluster, for targets that trust its issuer.
    Tsiam {
        /// tsiam's address.
        tsiam: TsiamUrl,
        /// `public`, `usgovernment` or `china`: the cloud that its targets must be in.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cloud: Option<CloudName>,
    },
    /// An application that trusts that token service.
    TsiamFederated {
        /// Who it is at Entra.
        #[serde(flatten)]
        application: Application,
        /// tsiam's address.
        tsiam: TsiamUrl,
    },
}

/// The fields that go with one type or another, in the order in which a message lists them.
const OF_A_TYPE: &[&str] = &[
    "tenantId",
    "clientId",
    "objectId",
    "resourceId",
    "imds",
    "managedIdentity",
    "secretFile",
    "certificate",
    "tokenSidecarSocket",
    "tokenFile",
    "tsiam",
    "cloud",
    "authority",
];

impl NamedIdentity {
    /// Reads an identity.
    ///
    /// # Errors
    /// All mistakes in the file; none where the mistakes are in the environment, which the reader
    /// has noted.
    pub(in crate::settings) fn read(
        value: serde_json::Value,
        context: &mut Context<'_, '_>,
    ) -> Result<Self, ConfigErrors> {
        let list = ValuePointerRef::Origin;
        let list = list.push_key("identities");
        let mut fields = Fields::of(value.into_value(), list.push_index(context.index))?;
        let name = fields.needed("name");
        let kind: Option<IdentityType> = fields.needed("type");
        let identity = kind.and_then(|kind| Identity::read(kind, &mut fields, context));
        let named = name.zip(identity);
        let named = named.map(|(name, identity)| Self { name, identity });
        fields.finish(named, kind.map(IdentityType::name), OF_A_TYPE)
    }
}

impl Identity {
    fn read<V: IntoValue>(
        kind: IdentityType,
        fields: &mut Fields<'_, V>,
        context: &mut Context<'_, '_>,
    ) -> Option<Self> {
        fields.are_of(format!("a {} identity", kind.name()));
        Some(match kind {
            IdentityType::SystemAssigned => {
                let cloud = fields.optional("cloud");
                Self::SystemAssigned {
                    service: fields.or("imds", || context.reader.metadata_service())?,
                    cloud,
                }
            }
            IdentityType::UserAssigned => {
                let (cloud, selector) = (fields.optional("cloud"), Selector::read(fields));
                let service = fields.or("imds", || context.reader.metadata_service());
                Self::UserAssigned {
                    service: service?,
                    selector: selector?,
                    cloud,
                }
            }
            IdentityType::ClientSecret => {
                let secret_file = fields.needed("secretFile");
                Self::ClientSecret {
                    application: Application::read(fields, context)?,
                    secret_file: secret_file?,
                }
            }
            IdentityType::ClientCertificate => {
                let sidecar = Sidecar::read(fields);
                Self::ClientCertificate {
                    application: Application::read(fields, context)?,
                    sidecar: sidecar?,
                }
            }
            IdentityType::WorkloadIdentity => {
                let reader = &mut context.reader;
                let token_file = fields.or("tokenFile", || reader.federated_token(None));
                Self::WorkloadIdentity {
                    application: Application::read_or_of_webhook(fields, context)?,
                    token_file: token_file?,
                }
            }
            IdentityType::ServiceAccountToken => {
                let token_file = fields.or("tokenFile", || context.service_account_token());
                Self::ServiceAccountToken {
                    application: Application::read(fields, context)?,
                    token_file: token_file?,
                }
            }
            IdentityType::ManagedIdentityFederated => {
                let managed_identity = fields.optional("managedIdentity");
                let imds = fields.or("imds", || context.reader.imds_for_federation());
                Self::ManagedIdentityFederated {
                    application: Application::read(fields, context)?,
                    imds: imds?,
                    managed_identity,
                }
            }
            IdentityType::Tsiam => {
                let cloud = fields.optional("cloud");
                Self::Tsiam {
                    tsiam: fields.needed("tsiam")?,
                    cloud,
                }
            }
            IdentityType::TsiamFederated => {
                let tsiam = fields.needed("tsiam");
                Self::TsiamFederated {
                    application: Application::read(fields, context)?,
                    tsiam: tsiam?,
                }
            }
        })
    }
}

/// A file with a credential, which is served to the filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialFile<'a> {
    /// A secret.
    Secret(&'a Path),
    /// An assertion of somebody else.
    Assertion(&'a Path),
    /// The key of App Service's endpoint, which has no file but the one that the launcher makes.
    IdentityHeader,
}

impl Identity {
    /// Who is asked for its tokens and for assertions.
    #[must_use]
    pub fn services(&self) -> Vec<TokenService<'_>> {
        match self {
            Self::SystemAssigned { service, .. } | Self::UserAssigned { service, .. } => {
                vec![service.token_service()]
            }
            Self::ClientSecret { application, .. }
            | Self::WorkloadIdentity { application, .. }
            | Self::ServiceAccountToken { application, .. } => vec![application.token_service()],
            Self::ClientCertificate {
                application,
                sidecar,
            } => vec![
                application.token_service(),
                TokenService::sidecar(application, sidecar),
            ],
            Self::ManagedIdentityFederated {
                application, imds, ..
            } => vec![
                application.token_service(),
                TokenService::At(&IMDS, &imds.0),
            ],
            Self::Tsiam { tsiam, .. } => vec![TokenService::At(&TSIAM, &tsiam.0.service)],
            Self::TsiamFederated { application, tsiam } => vec![
                application.token_service(),
                TokenService::At(&TSIAM, &tsiam.0.service),
            ],
        }
    }

    /// The file that must be served for it.
    #[must_use]
    pub fn credential_file(&self) -> Option<CredentialFile<'_>> {
        match self {
            Self::ClientSecret { secret_file, .. } => Some(CredentialFile::Secret(&secret_file.0)),
            Self::WorkloadIdentity { token_file, .. }
            | Self::ServiceAccountToken { token_file, .. } => {
                Some(CredentialFile::Assertion(&token_file.0))
            }
            _ => {
                let header = self.identity_header();
                header.map(|_| CredentialFile::IdentityHeader)
            }
        }
    }

    /// Whether anybody is asked by TLS, for which a trust store is needed.
    #[must_use]
    pub fn needs_trust_store(&self) -> bool {
        let mut remotes = self.services().into_iter().filter_map(TokenService::remote);
        remotes.any(|endpoint| endpoint.scheme == Scheme::Https)
    }

    /// The key of App Service's endpoint, which reaches Envoy by a file.
    #[must_use]
    pub fn identity_header(&self) -> Option<&Secret> {
        match self {
            Self::SystemAssigned { service, .. } | Self::UserAssigned { service, .. } => {
                service.header()
            }
            _ => None,
        }
    }

    /// The certificate that a token-sidecar of the launcher's signs with.
    #[must_use]
    pub fn certificate(&self) -> Option<&Certificate> {
        match self {
            Self::ClientCertificate {
                sidecar: Sidecar::Own(certificate),
                ..
            } => Some(certificate),
            _ => None,
        }
    }
}
