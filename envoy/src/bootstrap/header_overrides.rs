//! Sets the headers of `OVERRIDE_REQUEST_HEADERS` or `requestHeaders`.
//!
//! Their values may be secret. So they are set by an upstream filter, because Envoy's debug log shows the
//! headers before these filters, and the bootstrap has only the names of the environment variables from
//! which Envoy reads the values.

use serde_json::{Value, json};

use super::typed;
use crate::settings::target::Target;

/// The filter that sets a target's headers; `None` if there are none.
pub(super) fn filter(target: &Target) -> Option<Value> {
    if target.override_headers.is_empty() {
        return None;
    }
    let headers = target.override_headers.iter();
    Some(setting(headers.map(|header| {
        (header.name.as_str(), header.variable.as_str())
    })))
}

/// The filter that sets headers, each to the value of an environment variable.
pub(super) fn setting<'a>(headers: impl Iterator<Item = (&'a str, &'a str)>) -> Value {
    let mutations: Vec<Value> = headers
        .map(|(name, variable)| {
            json!({ "append": {
                "header": { "key": name, "value": format!("%ENVIRONMENT({variable})%") },
                "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
                "keep_empty_value": true,
            } })
        })
        .collect();
    typed(
        "envoy.filters.http.header_mutation",
        "envoy.extensions.filters.http.header_mutation.v3.HeaderMutation",
        json!({ "mutations": { "request_mutations": mutations } }),
    )
}
