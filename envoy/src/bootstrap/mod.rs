//! Builds Envoy's bootstrap from checked [`Settings`]; each submodule builds one part. The bootstrap
//! contains no secrets, because Envoy prints all of it if it is invalid.
//!
//! Field names and types are Envoy's (`envoy.config.bootstrap.v3.Bootstrap`, Envoy 1.40).

mod access_log;
mod admin;
mod auth_errors;
pub mod check;
mod credential_files;
mod header_overrides;
mod http;
mod identity;
mod identity_clusters;
mod internal;
mod listener;
mod local_replies;
mod overload;
mod plugin;
mod proxy_listener;
mod retries;
mod stats;
mod status_listener;
mod target_cluster;
mod telemetry;
mod tunnel;
mod upstream;

use std::path::Path;
use std::str::FromStr;

use entra_auth_settings_input::Endpoint;
use entra_token_core::local_reply;
use serde_json::{Value, json};

use crate::settings::Settings;

pub use admin::socket as admin_socket;
pub use credential_files::{IDENTITY_HEADER, identity_header};
pub use identity_clusters::{OwnSidecar, sidecars};
pub use plugin::authorizing as plugin_configuration;
pub use proxy_listener::STAT_PREFIX as PROXY_STAT_PREFIX;
pub use telemetry::{export_headers, flushed_after, socket as telemetry_socket};
pub use tunnel::AUTHORIZATION as PROXY_AUTHORIZATION;

/// The bootstrap for these settings. The sockets and files of this run are in `run_dir`.
#[must_use]
pub fn build(settings: &Settings, run_dir: &Path) -> Value {
    let mut endpoints = target_cluster::endpoints(settings);
    endpoints.extend(identity_clusters::remotes(settings));
    endpoints.extend(telemetry::remotes(settings));
    let token_calls = TokenCalls::new(settings, run_dir, &endpoints);
    let mut extensions = vec![plugin::singleton(settings)];
    extensions.extend(token_calls.extensions);
    let mut listeners = proxy_listener::listeners(settings);
    listeners.push(status_listener::listener(settings));
    listeners.extend(token_calls.listeners);
    listeners.extend(telemetry::listener(settings, run_dir));
    let targets = settings.targets.iter();
    let mut clusters: Vec<Value> = targets
        .map(|target| target_cluster::cluster(target, settings))
        .collect();
    clusters.extend(token_calls.clusters);
    clusters.push(admin::cluster(run_dir));
    clusters.push(status_listener::cluster(settings));
    clusters.extend(telemetry::clusters(settings, run_dir));
    let runtime_keys = json!({
        // The reply to a dispatched call is stored in the plugin's memory, which never shrinks.
        // Envoy's default limit is 32 MiB; no token endpoint sends more than this one.
        "http.async_response_buffer_limit": 65536,
    });
    let bootstrap = json!({
        "admin": admin::interface(run_dir),
        "bootstrap_extensions": extensions,
        "layered_runtime": runtime(with(runtime_keys, telemetry::traces::runtime(settings))),
        "static_resources": with(
            json!({ "listeners": listeners, "clusters": clusters }),
            upstream::authorities(settings),
        ),
        "stats_config": stats::config(),
    });
    let bootstrap = with(bootstrap, telemetry::metrics::fields(settings));
    with(bootstrap, overload::config(settings.memory_limit))
}

/// Envoy's runtime with these keys, and with the key that makes Envoy tell the filter and `check` why a
/// connection failed.
fn runtime(keys: Value) -> Value {
    let keys = with(
        keys,
        json!({ local_reply::HIDE_REASONS_RUNTIME_KEY: false }),
    );
    json!({ "layers": [{ "name": "static", "static_layer": keys }] })
}

/// The resources for the calls for tokens and credentials, for the filter and for `check`, and the
/// tunnels to the remote endpoints.
struct TokenCalls {
    extensions: Vec<Value>,
    listeners: Vec<Value>,
    clusters: Vec<Value>,
}

impl TokenCalls {
    fn new(settings: &Settings, run_dir: &Path, endpoints: &[(String, &Endpoint)]) -> Self {
        let mut listeners = tunnel::listeners(settings, endpoints);
        listeners.extend(credential_files::listener(settings, run_dir));
        let mut clusters = identity_clusters::clusters(settings, run_dir);
        clusters.extend(tunnel::cluster(settings, endpoints));
        Self {
            extensions: Vec::from_iter((!listeners.is_empty()).then(internal::extension)),
            listeners,
            clusters,
        }
    }
}

/// The configuration of an extension.
fn typed(name: &str, type_name: &str, config: Value) -> Value {
    json!({ "name": name, "typed_config": typed_config(type_name, config) })
}

fn typed_config(type_name: &str, config: Value) -> Value {
    let type_url = format!("type.googleapis.com/{type_name}");
    with(config, json!({ "@type": type_url }))
}

/// Parses a text that this program generated.
fn parsed<T: FromStr<Err = String>>(text: &str) -> T {
    text.parse()
        .unwrap_or_else(|why| unreachable!("{text:?} {why}; it is made by this program"))
}

/// The name of an object: its kind, followed by its number unless it is the first of its kind.
fn numbered(kind: &str, before: usize) -> String {
    match before {
        0 => kind.to_owned(),
        _ => format!("{kind}-{}", before + 1),
    }
}

/// A filter of the access log or of local replies, for this status and higher ones.
fn status_from(code: u16) -> Value {
    status("GE", code)
}

fn status(op: &str, code: u16) -> Value {
    json!({ "status_code_filter": { "comparison": {
        "op": op,
        // Envoy requires a runtime key here, which is not used.
        "value": { "default_value": code, "runtime_key": format!("entra_auth.status_{code}") },
    } } })
}

/// Adds the members of `more` to an object.
fn with(mut object: Value, more: Value) -> Value {
    if let (Value::Object(members), Value::Object(more)) = (&mut object, more) {
        members.extend(more);
    }
    object
}

#[cfg(test)]
mod tests;
