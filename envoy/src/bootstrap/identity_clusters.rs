//! The clusters by which the filter asks for tokens and credentials. No route of a listener leads
//! to any of them.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::upstream::{IDLE_TIMEOUT, connections, endpoints};
use super::{credential_files, with};
use crate::settings::Settings;
use crate::settings::authority::Endpoint;
use crate::settings::identity::{Identity, MetadataService, Proof, Service, Sidecar};

/// Their names; the filter's configuration says them, too.
pub(super) const IMDS: &str = "imds";
pub(super) const APP_SERVICE: &str = "app-service";
pub(super) const ENTRA: &str = "entra";
pub(super) const TSIAM: &str = "tsiam";
pub(super) const TOKEN_SIDECAR: &str = "token-sidecar";

/// For TCP and TLS together, one lost packet included: the filter gives a call 4 s.
const CONNECT_TIMEOUT: &str = "3s";

/// Where the socket of our own token-sidecar is.
#[must_use]
pub fn sidecar_socket(run_dir: &Path) -> PathBuf {
    run_dir.join("sidecar.sock")
}

/// Those that this identity needs.
pub(super) fn clusters(settings: &Settings, run_dir: &Path) -> Vec<Value> {
    let remotes = remotes(&settings.identity).into_iter();
    let mut clusters: Vec<Value> = remotes
        .map(|(name, endpoint)| remote(name, endpoint, settings))
        .collect();
    clusters.extend(at_hand(&settings.identity, run_dir));
    clusters.extend(credential_files::cluster(&settings.identity));
    clusters
}

/// Whom this identity needs outside this machine.
pub(super) fn remotes(identity: &Identity) -> Vec<(&'static str, &Endpoint)> {
    match identity {
        Identity::Managed(_) => Vec::new(),
        Identity::Tsiam(tsiam) => vec![(TSIAM, &tsiam.service.endpoint)],
        Identity::Application(application) => {
            let mut remotes = vec![(ENTRA, &application.entra.endpoint)];
            if let Proof::Tsiam(tsiam) = &application.proof {
                remotes.push((TSIAM, &tsiam.service.endpoint));
            }
            remotes
        }
    }
}

/// Whom it needs on this machine: never through a proxy.
fn at_hand(identity: &Identity, run_dir: &Path) -> Option<Value> {
    match identity {
        Identity::Managed(managed) => Some(metadata_service(&managed.service)),
        Identity::Tsiam(_) => None,
        Identity::Application(application) => match &application.proof {
            Proof::ManagedIdentity { imds, .. } => Some(in_the_host(IMDS, imds)),
            Proof::Certificate(Sidecar::OfOthers(socket)) => Some(token_sidecar(socket)),
            Proof::Certificate(Sidecar::Own(_)) => Some(token_sidecar(&sidecar_socket(run_dir))),
            Proof::Tsiam(_)
            | Proof::Secret(_)
            | Proof::WorkloadIdentity(_)
            | Proof::ServiceAccountToken(_) => None,
        },
    }
}

fn metadata_service(service: &MetadataService) -> Value {
    match service {
        MetadataService::Imds(imds) => in_the_host(IMDS, imds),
        MetadataService::AppService { service, .. } => in_the_host(APP_SERVICE, &service.service),
    }
}

/// Straight to that address: no proxy, no TLS.
fn in_the_host(name: &str, service: &Service) -> Value {
    let cluster = json!({
        "name": name,
        // Inside the host: an answer to the first packet comes at once or not at all.
        "connect_timeout": "5s",
    });
    with(cluster, endpoints(name, &service.endpoint))
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

fn token_sidecar(socket: &Path) -> Value {
    json!({
        "name": TOKEN_SIDECAR,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {
            "cluster_name": TOKEN_SIDECAR,
            "endpoints": [{ "lb_endpoints": [{ "endpoint": {
                "address": { "pipe": { "path": socket } },
            } }] }],
        },
    })
}
