//! Applications: who they are at Entra, where that is, and how they prove it.

use std::path::PathBuf;

use entra_auth_settings_input::{Authority, Endpoint, Problem, Scheme, quoted};
use entra_token_core::cloud::{Cloud, canonical_authority};
use entra_token_core::config::{Tenant, Uuid};
use entra_token_core::identity::CredentialKind;

use super::managed::uuid;
use super::service::{PathService, Service, encrypted};
use super::{
    CERTIFICATE_PATH, CLIENT_ID, FEDERATED_TOKEN_FILE, Identity, Kind, SDK_CLIENT_ID,
    SDK_TENANT_ID, SECRET_FILE, Selector, Sidecar, TENANT_ID,
};
use crate::settings::clouds::CloudHint;
use crate::settings::credential_file;
use crate::settings::{Reader, identity::certificate};

pub(in crate::settings) const AUTHORITY_HOST: &str = "AZURE_AUTHORITY_HOST";

/// Where Kubernetes mounts the token of a pod's service account.
pub(in crate::settings) const SERVICE_ACCOUNT_TOKEN: &str =
    "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// An application at Entra.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Application {
    /// Its tenant.
    pub tenant: Tenant,
    /// Its client id.
    pub client_id: Uuid,
    /// Where Entra is.
    pub entra: Service,
    /// Whose Entra that is.
    pub cloud: Cloud,
    /// How it proves who it is.
    pub proof: Proof,
}

/// How an application proves who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// A secret in a file.
    Secret(PathBuf),
    /// A certificate, which the token-sidecar signs assertions with.
    Certificate(Sidecar),
    /// The token file of Azure workload identity.
    WorkloadIdentity(PathBuf),
    /// The token of a Kubernetes service account.
    ServiceAccountToken(PathBuf),
    /// The token of a managed identity of this machine.
    ManagedIdentity {
        /// Who gives its tokens.
        imds: Service,
        /// Which of those that were assigned to the machine; none for the machine's own.
        selector: Option<Selector>,
    },
    /// A token of tsiam.
    Tsiam(PathService),
}

impl Application {
    /// The URL of its tenant's token endpoint, which an assertion must name as its audience.
    #[must_use]
    pub fn token_endpoint(&self) -> String {
        let path = entra_token_core::identity::Exchange::path(self.tenant.as_str());
        format!("{}{path}", self.authority_host())
    }

    /// Where Entra is, as `AZURE_AUTHORITY_HOST` says it.
    #[must_use]
    pub fn authority_host(&self) -> String {
        let authority = self.entra.authority.as_str();
        match self.entra.endpoint.scheme {
            Scheme::Http => format!("http://{authority}"),
            // One spelling for the token-sidecar, which gets this, and for what it is asked for.
            Scheme::Https => format!("https://{}", canonical_authority(authority)),
        }
    }
}

