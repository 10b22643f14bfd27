//! The identity as the filter's configuration says it.

use entra_token_core::config::{
    self, AppService, Credential, Entra, IdentityType, Imds, Tsiam, UrlPath,
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::credential_files::{self, served};
use super::identity_clusters::{APP_SERVICE, ENTRA, IMDS, TOKEN_SIDECAR, TSIAM};
use super::parsed;
use crate::settings::Settings;
use crate::settings::identity::{
    Application, Identity, Managed, MetadataService, PathService, Proof, Selector, Service,
};

/// Its name, in metrics and `/status`.
pub(super) const NAME: &str = "default";

pub(super) fn configuration(settings: &Settings) -> config::Identity {
    let identity = &settings.identity;
    match identity {
        Identity::Managed(managed) => of_managed(managed, identity),
        Identity::Application(application) => of_application(application, settings),
        Identity::Tsiam(service) => config::Identity {
            tsiam: Some(tsiam(service, settings)),
            ..bare(IdentityType::Tsiam)
        },
    }
}

fn bare(kind: IdentityType) -> config::Identity {
    config::Identity {
        name: parsed(NAME),
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
    }
}

fn of_managed(managed: &Managed, identity: &Identity) -> config::Identity {
    let mut configuration = bare(match managed.selector {
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
        MetadataService::Imds(service) => configuration.imds = Some(imds(service)),
        MetadataService::AppService { service, .. } => {
            configuration.app_service = credential(identity).map(|header| AppService {
                cluster: parsed(APP_SERVICE),
                authority: service.service.authority.clone(),
                path: service.path.clone(),
                header,
            });
        }
    }
    configuration
}

fn of_application(application: &Application, settings: &Settings) -> config::Identity {
    let exchange_audience = || Some(parsed(application.cloud.exchange_audience()));
    let base = |kind| config::Identity {
        tenant_id: Some(application.tenant.clone()),
        client_id: Some(application.client_id.clone()),
        entra: Some(Entra {
            cluster: parsed(ENTRA),
            authority: application.entra.authority.clone(),
            forward_proxy: forward_proxy(&application.entra, settings),
        }),
        ..bare(kind)
    };
    let with_file = |kind| config::Identity {
        credential: credential(&settings.identity),
        ..base(kind)
    };
    match &application.proof {
        Proof::Secret(_) => with_file(IdentityType::ClientSecret),
        Proof::WorkloadIdentity(_) => with_file(IdentityType::WorkloadIdentity),
        Proof::ServiceAccountToken(_) => with_file(IdentityType::ServiceAccountToken),
        Proof::Certificate(_) => config::Identity {
            credential: Some(at(TOKEN_SIDECAR, assertion_for(application))),
            ..base(IdentityType::ClientCertificate)
        },
        Proof::ManagedIdentity {
            imds: service,
            selector,
        } => config::Identity {
            imds: Some(imds(service)),
            managed_identity: selector.as_ref().map(selected),
            exchange_audience: exchange_audience(),
            ..base(IdentityType::ManagedIdentityFederated)
        },
        Proof::Tsiam(service) => config::Identity {
            tsiam: Some(tsiam(service, settings)),
            exchange_audience: exchange_audience(),
            ..base(IdentityType::TsiamFederated)
        },
    }
}

/// The token-sidecar signs for the endpoint that it was told of, to the letter.
fn assertion_for(application: &Application) -> UrlPath {
    let endpoint = application.token_endpoint();
    let audience = utf8_percent_encode(&endpoint, NON_ALPHANUMERIC);
    parsed(&format!("/assertion?audience={audience}"))
}

fn credential(identity: &Identity) -> Option<Credential> {
    served(identity).map(|served| at(credential_files::CLUSTER, parsed(served.route)))
}

fn at(cluster: &'static str, path: UrlPath) -> Credential {
    Credential {
        cluster: parsed(cluster),
        authority: parsed("localhost"),
        path: Some(path),
    }
}

fn imds(service: &Service) -> Imds {
    Imds {
        cluster: parsed(IMDS),
        authority: service.authority.clone(),
    }
}

fn tsiam(service: &PathService, settings: &Settings) -> Tsiam {
    Tsiam {
        cluster: parsed(TSIAM),
        authority: service.service.authority.clone(),
        path: service.path.clone(),
        forward_proxy: forward_proxy(&service.service, settings),
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
