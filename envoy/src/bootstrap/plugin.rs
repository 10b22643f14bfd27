//! The four uses of the filter: the singleton service that acquires tokens, an upstream filter for each
//! target that puts the token on requests, the filter that answers `/ready` and `/status`, and the one that
//! counts the exports of telemetry. They have
//! the same VM id, so on each thread they share one VM and its tokens.
//!
//! An upstream filter knows its own target only, because two targets may have the same host.

use entra_token_core::config::{self, AuthErrorsRetryable, Hold, Mode, Placement, PluginConfig};
use serde_json::{Value, json};

use super::{identity, parsed, telemetry, typed, with};
use crate::settings::Settings;
use crate::settings::target::Target;

/// Separates our shared data from that of other plugins.
const VM_ID: &str = "entra-auth";
const ROOT_ID: &str = "entra-auth";
/// The filter's name in a listener and in a cluster.
pub(super) const HTTP_FILTER: &str = "envoy.filters.http.wasm";

/// The service that acquires tokens, on Envoy's main thread.
pub(super) fn singleton(settings: &Settings) -> Value {
    typed(
        "envoy.bootstrap.wasm",
        "envoy.extensions.wasm.v3.WasmService",
        json!({
            "config": plugin(&configuration(settings, Mode::Service), settings, json!({})),
            "singleton": true,
        }),
    )
}

/// The filter in the target's cluster. It runs for every attempt of a request to the target.
pub(super) fn authorize(target: &Target, settings: &Settings) -> Value {
    let all = configuration(settings, Mode::Authorize);
    let own = PluginConfig {
        identities: all
            .identities
            .into_iter()
            .filter(|identity| identity.name == target.identity)
            .collect(),
        targets: all
            .targets
            .into_iter()
            .zip(&settings.targets)
            .filter(|(_, its)| its.name == target.name)
            .map(|(own, _)| config::Target {
                // The first pattern names the target in metrics. `*` matches all requests, because
                // all requests to this cluster are for the target.
                hosts: vec![target.pattern.clone(), parsed("*")],
                ..own
            })
            .collect(),
        ..all
    };
    http_filter(&own, settings)
}

/// The filter that answers `/ready` and `/status`.
pub(super) fn status(settings: &Settings) -> Value {
    http_filter(&configuration(settings, Mode::Status), settings)
}

/// The filter that counts the exports of telemetry.
pub(super) fn exports(settings: &Settings) -> Value {
    let counting = PluginConfig {
        identities: Vec::new(),
        targets: Vec::new(),
        ..configuration(settings, Mode::Exports)
    };
    http_filter(&counting, settings)
}

fn http_filter(configuration: &PluginConfig, settings: &Settings) -> Value {
    // Envoy reloads a VM that has trapped. Until then requests get 503 and never pass without a token.
    let policy = json!({ "failure_policy": "FAIL_RELOAD" });
    typed(
        HTTP_FILTER,
        "envoy.extensions.filters.http.wasm.v3.Wasm",
        json!({ "config": plugin(configuration, settings, policy) }),
    )
}

fn plugin(configuration: &PluginConfig, settings: &Settings, more: Value) -> Value {
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
            "value": json!(configuration).to_string(),
        },
    });
    with(plugin, more)
}

/// The configuration of a filter that acquires tokens and puts them on requests.
#[must_use]
pub fn authorizing(settings: &Settings) -> PluginConfig {
    configuration(settings, Mode::Authorize)
}

/// The plugin configuration, with every identity and target.
fn configuration(settings: &Settings, mode: Mode) -> PluginConfig {
    PluginConfig {
        mode,
        placement: Placement::Upstream,
        identities: settings
            .identities
            .iter()
            .enumerate()
            .map(|(n, named)| identity::configuration(n, named, settings))
            .collect(),
        targets: settings
            .targets
            .iter()
            .enumerate()
            .map(|(n, target)| of_target(n, target, settings))
            .collect(),
        hold: Hold::default(),
        auth_errors_retryable: AuthErrorsRetryable::default(),
        refresh_before_expiry_percent: settings.refresh_before_expiry,
        token_request_timeout: settings.token_request_timeout,
        exports: telemetry::exports(settings),
    }
}

/// The configuration of the `n`th target.
fn of_target(n: usize, target: &Target, settings: &Settings) -> config::Target {
    config::Target {
        audience_name: Some(parsed(&settings.terms.of_audience(n))),
        hosts: vec![target.pattern.clone()],
        identity: target.identity.clone(),
        audience: target.audience.clone(),
        clusters: Some(vec![parsed("*")]),
        required: target.required,
        hold: (target.hold != Hold::default()).then(|| target.hold.clone()),
        // In upstream placement the listener does this, see `auth_errors`.
        auth_errors_retryable: None,
    }
}