impl Reader<'_> {
    /// An application with this proof, or none where a mistake was made, in it or before.
    pub(super) fn application(
        &mut self,
        kind: Kind,
        proof: Option<Proof>,
        cloud: Option<&CloudHint>,
    ) -> Option<Identity> {
        let client_id = self.ours_or_the_sdks([CLIENT_ID, SDK_CLIENT_ID], uuid);
        let client_id = self.wanted(kind, CLIENT_ID, client_id, "the application's client id");
        let tenant = self.ours_or_the_sdks([TENANT_ID, SDK_TENANT_ID], |value| {
            value
                .parse()
                .map_err(|why: String| Problem::of_value(value, &why))
        });
        let tenant = self.wanted(kind, TENANT_ID, tenant, "the id or a domain of its tenant");
        let entra = self.entra(cloud);
        let (tenant, client_id) = (tenant?, client_id?);
        let (entra, cloud) = entra?;
        Some(Identity::Application(Application {
            tenant,
            client_id,
            entra,
            cloud,
            proof: proof?,
        }))
    }

    fn wanted<T>(
        &mut self,
        kind: Kind,
        name: &'static str,
        value: Option<Option<T>>,
        what: &str,
    ) -> Option<T> {
        let value = value?;
        if value.is_none() {
            let wrong = format!("is not set, but IDENTITY_TYPE is {}", kind.name());
            let problem = Problem::new(wrong, format!("Set it to {what}."));
            return self.note(name, Err(problem));
        }
        value
    }

    /// `AZURE_AUTHORITY_HOST`, else the Entra of the cloud.
    fn entra(&mut self, hint: Option<&CloudHint>) -> Option<(Service, Cloud)> {
        let entra = match self.variables.value(AUTHORITY_HOST) {
            Some(value) => entra_at(value, hint),
            None => entra_of(hint),
        };
        self.note(AUTHORITY_HOST, entra)
    }

    /// Exactly one of the two.
    pub(super) fn secret_or_certificate(&mut self) -> Option<Proof> {
        let secret = self.variables.value(SECRET_FILE);
        match (secret, self.has_certificate()) {
            (Some(_), true) => {
                let problem = Problem::new(
                    "is set beside a certificate, but one proof is enough",
                    format!(
                        "Keep {SECRET_FILE}, or {CERTIFICATE_PATH} (or {}).",
                        certificate::SOCKET
                    ),
                );
                self.note(SECRET_FILE, Err(problem))
            }
            (Some(path), false) => {
                let file = credential_file::credential(path, CredentialKind::Secret);
                self.note(SECRET_FILE, file).map(Proof::Secret)
            }
            (None, true) => self.sidecar().map(Proof::Certificate),
            (None, false) => {
                let problem = Problem::new(
                    format!(
                        "is not set, nor is {CERTIFICATE_PATH}, but IDENTITY_TYPE is aadApplication"
                    ),
                    "Set one of the two to the file with the application's secret or certificate.",
                );
                self.note(SECRET_FILE, Err(problem))
            }
        }
    }

    /// The tenant that workload identity's webhook has set.
    pub(in crate::settings) fn tenant_of_the_webhook(&mut self) -> Option<Tenant> {
        self.of_the_webhook(SDK_TENANT_ID, |value| {
            value
                .parse()
                .map_err(|why: String| Problem::of_value(value, &why))
        })
    }

    /// The client id that it has set.
    pub(in crate::settings) fn client_id_of_the_webhook(&mut self) -> Option<Uuid> {
        self.of_the_webhook(SDK_CLIENT_ID, uuid)
    }

    fn of_the_webhook<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, Problem>,
    ) -> Option<T> {
        let value = self.variables.value(name).ok_or_else(not_labelled);
        self.note(name, value.and_then(parse))
    }

    /// The file of a federated token.
    pub(in crate::settings) fn federated_token(
        &mut self,
        default: Option<&str>,
    ) -> Option<PathBuf> {
        let result = match self.variables.value(FEDERATED_TOKEN_FILE).or(default) {
            Some(path) => credential_file::credential(path, CredentialKind::Assertion),
            None => Err(not_labelled()),
        };
        self.note(FEDERATED_TOKEN_FILE, result)
    }
}

fn not_labelled() -> Problem {
    Problem::new(
        "is not set, but the identity is a workloadIdentity",
        "Label the pod azure.workload.identity/use: \"true\", so that the webhook sets it, or say \
         it yourself.",
    )
}

/// The Entra of the cloud.
pub(in crate::settings) fn entra_of(hint: Option<&CloudHint>) -> Result<(Service, Cloud), Problem> {
    let cloud = hint.map_or(Cloud::Public, |hint| hint.cloud);
    entra_at(cloud.authority(), hint)
}

/// Entra by its host. A host of nobody knows which cloud is in the cloud that the other variables
/// speak of.
pub(in crate::settings) fn entra_at(
    value: &str,
    hint: Option<&CloudHint>,
) -> Result<(Service, Cloud), Problem> {
    let Authority { scheme, host, port } = Authority::parse(value)?;
    let scheme = scheme.unwrap_or(Scheme::Https);
    let its_cloud = Cloud::of_authority(&host.to_string());
    let cloud = match (its_cloud, hint) {
        (Some(its), Some(hint)) if its != hint.cloud => {
            return Err(Problem::new(
                format!(
                    "is {}, the Entra of {its}, but {} means {}",
                    quoted(value),
                    hint.place,
                    hint.cloud
                ),
                "Correct one of the two: a token of one cloud is worth nothing in another.",
            ));
        }
        (Some(cloud), _) => cloud,
        (None, Some(hint)) => hint.cloud,
        (None, None) => Cloud::Public,
    };
    let endpoint = Endpoint {
        scheme,
        host,
        port: port.unwrap_or(scheme.default_port()),
    };
    Ok((Service::at(encrypted(endpoint, value)?)?, cloud))
}
