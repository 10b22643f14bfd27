//! Applications: their ids, their Entra endpoint and their credentials.

use entra_auth_settings_input::{Authority, Problem, Scheme, quoted};
use entra_token_core::cloud::{Cloud, canonical_authority};
use entra_token_core::config::{Tenant, Uuid};
use entra_token_core::identity::CredentialKind;
use serde::Serialize;

use super::from_environment::{
    CERTIFICATE_PATH, CLIENT_ID, FEDERATED_TOKEN_FILE, Kind, SDK_CLIENT_ID, SDK_TENANT_ID,
    SECRET_FILE, TENANT_ID,
};
use super::selector::uuid;
use super::service::{ENTRA, Service, TokenService};
use super::{Sidecar, certificate};
use crate::settings::Reader;
use crate::settings::clouds::CloudHint;
use crate::settings::credential_file;
use crate::settings::values::{CloudName, SecretFile, TokenFile, values};

pub(in crate::settings) const AUTHORITY_HOST: &str = "AZURE_AUTHORITY_HOST";

/// Where Kubernetes mounts the token of a pod's service account.
pub(super) const SERVICE_ACCOUNT_TOKEN: &str =
    "/var/run/secrets/kubernetes.io/serviceaccount/token";

values! {
    /// Where an Entra is.
    EntraUrl(Service): |text| entra_at(text, None).map(|(entra, _)| entra.0),
        |service| service.endpoint.url(), { "type": "string", "minLength": 1 };
}

impl EntraUrl {
    /// Whether it is the one that its cloud implies.
    fn is_of_cloud(&self) -> bool {
        let url = self.0.endpoint.url();
        let cloud = Cloud::of_authority(&self.0.endpoint.host.to_string());
        cloud.is_some_and(|cloud| url == format!("https://{}", cloud.authority()))
    }
}

/// An application at Entra.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Application {
    /// The id or a domain of its tenant.
    #[serde(rename = "tenantId")]
    pub tenant: Tenant,
    /// Its client id.
    pub client_id: Uuid,
    /// `public`, `usgovernment` or `china`. By default that of its targets.
    #[cfg_attr(test, schemars(with = "Option<CloudName>"))]
    pub cloud: CloudName,
    /// Where its Entra is. By default that of the cloud.
    #[serde(rename = "authority", skip_serializing_if = "EntraUrl::is_of_cloud")]
    #[cfg_attr(test, schemars(with = "Option<EntraUrl>"))]
    pub entra: EntraUrl,
}

/// The fields of an [`Application`] where a webhook may have set those that are left out.
#[cfg(test)]
#[derive(schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes JSON and is never made")]
pub(super) struct OfWebhook {
    /// The id or a domain of its tenant.
    tenant_id: Option<Tenant>,
    /// Its client id.
    client_id: Option<Uuid>,
    /// `public`, `usgovernment` or `china`. By default that of its targets.
    cloud: Option<CloudName>,
    /// Where its Entra is. By default that of the cloud.
    authority: Option<EntraUrl>,
}

/// How `aadApplication` proves who it is.
pub(super) enum SecretOrCertificate {
    Secret(SecretFile),
    Certificate(Sidecar),
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
        let entra = &self.entra.0;
        let authority = entra.authority.as_str();
        match entra.endpoint.scheme {
            Scheme::Http => format!("http://{authority}"),
            // One spelling for the token-sidecar, which gets this, and for what it is asked for.
            Scheme::Https => format!("https://{}", canonical_authority(authority)),
        }
    }

    pub(super) fn token_service(&self) -> TokenService<'_> {
        TokenService::At(&ENTRA, &self.entra.0)
    }
}

impl Reader<'_> {
    /// An application, or none after a mistake.
    pub(super) fn application(
        &mut self,
        kind: Kind,
        cloud: Option<&CloudHint>,
    ) -> Option<Application> {
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
        Some(Application {
            tenant,
            client_id,
            cloud,
            entra,
        })
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
    fn entra(&mut self, hint: Option<&CloudHint>) -> Option<(EntraUrl, CloudName)> {
        let entra = match self.variables.value(AUTHORITY_HOST) {
            Some(value) => entra_at(value, hint),
            None => entra_of(hint),
        };
        self.note(AUTHORITY_HOST, entra)
    }

    /// Exactly one of the two.
    pub(super) fn secret_or_certificate(&mut self) -> Option<SecretOrCertificate> {
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
                let file = self.note(SECRET_FILE, file)?;
                Some(SecretOrCertificate::Secret(SecretFile(file)))
            }
            (None, true) => self.sidecar().map(SecretOrCertificate::Certificate),
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
    pub(super) fn tenant_of_the_webhook(&mut self) -> Option<Tenant> {
        self.of_the_webhook(SDK_TENANT_ID, |value| {
            value
                .parse()
                .map_err(|why: String| Problem::of_value(value, &why))
        })
    }

    /// The client id that it has set.
    pub(super) fn client_id_of_the_webhook(&mut self) -> Option<Uuid> {
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
    pub(super) fn federated_token(&mut self, default: Option<&str>) -> Option<TokenFile> {
        let result = match self.variables.value(FEDERATED_TOKEN_FILE).or(default) {
            Some(path) => credential_file::credential(path, CredentialKind::Assertion),
            None => Err(not_labelled()),
        };
        self.note(FEDERATED_TOKEN_FILE, result).map(TokenFile)
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
pub(super) fn entra_of(hint: Option<&CloudHint>) -> Result<(EntraUrl, CloudName), Problem> {
    let cloud = hint.map_or(Cloud::Public, |hint| hint.cloud);
    entra_at(cloud.authority(), hint)
}

/// Entra by its host. A host of nobody knows which cloud is in the cloud that the other variables
/// speak of.
pub(in crate::settings) fn entra_at(
    value: &str,
    hint: Option<&CloudHint>,
) -> Result<(EntraUrl, CloudName), Problem> {
    let endpoint = Authority::parse(value)?.endpoint(Scheme::Https);
    let its_cloud = Cloud::of_authority(&endpoint.host.to_string());
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
    let entra = Service::at(endpoint.encrypted(value)?)?;
    Ok((EntraUrl(entra), CloudName(cloud)))
}
