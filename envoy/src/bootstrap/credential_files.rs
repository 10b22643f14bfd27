//! Serves files with secrets, assertions or a key to the filter. A plugin cannot open files, so an
//! internal listener responds with a file's content, which Envoy reads again when the file changes. Only
//! a cluster of this Envoy reaches the listener. The configuration contains only the files' paths.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{http, internal, numbered, typed, with};
use crate::settings::Settings;
use crate::settings::identity::{Application, Identity, MetadataService, Proof};

/// The name of the cluster and of the listener, which the filter's configuration uses, too.
pub(super) const CLUSTER: &str = "credential-files";

/// A file that is served.
#[derive(PartialEq, Eq)]
struct Served<'a> {
    kind: &'static str,
    /// The file's path; `None` for the file with the key of App Service, which the launcher writes.
    file: Option<&'a Path>,
}

/// The path of the file with the value of `IDENTITY_HEADER`.
#[must_use]
pub fn identity_header(run_dir: &Path) -> PathBuf {
    run_dir.join(IDENTITY_HEADER)
}

/// The name of the file with the value of `IDENTITY_HEADER`.
pub const IDENTITY_HEADER: &str = "identity-header";

/// The file that must be served for this identity.
fn served(identity: &Identity) -> Option<Served<'_>> {
    let (kind, file) = match identity {
        Identity::Managed(managed) => match managed.service {
            MetadataService::Imds(_) => return None,
            MetadataService::AppService { .. } => ("/identity-header", None),
        },
        Identity::Application(Application { proof, .. }) => match proof {
            Proof::Secret(file) => ("/client-secret", Some(file.as_path())),
            Proof::WorkloadIdentity(file) | Proof::ServiceAccountToken(file) => {
                ("/assertion", Some(file.as_path()))
            }
            Proof::Certificate(_) | Proof::ManagedIdentity { .. } | Proof::Tsiam(_) => {
                return None;
            }
        },
        Identity::Tsiam(_) => return None,
    };
    Some(Served { kind, file })
}

/// Every served file, once, with the path of requests for it.
fn routes(settings: &Settings) -> Vec<(String, Served<'_>)> {
    let mut routes: Vec<(String, Served<'_>)> = Vec::new();
    for served in settings
        .identities
        .iter()
        .filter_map(|it| served(&it.identity))
    {
        if routes.iter().any(|(_, other)| *other == served) {
            continue;
        }
        let of_its_kind = routes.iter().filter(|(_, other)| other.kind == served.kind);
        let route = numbered(served.kind, of_its_kind.count());
        routes.push((route, served));
    }
    routes
}

/// The path of requests for this identity's file.
pub(super) fn route(identity: &Identity, settings: &Settings) -> Option<String> {
    let wanted = served(identity)?;
    let mut routes = routes(settings).into_iter();
    routes
        .find(|(_, served)| *served == wanted)
        .map(|(route, _)| route)
}

fn is_needed(settings: &Settings) -> bool {
    !routes(settings).is_empty()
}

pub(super) fn listener(settings: &Settings, run_dir: &Path) -> Option<Value> {
    if !is_needed(settings) {
        return None;
    }
    let header = identity_header(run_dir);
    let answer = |(route, served): (String, Served<'_>)| {
        let file = served.file.unwrap_or(&header);
        json!({
            "match": { "path": route },
            "direct_response": { "status": 200, "body_format": content_of(file) },
        })
    };
    let routes: Vec<Value> = routes(settings).into_iter().map(answer).collect();
    let virtual_host = json!({
        "name": CLUSTER,
        "domains": ["*"],
        "routes": routes,
    });
    let manager = http::connection_manager(CLUSTER, &[virtual_host], Vec::new(), json!({}));
    Some(internal::listener(CLUSTER, &manager))
}

/// A response with the file's unmodified content. Envoy watches the file's directory, because files are
/// replaced by renaming: the file itself, or, in Kubernetes, the link `..data`.
fn content_of(file: &Path) -> Value {
    let directory = file.parent().unwrap_or(file);
    json!({
        "text_format_source": { "inline_string": format!(
            "%FILE_CONTENT({}:{})%",
            file.display(),
            directory.display()
        ) },
        "formatters": [typed(
            "envoy.formatter.file_content",
            "envoy.extensions.formatter.file_content.v3.FileContent",
            json!({}),
        )],
    })
}

pub(super) fn cluster(settings: &Settings) -> Option<Value> {
    is_needed(settings).then(|| {
        let cluster = json!({ "name": CLUSTER, "connect_timeout": "1s" });
        let cluster = with(cluster, internal::endpoints(CLUSTER, CLUSTER));
        let raw = typed(
            "envoy.transport_sockets.raw_buffer",
            "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer",
            json!({}),
        );
        let internal = typed(
            "envoy.transport_sockets.internal_upstream",
            "envoy.extensions.transport_sockets.internal_upstream.v3.InternalUpstreamTransport",
            json!({ "transport_socket": raw }),
        );
        with(cluster, json!({ "transport_socket": internal }))
    })
}
