//! An identity as the filter's configuration says it.

use entra_token_core::config::{
    self, AppService, ClusterName, Credential, Entra, IdentityType, Imds, Tsiam, UrlPath,
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::identity_clusters::TokenService;
use super::parsed;
use super::{credential_files, identity_clusters};
use crate::settings::Settings;
use crate::settings::identity::{
    Application, Identity, Managed, MetadataService, PathService, Proof, Selector, Service,
};
use crate::settings::target::NamedIdentity;

/// The `n`th identity of the settings.
pub(super) fn configuration(
    n: usize,
    named: &NamedIdentity,
    settings: &Settings,
) -> config::Identity {
    let writer = Writer { named, settings };
    let configuration = match &named.identity {
        Identity::Managed(managed) => writer.managed(managed),
        Identity::Application(application) => writer.application(application),
        Identity::Tsiam(service) => config::Identity {
            tsiam: Some(writer.tsiam(service)),
            ..writer.bare(IdentityType::Tsiam)
        },
    };
    config::Identity {
        setting_names: Some(settings.terms.of_identity(n, &named.identity)),
        ..configuration
    }
}

/// One identity among all, which share clusters and routes.
struct Writer<'a> {
    named: &'a NamedIdentity,
    settings: &'a Settings,
}

impl Writer<'_> {
    fn bare(&self, kind: IdentityType) -> config::Identity {
        config::Identity {
            name: self.named.name.clone(),
            kind,
            tenant_id: None,
            client_id: None,
            object_id: None,
            resource_id: None,
            imds: None,
            app_service: None,
            managed_identity: None,
            exchange_audience: None,
            entra: None,
            credential: None,
            tsiam: None,
            via_internal_listener: credential_files::route(&self.named.identity, self.settings)
                .is_some()
                || identity_clusters::calls_through_tunnel(&self.named.identity, self.settings),
            setting_names: None,
        }
    }

    fn managed(&self, managed: &Managed) -> config::Identity {
        let mut configuration = self.bare(match managed.selector {
            None => IdentityType::SystemAssigned,
            Some(_) => IdentityType::UserAssigned,
        });
        match &managed.selector {
            None => {}
            Some(Selector::ClientId(id)) => configuration.client_id = Some(id.clone()),
            Some(Selector::ObjectId(id)) => configuration.object_id = Some(id.clone()),
            Some(Selector::ResourceId(id)) => configuration.resource_id = Some(id.clone()),
        }
        match &managed.service {
            MetadataService::Imds(service) => configuration.imds = Some(self.imds(service)),
            MetadataService::AppService { service, .. } => {
                configuration.app_service = self.credential().map(|header| AppService {
                    cluster: self.cluster(TokenService::AppService(&service.service)),
                    authority: service.service.authority.clone(),
                    path: service.path.clone(),
                    header,
                });
            }
        }
        configuration
    }

    fn application(&self, application: &Application) -> config::Identity {
        let exchange_audience = || Some(parsed(application.cloud.exchange_audience()));
        let base = |kind| config::Identity {
            tenant_id: Some(application.tenant.clone()),
            client_id: Some(application.client_id.clone()),
            entra: Some(Entra {
                cluster: self.cluster(TokenService::Entra(&application.entra)),
                authority: application.entra.authority.clone(),
                forward_proxy: forward_proxy(&application.entra, self.settings),
            }),
            ..self.bare(kind)
        };
        let with_file = |kind| config::Identity {
            credential: self.credential(),
            ..base(kind)
        };
        match &application.proof {
            Proof::Secret(_) => with_file(IdentityType::ClientSecret),
            Proof::WorkloadIdentity(_) => with_file(IdentityType::WorkloadIdentity),
            Proof::ServiceAccountToken(_) => with_file(IdentityType::ServiceAccountToken),
            Proof::Certificate(sidecar) => config::Identity {
                credential: Some(at(
                    self.cluster(TokenService::sidecar(application, sidecar)),
                    assertion_for(application),
                )),
                ..base(IdentityType::ClientCertificate)
            },
            Proof::ManagedIdentity {
                imds: service,
                selector,
            } => config::Identity {
                imds: Some(self.imds(service)),
                managed_identity: selector.as_ref().map(selected),
                exchange_audience: exchange_audience(),
                ..base(IdentityType::ManagedIdentityFederated)
            },
            Proof::Tsiam(service) => config::Identity {
                tsiam: Some(self.tsiam(service)),
                exchange_audience: exchange_audience(),
                ..base(IdentityType::TsiamFederated)
            },
        }
    }

    fn credential(&self) -> Option<Credential> {
        credential_files::route(&self.named.identity, self.settings)
            .map(|route| at(parsed(credential_files::CLUSTER), parsed(&route)))
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

fn selected(selector: &Selector) -> config::Selector {
    let (client_id, object_id, resource_id) = match selector {
        Selector::ClientId(id) => (Some(id.clone()), None, None),
        Selector::ObjectId(id) => (None, Some(id.clone()), None),
        Selector::ResourceId(id) => (None, None, Some(id.clone())),
    };
    config::Selector {
        client_id,
        object_id,
        resource_id,
    }
}
