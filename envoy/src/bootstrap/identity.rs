//! An identity as the filter's configuration says it.

use entra_token_core::Audience;
use entra_token_core::config::{
    self, AppService, Authentication, ClusterName, Credential, Entra, Imds, Platform, Tsiam,
    UrlPath, WithCredential,
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::parsed;
use super::{credential_files, identity_clusters};
use crate::settings::Settings;
use crate::settings::identity::{
    APP_SERVICE, Application, CredentialFile, ENTRA, IMDS, Identity, MetadataService,
    NamedIdentity, PathService, Service, TSIAM, TokenService,
};

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
        via_internal_listener: identity.credential_file().is_some()
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
            Identity::SystemAssigned { service, .. } => Authentication::SystemAssigned {
                platform: self.platform(service),
            },
            Identity::UserAssigned {
                service, selector, ..
            } => Authentication::UserAssigned {
                platform: self.platform(service),
                selector: selector.clone(),
            },
            Identity::ClientSecret {
                application,
                secret_file,
            } => Authentication::ClientSecret(
                self.with_file(application, CredentialFile::Secret(&secret_file.0)),
            ),
            Identity::ClientCertificate {
                application,
                sidecar,
            } => Authentication::ClientCertificate(WithCredential {
                application: self.application(application),
                credential: at(
                    self.cluster(TokenService::sidecar(application, sidecar)),
                    assertion_for(application),
                ),
            }),
            Identity::WorkloadIdentity {
                application,
                token_file,
            } => Authentication::WorkloadIdentity(
                self.with_file(application, CredentialFile::Assertion(&token_file.0)),
            ),
            Identity::ServiceAccountToken {
                application,
                token_file,
            } => Authentication::ServiceAccountToken(
                self.with_file(application, CredentialFile::Assertion(&token_file.0)),
            ),
            Identity::ManagedIdentityFederated {
                application,
                imds,
                managed_identity,
            } => Authentication::ManagedIdentityFederated {
                application: self.application(application),
                imds: self.imds(&imds.0),
                managed_identity: managed_identity.clone(),
                exchange_audience: Some(exchange_audience(application)),
            },
            Identity::Tsiam { tsiam, .. } => Authentication::Tsiam {
                tsiam: self.tsiam(&tsiam.0),
            },
            Identity::TsiamFederated { application, tsiam } => Authentication::TsiamFederated {
                application: self.application(application),
                tsiam: self.tsiam(&tsiam.0),
                exchange_audience: Some(exchange_audience(application)),
            },
        }
    }

    fn platform(&self, service: &MetadataService) -> Platform {
        match service {
            MetadataService::Imds(imds) => Platform::Imds(self.imds(&imds.0)),
            MetadataService::AppService { service, .. } => Platform::AppService(AppService {
                cluster: self.cluster(TokenService::At(&APP_SERVICE, &service.service)),
                authority: service.service.authority.clone(),
                path: service.path.clone(),
                header: self.served(CredentialFile::IdentityHeader),
            }),
        }
    }

    fn application(&self, application: &Application) -> config::Application {
        let entra = &application.entra.0;
        config::Application {
            tenant_id: application.tenant.clone(),
            client_id: application.client_id.clone(),
            entra: Entra {
                cluster: self.cluster(TokenService::At(&ENTRA, entra)),
                authority: entra.authority.clone(),
                forward_proxy: forward_proxy(entra, self.settings),
            },
        }
    }

    fn with_file(&self, application: &Application, file: CredentialFile<'_>) -> WithCredential {
        WithCredential {
            application: self.application(application),
            credential: self.served(file),
        }
    }

    fn served(&self, file: CredentialFile<'_>) -> Credential {
        at(
            parsed(credential_files::CLUSTER),
            parsed(&credential_files::route(file, self.settings)),
        )
    }

    fn imds(&self, service: &Service) -> Imds {
        Imds {
            cluster: self.cluster(TokenService::At(&IMDS, service)),
            authority: service.authority.clone(),
        }
    }

    fn tsiam(&self, service: &PathService) -> Tsiam {
        Tsiam {
            cluster: self.cluster(TokenService::At(&TSIAM, &service.service)),
            authority: service.service.authority.clone(),
            path: service.path.clone(),
            forward_proxy: forward_proxy(&service.service, self.settings),
        }
    }

    fn cluster(&self, token_service: TokenService<'_>) -> ClusterName {
        parsed(&identity_clusters::name(token_service, self.settings))
    }
}

fn exchange_audience(application: &Application) -> Audience {
    parsed(application.cloud.0.exchange_audience())
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
