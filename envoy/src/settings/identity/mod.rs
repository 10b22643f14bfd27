//! `IDENTITY_TYPE` and what belongs to it: who asks for tokens, and how it proves who it is. A type
//! that does not exist is a mistake: silently becoming another identity is what aad-auth-proxy did.

mod application;
mod certificate;
mod managed;
mod metadata_service;
mod service;
#[cfg(test)]
mod tests;

pub(super) use application::{AUTHORITY_HOST, SERVICE_ACCOUNT_TOKEN, entra_at, entra_of};
pub use application::{Application, Proof};
pub use certificate::{Certificate, Sidecar};
pub use entra_token_core::config::Selector;
pub use managed::Managed;
pub use metadata_service::MetadataService;
pub(super) use metadata_service::parse_imds;
pub(super) use service::parse_tsiam;
pub use service::{PathService, Service};

use entra_token_core::Secret;

use super::Reader;
use super::authority::{Endpoint, Scheme};
use super::clouds::CloudHint;
use super::mistake::{Problem, quoted};

/// Who asks for tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// A managed identity of this machine.
    Managed(Managed),
    /// An application, which proves to Entra who it is.
    Application(Application),
    /// Whom tsiam takes this machine for: its token goes to the target as it is.
    Tsiam(PathService),
}

impl Identity {
    /// Whether anybody is asked by TLS, for which a trust store is needed.
    #[must_use]
    pub fn needs_trust_store(&self) -> bool {
        let by_tls = |endpoint: &Endpoint| endpoint.scheme == Scheme::Https;
        match self {
            Self::Managed(_) => false,
            Self::Tsiam(tsiam) => by_tls(&tsiam.service.endpoint),
            Self::Application(application) => {
                by_tls(&application.entra.endpoint)
                    || matches!(&application.proof, Proof::Tsiam(tsiam)
                        if by_tls(&tsiam.service.endpoint))
            }
        }
    }

    /// Who is asked for its tokens and credentials, each with the variable and the field of the file
    /// that say where it is.
    pub(super) fn services(&self) -> Vec<(&'static str, &'static str, &Service)> {
        let imds = |service| (metadata_service::IMDS, "imds", service);
        match self {
            Self::Tsiam(it) => vec![(TSIAM_ENDPOINT, "tsiam", &it.service)],
            Self::Managed(managed) => vec![match &managed.service {
                MetadataService::Imds(service) => imds(service),
                MetadataService::AppService { service, .. } => {
                    (metadata_service::ENDPOINT, "imds", &service.service)
                }
            }],
            Self::Application(application) => {
                let mut services = vec![(AUTHORITY_HOST, "authority", &application.entra)];
                services.extend(match &application.proof {
                    Proof::ManagedIdentity { imds: service, .. } => Some(imds(service)),
                    Proof::Tsiam(it) => Some((TSIAM_ENDPOINT, "tsiam", &it.service)),
                    _ => None,
                });
                services
            }
        }
    }

    /// The key of App Service's endpoint, which reaches Envoy by a file.
    #[must_use]
    pub fn identity_header(&self) -> Option<&Secret> {
        match self {
            Self::Managed(Managed {
                service: MetadataService::AppService { header, .. },
                ..
            }) => Some(header),
            _ => None,
        }
    }

    /// The certificate that a token-sidecar of the launcher's signs with.
    #[must_use]
    pub fn certificate(&self) -> Option<&Certificate> {
        match self {
            Self::Application(Application {
                proof: Proof::Certificate(Sidecar::Own(certificate)),
                ..
            }) => Some(certificate),
            _ => None,
        }
    }
}

const TYPE: &str = "IDENTITY_TYPE";
const CLIENT_ID: &str = "AAD_CLIENT_ID";
const OBJECT_ID: &str = "AAD_OBJECT_ID";
const RESOURCE_ID: &str = "AAD_RESOURCE_ID";
const TENANT_ID: &str = "AAD_TENANT_ID";
/// Set by the Azure SDKs' convention and by workload identity's webhook.
const SDK_CLIENT_ID: &str = "AZURE_CLIENT_ID";
/// Likewise.
const SDK_TENANT_ID: &str = "AZURE_TENANT_ID";
const SECRET_FILE: &str = "AAD_CLIENT_SECRET_FILE";
const CERTIFICATE_PATH: &str = "AAD_CLIENT_CERTIFICATE_PATH";
const MANAGED_CLIENT_ID: &str = "MANAGED_IDENTITY_CLIENT_ID";
const FEDERATED_TOKEN_FILE: &str = "AZURE_FEDERATED_TOKEN_FILE";
const TSIAM_ENDPOINT: &str = "TSIAM_ENDPOINT";

/// What `IDENTITY_TYPE` may say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    SystemAssigned,
    UserAssigned,
    AadApplication,
    WorkloadIdentity,
    ServiceAccountToken,
    ManagedIdentityFederated,
    Tsiam,
}

