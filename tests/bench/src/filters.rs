//! The filters that are compared, as Envoy's configuration.

use std::path::Path;

use azure_sim::AZURE_MONITOR;
use serde_json::{Value, json};

/// A host that gets tokens, by a pattern as in our guides.
pub(crate) const TARGET: &str = "bench.metrics.ingest.monitor.azure.com";
pub(crate) const PATTERN: &str = "*.metrics.ingest.monitor.azure.com";
/// One that gets none.
pub(crate) const OTHER: &str = "other.example.com";

/// The launcher's name for the cluster of the metadata service.
const IMDS: &str = "imds";

/// Envoy's own filter, with the static secret of [`secret`].
pub(crate) fn injector() -> Value {
    typed(
        "envoy.filters.http.credential_injector",
        "envoy.extensions.filters.http.credential_injector.v3.CredentialInjector",
        json!({
            "overwrite": true,
            "credential": typed(
                "envoy.http.injected_credentials.generic",
                "envoy.extensions.http.injected_credentials.generic.v3.Generic",
                json!({ "credential": { "name": "static-token" }, "header": "authorization" }),
            ),
        }),
    )
}

/// The injector's secret.
pub(crate) fn secret(value: &str) -> Value {
    json!({
        "name": "static-token",
        "generic_secret": { "secret": { "inline_string": value } },
    })
}

/// The least that a Wasm filter can do: sets `authorization` to this value.
pub(crate) fn floor(module: &Path, value: &str) -> Value {
    wasm(
        "floor",
        &json!({
            "name": "floor",
            "vm_config": {
                "vm_id": "floor",
                "runtime": "envoy.wasm.runtime.v8",
                "code": { "local": { "filename": module } },
            },
            "configuration": text(value),
        }),
    )
}

/// Our module as a real istiod 1.29 configures it for a WasmPlugin `entra-auth` in the namespace
/// `monitoring`: no `vm_id`, no capability restriction.
pub(crate) fn istio(module: &Path, plugin: &Value) -> Value {
    wasm(
        "extensions.istio.io/wasmplugin/monitoring.entra-auth",
        &json!({
            "name": "monitoring.entra-auth",
            "root_id": "entra-auth",
            "failure_policy": "FAIL_RELOAD",
            "vm_config": {
                "runtime": "envoy.wasm.runtime.v8",
                "code": { "local": { "filename": module } },
                "environment_variables": { "key_values": {
                    "ISTIO_META_WASM_PLUGIN_RESOURCE_VERSION": "",
                } },
            },
            "configuration": text(&plugin.to_string()),
        }),
    )
}

/// How Istio calls the cluster of a host; to others than a target's own no token goes.
pub(crate) fn istio_cluster(host: &str) -> String {
    format!("outbound|443||{host}")
}

/// A plugin configuration with one target, as a user of Istio writes it.
pub(crate) fn plugin(imds: &str) -> Value {
    plugin_with(imds, &[target(PATTERN, AZURE_MONITOR)])
}

/// One with these targets.
pub(crate) fn plugin_with(imds: &str, targets: &[Value]) -> Value {
    json!({
        "identities": [{
            "name": "default",
            "type": "systemAssigned",
            "imds": { "cluster": IMDS, "authority": imds },
        }],
        "targets": targets,
    })
}

/// A target of it.
pub(crate) fn target(host: &str, audience: &str) -> Value {
    json!({ "hosts": [host], "identity": "default", "audience": audience })
}

fn wasm(name: &str, config: &Value) -> Value {
    typed(
        name,
        "envoy.extensions.filters.http.wasm.v3.Wasm",
        json!({ "config": config }),
    )
}

fn text(value: &str) -> Value {
    json!({ "@type": "type.googleapis.com/google.protobuf.StringValue", "value": value })
}

/// A typed extension's configuration.
pub(crate) fn typed(name: &str, type_name: &str, mut config: Value) -> Value {
    config["@type"] = json!(format!("type.googleapis.com/{type_name}"));
    json!({ "name": name, "typed_config": config })
}
