//! An identity as the filter's configuration says it.

use entra_token_core::config::{
    self, AppService, Authentication, ClusterName, Credential, Entra, Imds, Platform, Tsiam,
    UrlPath, WithCredential,
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::credential_files::Served;
use super::identity_clusters::TokenService;
use super::parsed;
use super::{credential_files, identity_clusters};
use crate::settings::Settings;
use crate::settings::identity::{
    Application, Identity, Managed, MetadataService, PathService, Proof, Service,
};
use crate::settings::target::NamedIdentity;

/// The `n`th identity of the settings.
pub(super) fn configuration(
    n: usize,
    named: &NamedIdentity,
    settings: &Settings,
) -> config::Identity {
    let identity = &named.identity;
    config::Identity {
        name: named.name.clone(),
        authentication: Writer { settings }.authentication(identity),
        via_internal_listener: Served::of(identity).is_some()
            || identity_clusters::calls_through_tunnel(identity, settings),
        setting_names: Some(settings.terms.of_identity(n, identity)),
    }
}

/// Writes one identity among all, which share clusters and routes.
struct Writer<'a> {
    settings: &'a Settings,
}

impl Writer<'_> {
    fn authentication(&self, identity: &Identity) -> Authentication {
        match identity {
            Identity::Managed(Managed { service, selector }) => {
                let platform = self.platform(service);
                match selector.clone() {
                    None => Authentication::SystemAssigned { platform },
                    Some(selector) => Authentication::UserAssigned { platform, selector },
                }
            }
            Identity::Application(application) => self.of_application(application),
            Identity::Tsiam(service) => Authentication::Tsiam {
                tsiam: self.tsiam(service),
            },
        }
    }

    fn of_application(&self, it: &Application) -> Authentication {
        let with = |credential| WithCredential {
            application: self.application(it),
            credential,
        };
        let exchange_audience = Some(parsed(it.cloud.exchange_audience()));
        match &it.proof {
            Proof::Secret(file) => {
                Authentication::ClientSecret(with(self.served(Served::secret(file))))
            }
            Proof::WorkloadIdentity(file) => {
                Authentication::WorkloadIdentity(with(self.served(Served::assertion(file))))
            }
            Proof::ServiceAccountToken(file) => {
                Authentication::ServiceAccountToken(with(self.served(Served::assertion(file))))
            }
            Proof::Certificate(sidecar) => Authentication::ClientCertificate(with(at(
                self.cluster(TokenService::sidecar(it, sidecar)),
                assertion_for(it),
            ))),
            Proof::ManagedIdentity { imds, selector } => Authentication::ManagedIdentityFederated {
                application: self.application(it),
                imds: self.imds(imds),
                managed_identity: selector.clone(),
                exchange_audience,
            },
            Proof::Tsiam(service) => Authentication::TsiamFederated {
                application: self.application(it),
                tsiam: self.tsiam(service),
                exchange_audience,
            },
        }
    }

    fn platform(&self, service: &MetadataService) -> Platform {
        match service {
            MetadataService::Imds(service) => Platform::Imds(self.imds(service)),
            MetadataService::AppService { service, .. } => Platform::AppService(AppService {
                cluster: self.cluster(TokenService::AppService(&service.service)),
                authority: service.service.authority.clone(),
                path: service.path.clone(),
                header: self.served(Served::IDENTITY_HEADER),
            }),
        }
    }

    fn application(&self, application: &Application) -> config::Application {
        config::Application {
            tenant_id: application.tenant.clone(),
            client_id: application.client_id.clone(),
            entra: Entra {
                cluster: self.cluster(TokenService::Entra(&application.entra)),
                authority: application.entra.authority.clone(),
                forward_proxy: forward_proxy(&application.entra, self.settings),
            },
        }
    }

    fn served(&self, file: Served<'_>) -> Credential {
        at(
            parsed(credential_files::CLUSTER),
            parsed(&file.route(self.settings)),
        )
    }

    fn imds(&self, service: &Service) -> Imds {
        Imds {
            cluster: self.cluster(TokenService::Imds(service)),
            authority: service.authority.clone(),
        }
    }

    fn tsiam(&self, service: &PathService) -> Tsiam {
        Tsiam {
            cluster: self.cluster(TokenService::tsiam(service)),
            authority: service.service.authority.clone(),
            path: service.path.clone(),
            forward_proxy: forward_proxy(&service.service, self.settings),
        }
    }

    fn cluster(&self, token_service: TokenService<'_>) -> ClusterName {
        parsed(&token_service.cluster(self.settings))
    }
}

/// The token-sidecar signs for the endpoint that it was told of, to the letter.
fn assertion_for(application: &Application) -> UrlPath {
    let endpoint = application.token_endpoint();
    let audience = utf8_percent_encode(&endpoint, NON_ALPHANUMERIC);
    parsed(&format!("/assertion?audience={audience}"))
}

fn at(cluster: ClusterName, path: UrlPath) -> Credential {
    Credential {
        cluster,
        authority: parsed("localhost"),
        path: Some(path),
    }
}

fn forward_proxy(service: &Service, settings: &Settings) -> Option<config::Authority> {
    let proxy = settings.proxy_to(&service.endpoint)?;
    Some(parsed(&proxy.address()))
}
