//! Serves files with secrets, assertions or a key to the filter. A plugin cannot open files, so an
//! internal listener responds with a file's content, which Envoy reads again when the file changes. Only
//! a cluster of this Envoy reaches the listener. The configuration contains only the files' paths.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{http, internal, numbered, typed, with};
use crate::settings::Settings;
use crate::settings::identity::CredentialFile;

/// The name of the cluster and of the listener, which the filter's configuration uses, too.
pub(super) const CLUSTER: &str = "credential-files";

/// Where the value of `IDENTITY_HEADER` is put.
#[must_use]
pub fn identity_header(run_dir: &Path) -> PathBuf {
    run_dir.join(IDENTITY_HEADER)
}

/// The name of the file with the value of `IDENTITY_HEADER`.
pub const IDENTITY_HEADER: &str = "identity-header";

/// The files of all identities, each once.
fn all(settings: &Settings) -> Vec<CredentialFile<'_>> {
    let mut all = Vec::new();
    for named in &settings.identities {
        if let Some(file) = named.identity.credential_file()
            && !all.contains(&file)
        {
            all.push(file);
        }
    }
    all
}

fn kind(file: CredentialFile<'_>) -> &'static str {
    match file {
        CredentialFile::Secret(_) => "/client-secret",
        CredentialFile::Assertion(_) => "/assertion",
        CredentialFile::IdentityHeader => "/identity-header",
    }
}

/// The path of requests for a file.
pub(super) fn route(file: CredentialFile<'_>, settings: &Settings) -> String {
    let kind_of_file = kind(file);
    let of_its_kind = all(settings)
        .into_iter()
        .filter(|other| kind(*other) == kind_of_file);
    let before = of_its_kind.take_while(|other| *other != file).count();
    numbered(kind_of_file, before)
}

fn is_needed(settings: &Settings) -> bool {
    !all(settings).is_empty()
}

pub(super) fn listener(settings: &Settings, run_dir: &Path) -> Option<Value> {
    if !is_needed(settings) {
        return None;
    }
    let header = identity_header(run_dir);
    let answer = |file: CredentialFile<'_>| {
        let path = match file {
            CredentialFile::Secret(path) | CredentialFile::Assertion(path) => path,
            CredentialFile::IdentityHeader => &header,
        };
        json!({
            "match": { "path": route(file, settings) },
            "direct_response": { "status": 200, "body_format": content_of(path) },
        })
    };
    let routes: Vec<Value> = all(settings).into_iter().map(answer).collect();
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
