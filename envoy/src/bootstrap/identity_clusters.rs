//! The clusters through which the filter calls for tokens and credentials: one cluster for each service,
//! even if several identities use it. No route of a listener leads to these clusters.

use std::path::{Path, PathBuf};

use entra_auth_settings_input::Endpoint;
use serde_json::{Value, json};

use super::upstream::{IDLE_TIMEOUT, connections, endpoints};
use super::{credential_files, numbered, with};
use crate::settings::Settings;
use crate::settings::identity::{
    Application, Identity, MetadataService, PathService, Proof, Service, Sidecar,
};

/// A service that the filter calls for tokens or credentials.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenService<'a> {
    Imds(&'a Service),
    AppService(&'a Service),
    Entra(&'a Service),
    Tsiam(&'a Service),
    /// The token-sidecar that the launcher starts for this application.
    OwnSidecar(&'a Application),
    /// A token-sidecar that the user runs, by its socket.
    Sidecar(&'a Path),
}

impl<'a> TokenService<'a> {
    pub(super) fn tsiam(tsiam: &'a PathService) -> Self {
        Self::Tsiam(&tsiam.service)
    }

    pub(super) fn metadata_service(service: &'a MetadataService) -> Self {
        match service {
            MetadataService::Imds(imds) => Self::Imds(imds),
            MetadataService::AppService { service, .. } => Self::AppService(&service.service),
        }
    }

    pub(super) fn sidecar(application: &'a Application, sidecar: &'a Sidecar) -> Self {
        match sidecar {
            Sidecar::OfOthers(socket) => Self::Sidecar(socket),
            Sidecar::Own(_) => Self::OwnSidecar(application),
        }
    }

    /// The endpoint of a service outside of this machine.
    fn remote(self) -> Option<&'a Endpoint> {
        match self {
            Self::Entra(service) | Self::Tsiam(service) => Some(&service.endpoint),
            Self::Imds(_) | Self::AppService(_) | Self::OwnSidecar(_) | Self::Sidecar(_) => None,
        }
    }

    fn kind(self) -> &'static str {
        match self {
            Self::Imds(_) => "imds",
            Self::AppService(_) => "app-service",
            Self::Entra(_) => "entra",
            Self::Tsiam(_) => "tsiam",
            Self::OwnSidecar(_) | Self::Sidecar(_) => "token-sidecar",
        }
    }

    /// The name of the service's cluster, which is also in the filter's configuration.
    pub(super) fn cluster(self, settings: &Settings) -> String {
        let of_its_kind = all(settings)
            .into_iter()
            .filter(|other| other.kind() == self.kind());
        let before = of_its_kind.take_while(|other| *other != self).count();
        numbered(self.kind(), before)
    }
}

/// The services that an identity needs.
fn services_of(identity: &Identity) -> Vec<TokenService<'_>> {
    match identity {
        Identity::Managed(managed) => vec![TokenService::metadata_service(&managed.service)],
        Identity::Tsiam(tsiam) => vec![TokenService::tsiam(tsiam)],
        Identity::Application(application) => {
            let mut services = vec![TokenService::Entra(&application.entra)];
            services.extend(match &application.proof {
                Proof::ManagedIdentity { imds, .. } => Some(TokenService::Imds(imds)),
                Proof::Tsiam(tsiam) => Some(TokenService::tsiam(tsiam)),
                Proof::Certificate(sidecar) => Some(TokenService::sidecar(application, sidecar)),
                Proof::Secret(_) | Proof::WorkloadIdentity(_) | Proof::ServiceAccountToken(_) => {
                    None
                }
            });
            services
        }
    }
}

/// The services of all identities, each once.
fn all(settings: &Settings) -> Vec<TokenService<'_>> {
    let mut all = Vec::new();
    for named in &settings.identities {
        for token_service in services_of(&named.identity) {
            if !all.contains(&token_service) {
                all.push(token_service);
            }
        }
    }
    all
}

/// The services outside of this machine, each with the name of its cluster.
pub(super) fn remotes(settings: &Settings) -> Vec<(String, &Endpoint)> {
    all(settings)
        .into_iter()
        .filter_map(|token_service| {
            Some((token_service.cluster(settings), token_service.remote()?))
        })
        .collect()
}

/// Whether a call for this identity's token goes through the forward proxy, and so through an internal
/// listener.
pub(super) fn calls_through_tunnel(identity: &Identity, settings: &Settings) -> bool {
    services_of(identity)
        .into_iter()
        .filter_map(TokenService::remote)
        .any(|endpoint| settings.proxy_to(endpoint).is_some())
}

/// The applications for which the launcher starts a token-sidecar, each with the sidecar's socket.
#[must_use]
pub fn sidecars<'a>(settings: &'a Settings, run_dir: &Path) -> Vec<(&'a Application, PathBuf)> {
    let own = all(settings)
        .into_iter()
        .filter_map(|token_service| match token_service {
            TokenService::OwnSidecar(application) => Some(application),
            _ => None,
        });
    own.enumerate()
        .map(|(before, application)| {
            let name = format!("{}.sock", numbered("sidecar", before));
            (application, run_dir.join(name))
        })
        .collect()
}

/// For TCP and TLS together, with room for one or two lost packets. A healthy service accepts a connection
/// at once; only its response may take longer (`TOKEN_REQUEST_TIMEOUT`).
const CONNECT_TIMEOUT: &str = "4s";

/// The clusters of all services.
pub(super) fn clusters(settings: &Settings, run_dir: &Path) -> Vec<Value> {
    let own = sidecars(settings, run_dir);
    let socket = |application: &Application| {
        own.iter()
            .find(|(signed_for, _)| *signed_for == application)
            .map(|(_, socket)| socket.as_path())
    };
    let cluster = |token_service: TokenService<'_>| {
        let name = token_service.cluster(settings);
        Some(match token_service {
            TokenService::Imds(service) | TokenService::AppService(service) => {
                local_service(&name, service, settings)
            }
            TokenService::Entra(service) | TokenService::Tsiam(service) => {
                remote(&name, &service.endpoint, settings)
            }
            TokenService::Sidecar(socket) => token_sidecar(&name, socket),
            TokenService::OwnSidecar(application) => token_sidecar(&name, socket(application)?),
        })
    };
    let mut clusters: Vec<Value> = all(settings).into_iter().filter_map(cluster).collect();
    clusters.extend(credential_files::cluster(settings));
    clusters
}

/// A cluster for a service of this host: without the forward proxy and without TLS.
fn local_service(name: &str, service: &Service, settings: &Settings) -> Value {
    let cluster = json!({
        "name": name,
        "connect_timeout": CONNECT_TIMEOUT,
    });
    with(cluster, endpoints(name, &service.endpoint, settings))
}

/// A cluster for a service elsewhere, with TLS and HTTP/1.1.
fn remote(name: &str, endpoint: &Endpoint, settings: &Settings) -> Value {
    let cluster = json!({
        "name": name,
        "connect_timeout": CONNECT_TIMEOUT,
        // Envoy must open its listeners before DNS answers: probes and metrics must not wait.
        "wait_for_warm_on_init": false,
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "common_http_protocol_options": { "idle_timeout": IDLE_TIMEOUT },
                "explicit_http_config": { "http_protocol_options": {} },
            },
        },
    });
    with(cluster, connections(name, endpoint, settings))
}

fn token_sidecar(name: &str, socket: &Path) -> Value {
    json!({
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{ "lb_endpoints": [{ "endpoint": {
                "address": { "pipe": { "path": socket } },
            } }] }],
        },
    })
}
