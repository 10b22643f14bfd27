//! The filter in its three places: the singleton service that gets tokens, the upstream filter
//! that puts them on requests to the target, the filter that answers `/ready` and `/status`. They
//! name the same VM, and so share its memory and the tokens in it.

use entra_token_core::config::{Hold, Mode, Placement, PluginConfig, Target};
use serde_json::{Value, json};

use super::{identity, parsed, typed, with};
use crate::settings::Settings;

/// Separates our shared data from that of any other plugin, and joins our three places.
const VM_ID: &str = "entra-auth";
const ROOT_ID: &str = "entra-auth";
/// The filter's name in a listener and in a cluster.
pub(super) const HTTP_FILTER: &str = "envoy.filters.http.wasm";

/// The service that gets tokens, on Envoy's main thread.
pub(super) fn singleton(settings: &Settings) -> Value {
    typed(
        "envoy.bootstrap.wasm",
        "envoy.extensions.wasm.v3.WasmService",
        json!({
            "config": plugin(settings, Mode::Authorize, json!({})),
            "singleton": true,
        }),
    )
}

/// The filter in the target's cluster: it runs for every try of a request, and only for requests
/// to the target.
pub(super) fn authorize(settings: &Settings) -> Value {
    http_filter(settings, Mode::Authorize)
}

/// The filter that answers `/ready` and `/status`.
pub(super) fn status(settings: &Settings) -> Value {
    http_filter(settings, Mode::Status)
}

fn http_filter(settings: &Settings, mode: Mode) -> Value {
    // A trapped VM is loaded again; until then requests get 503, never pass without a token.
    let policy = json!({ "failure_policy": "FAIL_RELOAD" });
    typed(
        HTTP_FILTER,
        "envoy.extensions.filters.http.wasm.v3.Wasm",
        json!({ "config": plugin(settings, mode, policy) }),
    )
}

fn plugin(settings: &Settings, mode: Mode, more: Value) -> Value {
    let plugin = json!({
        "name": ROOT_ID,
        "root_id": ROOT_ID,
        "vm_config": {
            "vm_id": VM_ID,
            "runtime": "envoy.wasm.runtime.v8",
            "code": { "local": { "filename": settings.module } },
        },
        "configuration": {
            "@type": "type.googleapis.com/google.protobuf.StringValue",
            "value": json!(configuration(settings, mode)).to_string(),
        },
    });
    with(plugin, more)
}

/// The plugin configuration.
fn configuration(settings: &Settings, mode: Mode) -> PluginConfig {
    PluginConfig {
        mode,
        placement: Placement::Upstream,
        identities: vec![identity::configuration(settings)],
        targets: vec![Target {
            hosts: vec![settings.target_pattern.clone()],
            identity: parsed(identity::NAME),
            audience: settings.audience.clone(),
            // The filter is bound to the target's cluster already.
            clusters: Some(vec![parsed("*")]),
            required: Some(true),
            hold: None,
            auth_errors_retryable: None,
        }],
        hold: Hold::default(),
        auth_errors_retryable: settings.auth_errors_retryable,
        refresh_before_expiry_percent: settings.refresh_before_expiry,
    }
}
