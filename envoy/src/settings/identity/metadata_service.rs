//! The service that issues a managed identity's tokens: IMDS on a virtual machine, or the service of App
//! Service, Functions and Container Apps. Both use plain http, because their addresses are inside the host.

use entra_auth_settings_input::{Endpoint, Problem, Scheme, Variables, quoted};
use entra_token_core::Secret;
use entra_token_core::identity::{CredentialKind, credential_text};
use serde::Serialize;

use super::service::{self, APP_SERVICE, PathService, Service, TokenService, split_url};
use crate::settings::Reader;
use crate::settings::values::values;

pub(super) const IMDS: &str = "AZURE_POD_IDENTITY_AUTHORITY_HOST";
pub(super) const ENDPOINT: &str = "IDENTITY_ENDPOINT";
const HEADER: &str = "IDENTITY_HEADER";
/// Set beside `IDENTITY_ENDPOINT` by Azure Arc, and there alone.
const ARC: &str = "IMDS_ENDPOINT";
/// Set beside both by Service Fabric; and by Container Instances, which set no endpoint.
const THUMBPRINT: &str = "IDENTITY_SERVER_THUMBPRINT";
/// Set with `MSI_SECRET` by Azure Machine Learning, and alone by Cloud Shell.
const MSI_ENDPOINT: &str = "MSI_ENDPOINT";
const MSI_SECRET: &str = "MSI_SECRET";

/// Where IMDS is unless the variable says otherwise (Azure: "Instance Metadata Service").
const DEFAULT_IMDS: &str = "http://169.254.169.254";

/// A service that gives a managed identity's tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum MetadataService {
    /// IMDS.
    Imds(ImdsUrl),
    /// The one of App Service, Functions and Container Apps. The platform sets it in the
    /// environment; no file says it.
    #[serde(skip_serializing)]
    AppService {
        /// Where it is.
        service: PathService,
        /// What proves to it that whoever asks can read the app's environment.
        header: Secret,
    },
}

impl MetadataService {
    pub(super) fn is_of_environment(&self) -> bool {
        matches!(self, Self::AppService { .. })
    }

    pub(super) fn token_service(&self) -> TokenService<'_> {
        match self {
            Self::Imds(imds) => TokenService::At(&service::IMDS, &imds.0),
            Self::AppService { service, .. } => TokenService::At(&APP_SERVICE, &service.service),
        }
    }

    pub(super) fn header(&self) -> Option<&Secret> {
        match self {
            Self::Imds(_) => None,
            Self::AppService { header, .. } => Some(header),
        }
    }
}

values! {
    /// Where the instance metadata service is.
    ImdsUrl(Service): parse_imds,
        |service| service.endpoint.url(), { "type": "string", "minLength": 1 };
}

fn parse_imds(value: &str) -> Result<Service, Problem> {
    let (endpoint, path) = split_url(value, Scheme::Http)?;
    if path.is_some() {
        return Err(Problem::new(
            format!("is {}, which goes on after the host", quoted(value)),
            "Give scheme, host and port only.",
        ));
    }
    Service::at(in_clear(endpoint, value, DEFAULT_IMDS)?)
}

fn parse_app_service(value: &str) -> Result<PathService, Problem> {
    let (endpoint, path) = split_url(value, Scheme::Http)?;
    let service = Service::at(in_clear(endpoint, value, "the address of App Service")?)?;
    let path = path.ok_or_else(|| {
        Problem::new(
            format!("is {}, which has no path", quoted(value)),
            "The platform sets it, as http://127.0.0.1:41000/msi/token: leave it alone.",
        )
    })?;
    Ok(PathService { service, path })
}

fn in_clear(endpoint: Endpoint, value: &str, otherwise: &str) -> Result<Endpoint, Problem> {
    if endpoint.scheme == Scheme::Https {
        return Err(Problem::new(
            format!("is {}, but metadata services speak http", quoted(value)),
            format!("Write http://, or leave it unset for {otherwise}."),
        ));
    }
    Ok(endpoint)
}

