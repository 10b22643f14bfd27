//! Whom a managed identity's tokens are asked of: the instance metadata service (IMDS) of a
//! virtual machine, or the service of App Service, Functions and Container Apps. Both are http by
//! nature: addresses inside the host.

use entra_token_core::Secret;
use entra_token_core::identity::{CredentialKind, credential_text};

use super::service::{PathService, Service, split_url};
use crate::settings::Reader;
use crate::settings::authority::{Endpoint, Scheme};
use crate::settings::mistake::{Problem, quoted};

const IMDS: &str = "AZURE_POD_IDENTITY_AUTHORITY_HOST";
const ENDPOINT: &str = "IDENTITY_ENDPOINT";
const HEADER: &str = "IDENTITY_HEADER";
/// Set beside `IDENTITY_ENDPOINT` by Azure Arc, and there alone.
const ARC: &str = "IMDS_ENDPOINT";

/// Where IMDS is unless the variable says otherwise (Azure: "Instance Metadata Service").
const DEFAULT_IMDS: &str = "http://169.254.169.254";

/// A service that gives a managed identity's tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MetadataService {
    /// IMDS.
    Imds(Service),
    /// The one of App Service, Functions and Container Apps.
    AppService {
        /// Where it is.
        service: PathService,
        /// What proves to it that whoever asks can read the app's environment.
        header: Secret,
    },
}

pub(in crate::settings) fn parse_imds(value: &str) -> Result<Service, Problem> {
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

impl Reader<'_> {
    /// As in the Azure SDKs, the variables of App Service go before IMDS.
    pub(in crate::settings) fn metadata_service(&mut self) -> Option<MetadataService> {
        let endpoint = self.variables.value(ENDPOINT);
        let header = self.variables.value(HEADER);
        match (endpoint, header) {
            (None, None) => self.imds().map(MetadataService::Imds),
            (Some(endpoint), Some(header)) => {
                let service = self.note(ENDPOINT, parse_app_service(endpoint));
                let header = self.note(HEADER, parse_header(header));
                Some(MetadataService::AppService {
                    service: service?,
                    header: header?,
                })
            }
            (Some(_), None) if self.variables.value(ARC).is_some() => {
                self.note(ENDPOINT, Err(arc()))
            }
            (Some(_), None) => {
                let problem = half(ENDPOINT);
                self.note(HEADER, Err(problem))
            }
            (None, Some(_)) => {
                let problem = half(HEADER);
                self.note(ENDPOINT, Err(problem))
            }
        }
    }

    /// App Service wants a key file read, then a token, then the exchange: three calls, and a plan
    /// has two.
    pub(in crate::settings) fn imds_for_federation(&mut self) -> Option<Service> {
        if self.variables.value(ENDPOINT).is_some() {
            let problem = Problem::new(
                "is set, but IDENTITY_TYPE managedIdentityFederated is served with the instance \
                 metadata service only",
                "Use systemAssigned or userAssigned here, or unset it where the instance metadata \
                 service answers.",
            );
            return self.note(ENDPOINT, Err(problem));
        }
        self.imds()
    }

    fn imds(&mut self) -> Option<Service> {
        let value = self.variables.value(IMDS).unwrap_or(DEFAULT_IMDS);
        self.note(IMDS, parse_imds(value))
    }
}

fn half(other: &str) -> Problem {
    Problem::new(
        format!("is not set, but {other} is: App Service, Functions and Container Apps set both"),
        format!("Pass both on, or unset {other} to use the instance metadata service."),
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
