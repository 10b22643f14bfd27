//! Envoy's bootstrap, built from checked [`Settings`]: one small file for each piece of it. No
//! secret stands in it, because Envoy prints it whole where it cannot use it.
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
mod tunnel;
mod upstream;

use std::path::Path;
use std::str::FromStr;

use entra_token_core::local_reply;
use serde_json::{Value, json};

use crate::settings::Settings;
use crate::settings::authority::Endpoint;

pub use admin::socket as admin_socket;
pub use credential_files::{IDENTITY_HEADER, identity_header};
pub use identity_clusters::{OwnSidecar, sidecars};
pub use plugin::authorizing as plugin_configuration;
pub use proxy_listener::STAT_PREFIX as PROXY_STAT_PREFIX;
pub use tunnel::AUTHORIZATION as PROXY_AUTHORIZATION;

/// The bootstrap for these settings; what belongs to one run lies in `run_dir`.
#[must_use]
pub fn build(settings: &Settings, run_dir: &Path) -> Value {
    let mut ends = target_cluster::ends(settings);
    ends.extend(identity_clusters::remotes(settings));
    let asking = Asking::new(settings, run_dir, &ends);
    let mut extensions = vec![plugin::singleton(settings)];
    extensions.extend(asking.extensions);
    let mut listeners = proxy_listener::listeners(settings);
    listeners.push(status_listener::listener(settings));
    listeners.extend(asking.listeners);
    let targets = settings.targets.iter();
    let mut clusters: Vec<Value> = targets
        .map(|target| target_cluster::cluster(target, settings))
        .collect();
    clusters.extend(asking.clusters);
    clusters.push(admin::cluster(run_dir));
    clusters.push(status_listener::cluster(settings));
    let bootstrap = json!({
        "admin": admin::interface(run_dir),
        "bootstrap_extensions": extensions,
        "layered_runtime": runtime(json!({
            // A reply to a dispatched call is held in the plugin's memory, which never shrinks;
            // Envoy's own bound is 32 MiB. No token endpoint sends this much.
            "http.async_response_buffer_limit": 65536,
        })),
        "static_resources": with(
            json!({ "listeners": listeners, "clusters": clusters }),
            upstream::authorities(settings),
        ),
        "stats_config": stats::config(),
    });
    with(bootstrap, overload::config(settings.memory_limit))
}

/// Envoy's runtime: with these keys, and with those by which it tells the filter and `check` why a
/// connection failed.
fn runtime(keys: Value) -> Value {
    let keys = with(keys, json!({ local_reply::HIDES_REASONS: false }));
    json!({ "layers": [{ "name": "static", "static_layer": keys }] })
}

/// All by which tokens and credentials are asked for, whoever asks, and the tunnels to these ends.
struct Asking {
    extensions: Vec<Value>,
    listeners: Vec<Value>,
    clusters: Vec<Value>,
}

impl Asking {
    fn new(settings: &Settings, run_dir: &Path, ends: &[(String, &Endpoint)]) -> Self {
        let mut listeners = tunnel::listeners(settings, ends);
        listeners.extend(credential_files::listener(settings, run_dir));
        let mut clusters = identity_clusters::clusters(settings, run_dir);
        clusters.extend(tunnel::cluster(settings, ends));
        Self {
            extensions: Vec::from_iter((!listeners.is_empty()).then(internal::extension)),
            listeners,
            clusters,
        }
    }
}

/// A typed extension's configuration.
fn typed(name: &str, type_name: &str, config: Value) -> Value {
    json!({ "name": name, "typed_config": typed_config(type_name, config) })
}

fn typed_config(type_name: &str, config: Value) -> Value {
    let type_url = format!("type.googleapis.com/{type_name}");
    with(config, json!({ "@type": type_url }))
}

/// A value of this program, as the type that the filter's configuration wants.
fn parsed<T: FromStr<Err = String>>(text: &str) -> T {
    text.parse()
        .unwrap_or_else(|why| unreachable!("{text:?} {why}; it is made by this program"))
}

/// The name of something, made from the number of those of its kind before it.
fn numbered(kind: &str, before: usize) -> String {
    match before {
        0 => kind.to_owned(),
        _ => format!("{kind}-{}", before + 1),
    }
}

/// A filter, of log lines or of Envoy's own answers, for this status and those above it.
fn status_from(code: u16) -> Value {
    status("GE", code)
}

fn status(op: &str, code: u16) -> Value {
    json!({ "status_code_filter": { "comparison": {
        "op": op,
        // Envoy wants a runtime key, by which nobody changes anything.
        "value": { "default_value": code, "runtime_key": format!("entra_auth.status_{code}") },
    } } })
}

/// An object and the members of another one.
fn with(mut object: Value, more: Value) -> Value {
    if let (Value::Object(members), Value::Object(more)) = (&mut object, more) {
        members.extend(more);
    }
    object
}

#[cfg(test)]
mod tests;