/// Its value is never shown.
fn parse_header(value: &str) -> Result<Secret, Problem> {
    credential_text(CredentialKind::Secret, value.as_bytes())
        .map(|text| Secret::new(text.to_owned()))
        .map_err(|what| Problem::new(what, "The platform sets it: leave it alone."))
}

/// Whose managed identities the variables of a platform speak of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Platform<'a> {
    /// A virtual machine, AKS, or Container Instances: IMDS.
    Machine,
    /// App Service, Functions or Container Apps.
    AppService {
        endpoint: &'a str,
        header: &'a str,
    },
    /// One of them, without the key.
    AppServiceWithoutKey,
    ServiceFabric,
    Arc,
    MachineLearning,
    CloudShell,
}

impl<'a> Platform<'a> {
    /// In the order of the Azure SDKs (`ManagedIdentityCredential` of azure-identity for Python and
    /// Go). `IDENTITY_HEADER` alone names no endpoint: Container Instances set it, and serve IMDS
    /// (<https://github.com/MicrosoftDocs/azure-docs/issues/122273>).
    fn of(variables: &'a Variables) -> Self {
        let is_set = |name| variables.value(name).is_some();
        match (variables.value(ENDPOINT), variables.value(HEADER)) {
            (Some(_), Some(_)) if is_set(THUMBPRINT) => Self::ServiceFabric,
            (Some(endpoint), Some(header)) => Self::AppService { endpoint, header },
            (Some(_), None) if is_set(ARC) => Self::Arc,
            (Some(_), None) => Self::AppServiceWithoutKey,
            (None, _) if is_set(MSI_ENDPOINT) && is_set(MSI_SECRET) => Self::MachineLearning,
            (None, _) if is_set(MSI_ENDPOINT) => Self::CloudShell,
            (None, _) => Self::Machine,
        }
    }
}

impl<'a> Reader<'a> {
    fn platform(&self) -> Platform<'a> {
        Platform::of(self.variables)
    }

    /// As in the Azure SDKs, the variables of a platform go before IMDS.
    pub(super) fn metadata_service(&mut self) -> Option<MetadataService> {
        match self.platform() {
            Platform::AppService { endpoint, header } => {
                let service = self.note(ENDPOINT, parse_app_service(endpoint));
                let header = self.note(HEADER, parse_header(header));
                Some(MetadataService::AppService {
                    service: service?,
                    header: header?,
                })
            }
            Platform::Machine => self.imds().map(MetadataService::Imds),
            other => self.not_served(other),
        }
    }

    /// App Service wants a key file read, then a token, then the exchange: three calls, and a plan
    /// has two.
    pub(super) fn imds_for_federation(&mut self) -> Option<ImdsUrl> {
        match self.platform() {
            Platform::AppService { .. } | Platform::AppServiceWithoutKey => {
                let problem = Problem::new(
                    "is set, but IDENTITY_TYPE managedIdentityFederated is served with the \
                     instance metadata service only",
                    "Use systemAssigned or userAssigned here, or unset it where the instance \
                     metadata service answers.",
                );
                self.note(ENDPOINT, Err(problem))
            }
            Platform::Machine => self.imds(),
            other => self.not_served(other),
        }
    }

    /// Notes what is said of a platform whose managed identities cannot be asked for.
    fn not_served<T>(&mut self, platform: Platform<'_>) -> Option<T> {
        let (variable, problem) = match platform {
            Platform::Machine | Platform::AppService { .. } => return None,
            Platform::AppServiceWithoutKey => (HEADER, without_key()),
            Platform::ServiceFabric => (ENDPOINT, service_fabric()),
            Platform::Arc => (ENDPOINT, arc()),
            Platform::MachineLearning => (MSI_ENDPOINT, machine_learning()),
            Platform::CloudShell => (MSI_ENDPOINT, cloud_shell()),
        };
        self.note(variable, Err(problem))
    }

    fn imds(&mut self) -> Option<ImdsUrl> {
        let value = self.variables.value(IMDS).unwrap_or(DEFAULT_IMDS);
        self.note(IMDS, parse_imds(value)).map(ImdsUrl)
    }
}

