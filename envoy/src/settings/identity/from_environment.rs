//! `IDENTITY_TYPE` and the variables that belong to it. An unknown type is an error; aad-auth-proxy
//! silently used another identity.

use entra_auth_settings_input::{Problem, quoted};

use super::Identity;
use super::application::{SERVICE_ACCOUNT_TOKEN, SecretOrCertificate};
use crate::settings::Reader;
use crate::settings::clouds::CloudHint;

const TYPE: &str = "IDENTITY_TYPE";
pub(super) const CLIENT_ID: &str = "AAD_CLIENT_ID";
pub(super) const OBJECT_ID: &str = "AAD_OBJECT_ID";
pub(super) const RESOURCE_ID: &str = "AAD_RESOURCE_ID";
pub(super) const TENANT_ID: &str = "AAD_TENANT_ID";
/// Set by the Azure SDKs' convention and by workload identity's webhook.
pub(super) const SDK_CLIENT_ID: &str = "AZURE_CLIENT_ID";
/// Likewise.
pub(super) const SDK_TENANT_ID: &str = "AZURE_TENANT_ID";
pub(super) const SECRET_FILE: &str = "AAD_CLIENT_SECRET_FILE";
pub(super) const CERTIFICATE_PATH: &str = "AAD_CLIENT_CERTIFICATE_PATH";
pub(super) const MANAGED_CLIENT_ID: &str = "MANAGED_IDENTITY_CLIENT_ID";
pub(super) const FEDERATED_TOKEN_FILE: &str = "AZURE_FEDERATED_TOKEN_FILE";
pub(super) const TSIAM_ENDPOINT: &str = "TSIAM_ENDPOINT";

/// What `IDENTITY_TYPE` may say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    SystemAssigned,
    UserAssigned,
    AadApplication,
    WorkloadIdentity,
    ServiceAccountToken,
    ManagedIdentityFederated,
    Tsiam,
}

impl Kind {
    pub(super) const ALL: [Self; 7] = [
        Self::SystemAssigned,
        Self::UserAssigned,
        Self::AadApplication,
        Self::WorkloadIdentity,
        Self::ServiceAccountToken,
        Self::ManagedIdentityFederated,
        Self::Tsiam,
    ];

    /// In the spelling of the documentation.
    pub(super) fn name(self) -> &'static str {
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
    pub(in crate::settings) fn identity(&mut self, cloud: Option<&CloudHint>) -> Option<Identity> {
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
            Kind::SystemAssigned => Some(Identity::SystemAssigned {
                service: self.metadata_service()?,
                cloud: None,
            }),
            Kind::UserAssigned => {
                let (service, selector) = (self.metadata_service(), self.selector());
                Some(Identity::UserAssigned {
                    service: service?,
                    selector: selector?,
                    cloud: None,
                })
            }
            Kind::AadApplication => {
                let proof = self.secret_or_certificate();
                let application = self.application(kind, cloud)?;
                Some(match proof? {
                    SecretOrCertificate::Secret(secret_file) => Identity::ClientSecret {
                        application,
                        secret_file,
                    },
                    SecretOrCertificate::Certificate(sidecar) => Identity::ClientCertificate {
                        application,
                        sidecar,
                    },
                })
            }
            Kind::WorkloadIdentity => {
                let (token_file, application) =
                    (self.federated_token(None), self.application(kind, cloud));
                Some(Identity::WorkloadIdentity {
                    application: application?,
                    token_file: token_file?,
                })
            }
            Kind::ServiceAccountToken => {
                let token_file = self.federated_token(Some(SERVICE_ACCOUNT_TOKEN));
                let application = self.application(kind, cloud);
                Some(Identity::ServiceAccountToken {
                    application: application?,
                    token_file: token_file?,
                })
            }
            Kind::ManagedIdentityFederated => {
                let managed_identity = self.federated_managed_identity();
                let (imds, application) =
                    (self.imds_for_federation(), self.application(kind, cloud));
                Some(Identity::ManagedIdentityFederated {
                    application: application?,
                    imds: imds?,
                    managed_identity: managed_identity?,
                })
            }
            Kind::Tsiam => self.tsiam(cloud),
        }
    }

    /// tsiam signs tokens of its own (its README, "tsiam vs tsidp"). An application of Entra may
    /// trust them; where none is named, the target itself does.
    fn tsiam(&mut self, cloud: Option<&CloudHint>) -> Option<Identity> {
        let tsiam = self.tsiam_service();
        let names_application = [CLIENT_ID, SDK_CLIENT_ID]
            .iter()
            .any(|name| self.variables.value(name).is_some());
        if !names_application {
            let (tsiam, cloud) = (tsiam?, None);
            return Some(Identity::Tsiam { tsiam, cloud });
        }
        let application = self.application(Kind::Tsiam, cloud);
        Some(Identity::TsiamFederated {
            application: application?,
            tsiam: tsiam?,
        })
    }
}
