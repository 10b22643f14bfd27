//! The clusters through which the filter calls for tokens and credentials: one cluster for each service,
//! even if several identities use it. No route of a listener leads to these clusters.

use std::path::{Path, PathBuf};

use entra_auth_settings_input::Endpoint;
use serde_json::{Value, json};

use super::upstream::{IDLE_TIMEOUT, connections, endpoints};
use super::{credential_files, numbered, with};
use crate::settings::Settings;
use crate::settings::identity::{Application, Certificate, Identity, Service, TokenService};

/// The name of a service's cluster, which is also in the filter's configuration.
pub(super) fn name(service: TokenService<'_>, settings: &Settings) -> String {
    let of_its_kind = all(settings)
        .into_iter()
        .filter(|other| other.cluster() == service.cluster());
    let before = of_its_kind.take_while(|other| *other != service).count();
    numbered(service.cluster(), before)
}

/// The services of all identities, each once.
fn all(settings: &Settings) -> Vec<TokenService<'_>> {
    let mut all = Vec::new();
    for named in &settings.identities {
        for token_service in named.identity.services() {
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
        .filter_map(|token_service| Some((name(token_service, settings), token_service.remote()?)))
        .collect()
}

/// Whether a call for this identity's token goes through the forward proxy, and so through an internal
/// listener.
pub(super) fn calls_through_tunnel(identity: &Identity, settings: &Settings) -> bool {
    identity
        .services()
        .into_iter()
        .filter_map(TokenService::remote)
        .any(|endpoint| settings.proxy_to(endpoint).is_some())
}

/// A token-sidecar that the launcher starts.
#[derive(Debug)]
pub struct OwnSidecar<'a> {
    /// For whom it signs.
    pub application: &'a Application,
    /// With what.
    pub certificate: &'a Certificate,
    /// Where it listens.
    pub socket: PathBuf,
}

/// The token-sidecars that the launcher starts.
#[must_use]
pub fn sidecars<'a>(settings: &'a Settings, run_dir: &Path) -> Vec<OwnSidecar<'a>> {
    let mut sidecars = Vec::new();
    for service in all(settings) {
        if let TokenService::OwnSidecar(application, certificate) = service {
            sidecars.push(OwnSidecar {
                application,
                certificate,
                socket: own_socket(sidecars.len(), run_dir),
            });
        }
    }
    sidecars
}

/// The socket of a token-sidecar, of which `before` come before it in [`all`].
fn own_socket(before: usize, run_dir: &Path) -> PathBuf {
    run_dir.join(format!("{}.sock", numbered("sidecar", before)))
}

/// For TCP and TLS together, with room for one or two lost packets. A healthy service accepts a connection
/// at once; only its response may take longer (`TOKEN_REQUEST_TIMEOUT`).
const CONNECT_TIMEOUT: &str = "4s";

/// The clusters of all services.
pub(super) fn clusters(settings: &Settings, run_dir: &Path) -> Vec<Value> {
    let mut sidecars_before = 0;
    let cluster = |token_service: TokenService<'_>| {
        let name = name(token_service, settings);
        match token_service {
            TokenService::At(kind, service) if kind.is_remote => {
                remote(&name, &service.endpoint, settings)
            }
            TokenService::At(_, service) => local_service(&name, service, settings),
            TokenService::Sidecar(socket) => token_sidecar(&name, socket),
            TokenService::OwnSidecar(..) => {
                let socket = own_socket(sidecars_before, run_dir);
                sidecars_before += 1;
                token_sidecar(&name, &socket)
            }
        }
    };
    let mut clusters: Vec<Value> = all(settings).into_iter().map(cluster).collect();
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