impl Kind {
    const ALL: [Self; 7] = [
        Self::SystemAssigned,
        Self::UserAssigned,
        Self::AadApplication,
        Self::WorkloadIdentity,
        Self::ServiceAccountToken,
        Self::ManagedIdentityFederated,
        Self::Tsiam,
    ];

    /// In the spelling of the documentation.
    fn name(self) -> &'static str {
        match self {
            Self::SystemAssigned => "systemAssigned",
            Self::UserAssigned => "userAssigned",
            Self::AadApplication => "aadApplication",
            Self::WorkloadIdentity => "workloadIdentity",
            Self::ServiceAccountToken => "serviceAccountToken",
            Self::ManagedIdentityFederated => "managedIdentityFederated",
            Self::Tsiam => "tsiam",
        }
    }

    fn read(value: Option<&str>) -> Result<Self, Problem> {
        let fix = || format!("Say one of {}.", Self::ALL.map(Self::name).join(", "));
        let value = value.ok_or_else(|| Problem::new("is not set", fix()))?;
        Self::ALL
            .into_iter()
            .find(|kind| kind.name().eq_ignore_ascii_case(value))
            .ok_or_else(|| Problem::new(format!("is {}, which is unknown", quoted(value)), fix()))
    }

    /// Which of the variables that are set for an identity on purpose say something to this type.
    /// Others (`AZURE_…`, the tenant) come from a webhook or a template, whatever the type.
    fn says_something(self, variable: &str) -> bool {
        match variable {
            CLIENT_ID => self != Self::SystemAssigned,
            OBJECT_ID | RESOURCE_ID => self == Self::UserAssigned,
            SECRET_FILE | CERTIFICATE_PATH => self == Self::AadApplication,
            MANAGED_CLIENT_ID => self == Self::ManagedIdentityFederated,
            TSIAM_ENDPOINT => self == Self::Tsiam,
            _ => true,
        }
    }
}

/// The variables that are set on purpose, for one type or another.
const ON_PURPOSE: [&str; 7] = [
    CLIENT_ID,
    OBJECT_ID,
    RESOURCE_ID,
    SECRET_FILE,
    CERTIFICATE_PATH,
    MANAGED_CLIENT_ID,
    TSIAM_ENDPOINT,
];

impl Reader<'_> {
    /// The identity; `cloud` is what the other variables say about the cloud.
    pub(super) fn identity(&mut self, cloud: Option<&CloudHint>) -> Option<Identity> {
        let kind = match self.variables.value(TYPE) {
            // An aad-auth-proxy that is told no type tries several credentials; published Deployments
            // rely on it for this one, of which only its webhook sets the file.
            None if self.variables.value(FEDERATED_TOKEN_FILE).is_some() => {
                let kind = Kind::WorkloadIdentity;
                self.warnings.push(format!(
                    "{TYPE} is not set; {0} is assumed, because {FEDERATED_TOKEN_FILE} is set. \
                     Set {TYPE}={0}",
                    kind.name()
                ));
                kind
            }
            said => self.note(TYPE, Kind::read(said))?,
        };
        for variable in ON_PURPOSE {
            if self.variables.value(variable).is_some() && !kind.says_something(variable) {
                self.warnings.push(format!(
                    "{variable} is ignored: {TYPE} is {}, which does not use it",
                    kind.name()
                ));
            }
        }
        match kind {
            Kind::SystemAssigned => {
                let service = self.metadata_service()?;
                let selector = None;
                Some(Identity::Managed(Managed { service, selector }))
            }
            Kind::UserAssigned => {
                let (service, selector) = (self.metadata_service(), self.selector());
                Some(Identity::Managed(Managed {
                    service: service?,
                    selector: Some(selector?),
                }))
            }
            Kind::Tsiam => self.tsiam(cloud),
            Kind::AadApplication => {
                let proof = self.secret_or_certificate();
                self.application(kind, proof, cloud)
            }
            Kind::WorkloadIdentity => {
                let proof = self.federated_token(None).map(Proof::WorkloadIdentity);
                self.application(kind, proof, cloud)
            }
            Kind::ServiceAccountToken => {
                let proof = self.federated_token(Some(application::SERVICE_ACCOUNT_TOKEN));
                self.application(kind, proof.map(Proof::ServiceAccountToken), cloud)
            }
            Kind::ManagedIdentityFederated => {
                let proof = self.federated_managed_identity();
                self.application(kind, proof, cloud)
            }
        }
    }

    /// tsiam signs tokens of its own (its README, "tsiam vs tsidp"). An application of Entra may
    /// trust them; where none is named, the target itself does.
    fn tsiam(&mut self, cloud: Option<&CloudHint>) -> Option<Identity> {
        let service = self.tsiam_service();
        let names_application = [CLIENT_ID, SDK_CLIENT_ID]
            .iter()
            .any(|name| self.variables.value(name).is_some());
        if names_application {
            self.application(Kind::Tsiam, service.map(Proof::Tsiam), cloud)
        } else {
            service.map(Identity::Tsiam)
        }
    }
}
