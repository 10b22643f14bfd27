//! `OVERRIDE_REQUEST_HEADERS`: set in the target's cluster, on the way out, because Envoy's debug log
//! shows a request's headers as they are before that, and values may be secrets. For the same
//! reason the bootstrap has only the names of variables, by which Envoy gets the values.

use serde_json::{Value, json};

use super::typed;
use crate::settings::headers::HeaderOverride;

/// The variable with the value of an overridden header, counted from 0.
#[must_use]
pub fn variable(index: usize) -> String {
    format!("ENTRA_AUTH_HEADER_{index}")
}

/// The filter that sets them; none where there is nothing to set.
pub(super) fn filter(headers: &[HeaderOverride]) -> Option<Value> {
    if headers.is_empty() {
        return None;
    }
    let mutations: Vec<Value> = headers
        .iter()
        .enumerate()
        .map(|(index, header)| {
            json!({ "append": {
                "header": {
                    "key": header.name.as_str(),
                    "value": format!("%ENVIRONMENT({})%", variable(index)),
                },
                "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
                "keep_empty_value": true,
            } })
        })
        .collect();
    Some(typed(
        "envoy.filters.http.header_mutation",
        "envoy.extensions.filters.http.header_mutation.v3.HeaderMutation",
        json!({ "mutations": { "request_mutations": mutations } }),
    ))
}
