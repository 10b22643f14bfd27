//! The clusters by which the filter asks for tokens and credentials: one for each service, however
//! many identities ask it. No route of a listener leads to any of them.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::upstream::{IDLE_TIMEOUT, connections, endpoints};
use super::{credential_files, numbered, with};
use crate::settings::Settings;
use crate::settings::authority::Endpoint;
use crate::settings::identity::{
    Application, Identity, MetadataService, PathService, Proof, Service, Sidecar,
};

/// Somebody who is asked for tokens or credentials.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked<'a> {
    Imds(&'a Service),
    AppService(&'a Service),
    Entra(&'a Service),
    Tsiam(&'a Service),
    /// A token-sidecar of the launcher's, which signs for this application.
    OwnSidecar(&'a Application),
    /// One that somebody else runs, by its socket.
    Sidecar(&'a Path),
}

impl<'a> Asked<'a> {
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

    fn kind(self) -> &'static str {
        match self {
            Self::Imds(_) => "imds",
            Self::AppService(_) => "app-service",
            Self::Entra(_) => "entra",
            Self::Tsiam(_) => "tsiam",
            Self::OwnSidecar(_) | Self::Sidecar(_) => "token-sidecar",
        }
    }

    /// Its cluster's name, which the filter's configuration says, too.
    pub(super) fn cluster(self, settings: &Settings) -> String {
        let of_its_kind = all(settings)
            .into_iter()
            .filter(|other| other.kind() == self.kind());
        let before = of_its_kind.take_while(|other| *other != self).count();
        numbered(self.kind(), before)
    }
}

/// Everybody whom an identity asks.
fn asked_by(identity: &Identity) -> Vec<Asked<'_>> {
    match identity {
        Identity::Managed(managed) => vec![Asked::metadata_service(&managed.service)],
        Identity::Tsiam(tsiam) => vec![Asked::tsiam(tsiam)],
        Identity::Application(application) => {
            let mut asked = vec![Asked::Entra(&application.entra)];
            asked.extend(match &application.proof {
                Proof::ManagedIdentity { imds, .. } => Some(Asked::Imds(imds)),
                Proof::Tsiam(tsiam) => Some(Asked::tsiam(tsiam)),
                Proof::Certificate(sidecar) => Some(Asked::sidecar(application, sidecar)),
                Proof::Secret(_) | Proof::WorkloadIdentity(_) | Proof::ServiceAccountToken(_) => {
                    None
                }
            });
            asked
        }
    }
}

/// Everybody who is asked, each once.
fn all(settings: &Settings) -> Vec<Asked<'_>> {
    let mut all = Vec::new();
    for named in &settings.identities {
        for asked in asked_by(&named.identity) {
            if !all.contains(&asked) {
                all.push(asked);
            }
        }
    }
    all
}

/// Those outside this machine, each with its cluster's name.
pub(super) fn remotes(settings: &Settings) -> Vec<(String, &Endpoint)> {
    all(settings)
        .into_iter()
        .filter_map(|asked| match asked {
            Asked::Entra(service) | Asked::Tsiam(service) => {
                Some((asked.cluster(settings), &service.endpoint))
            }
            Asked::Imds(_) | Asked::AppService(_) | Asked::OwnSidecar(_) | Asked::Sidecar(_) => {
                None
            }
        })
        .collect()
}

/// Whether a call for this identity's token goes through the forward proxy, by an internal listener.
pub(super) fn asks_through_a_tunnel(identity: &Identity, settings: &Settings) -> bool {
    asked_by(identity).into_iter().any(|asked| match asked {
        Asked::Entra(service) | Asked::Tsiam(service) => {
            settings.proxy_to(&service.endpoint).is_some()
        }
        Asked::Imds(_) | Asked::AppService(_) | Asked::OwnSidecar(_) | Asked::Sidecar(_) => false,
    })
}

/// The applications for which a token-sidecar of the launcher's signs, each with its socket.
#[must_use]
pub fn sidecars<'a>(settings: &'a Settings, run_dir: &Path) -> Vec<(&'a Application, PathBuf)> {
    let own = all(settings).into_iter().filter_map(|asked| match asked {
        Asked::OwnSidecar(application) => Some(application),
        _ => None,
    });
    own.enumerate()
        .map(|(before, application)| {
            let name = format!("{}.sock", numbered("sidecar", before));
            (application, run_dir.join(name))
        })
        .collect()
}

/// For TCP and TLS together, one or two lost packets included: who is there takes a connection, and
/// only the answer may take longer (`TOKEN_REQUEST_TIMEOUT`).
const CONNECT_TIMEOUT: &str = "4s";

/// All of them.
pub(super) fn clusters(settings: &Settings, run_dir: &Path) -> Vec<Value> {
    let own = sidecars(settings, run_dir);
    let socket = |application: &Application| {
        own.iter()
            .find(|(signed_for, _)| *signed_for == application)
            .map(|(_, socket)| socket.as_path())
    };
    let cluster = |asked: Asked<'_>| {
        let name = asked.cluster(settings);
        Some(match asked {
            Asked::Imds(service) | Asked::AppService(service) => {
                in_the_host(&name, service, settings)
            }
            Asked::Entra(service) | Asked::Tsiam(service) => {
                remote(&name, &service.endpoint, settings)
            }
            Asked::Sidecar(socket) => token_sidecar(&name, socket),
            Asked::OwnSidecar(application) => token_sidecar(&name, socket(application)?),
        })
    };
    let mut clusters: Vec<Value> = all(settings).into_iter().filter_map(cluster).collect();
    clusters.extend(credential_files::cluster(settings));
    clusters
}

/// Straight to that address: no proxy, no TLS.
fn in_the_host(name: &str, service: &Service, settings: &Settings) -> Value {
    let cluster = json!({
        "name": name,
        "connect_timeout": CONNECT_TIMEOUT,
    });
    with(cluster, endpoints(name, &service.endpoint, settings))
}

/// To a service of its own, by TLS and HTTP/1.1.
fn remote(name: &str, endpoint: &Endpoint, settings: &Settings) -> Value {
    let cluster = json!({
        "name": name,
        "connect_timeout": CONNECT_TIMEOUT,
        // Envoy opens the listeners without an answer from DNS: probes and metrics must not wait.
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