fn without_key() -> Problem {
    Problem::new(
        "is not set, but IDENTITY_ENDPOINT is: App Service, Functions and Container Apps set both",
        "Pass both on, or unset IDENTITY_ENDPOINT to use the instance metadata service.",
    )
}

/// <https://learn.microsoft.com/azure/service-fabric/how-to-managed-identity-service-fabric-app-code>
fn service_fabric() -> Problem {
    Problem::new(
        "is that of Azure Service Fabric (IDENTITY_SERVER_THUMBPRINT is set, too), which is not \
         served: it has a certificate of its own that is known by its SHA-1 alone, by which Envoy \
         can check none",
        "Use aadApplication with a certificate in this service; or, where the instance metadata \
         service answers, unset IDENTITY_ENDPOINT, IDENTITY_HEADER and IDENTITY_SERVER_THUMBPRINT.",
    )
}

/// <https://learn.microsoft.com/azure/machine-learning/how-to-identity-based-service-authentication>
fn machine_learning() -> Problem {
    Problem::new(
        "is that of Azure Machine Learning (MSI_SECRET is set, too), which is not served: its \
         protocol is one that App Service has given up",
        "Use aadApplication; or, where the instance metadata service answers, unset MSI_ENDPOINT and \
         MSI_SECRET.",
    )
}

/// <https://learn.microsoft.com/azure/cloud-shell/msi-authorization>
fn cloud_shell() -> Problem {
    Problem::new(
        "is that of Azure Cloud Shell, which is not served: it gives tokens of the person who is \
         signed in, not of a machine",
        "Run the proxy elsewhere; or, where the instance metadata service answers, unset \
         MSI_ENDPOINT.",
    )
}

/// <https://learn.microsoft.com/azure/azure-arc/servers/managed-identity-authentication>
fn arc() -> Problem {
    Problem::new(
        "is that of Azure Arc, which is not served: it names a file that proves who asks only in \
         its answer to a first request, and nothing inside Envoy can open a file it learns of then",
        "Use aadApplication with a certificate on this machine; or, where the instance metadata \
         service answers, unset IDENTITY_ENDPOINT and IMDS_ENDPOINT.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imds_is_found_with_or_without_port_and_slash() {
        let cases = [
            (DEFAULT_IMDS, "169.254.169.254", 80),
            ("http://169.254.169.254/", "169.254.169.254", 80),
            ("http://127.0.0.1:4040", "127.0.0.1:4040", 4040),
            ("http://[fd00::1]:80", "[fd00::1]", 80),
            ("imds.example:8080", "imds.example:8080", 8080),
        ];
        for (value, authority, port) in cases {
            let service = parse_imds(value).unwrap();
            assert_eq!(
                (service.authority.as_str(), service.endpoint.port),
                (authority, port)
            );
        }
    }

    #[test]
    fn imds_by_https_or_with_a_path_is_refused() {
        for (value, reason) in [
            ("https://127.0.0.1", "speak http"),
            ("http://127.0.0.1/metadata", "goes on after the host"),
        ] {
            let problem = parse_imds(value).unwrap_err();
            assert!(problem.wrong.contains(reason), "{problem:?}");
        }
    }

    #[test]
    fn the_service_of_an_app_has_a_path() {
        let service = parse_app_service("http://172.16.0.1:8081/msi/token/").unwrap();
        assert_eq!(service.service.authority.as_str(), "172.16.0.1:8081");
        assert_eq!(service.path.as_str(), "/msi/token/");
        for (value, reason) in [
            ("https://127.0.0.1/msi/token", "speak http"),
            ("http://127.0.0.1:41000", "has no path"),
            ("http://127.0.0.1/msi/token?x=y", "holds a query"),
        ] {
            let problem = parse_app_service(value).unwrap_err();
            assert!(problem.wrong.contains(reason), "{problem:?}");
        }
    }
}
