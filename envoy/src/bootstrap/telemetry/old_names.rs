//! The metrics of aad-auth-proxy under their old names, so that its dashboards go on: counted by an access
//! logger of Envoy's that makes statistics of log fields. The old labels `path` and `user_agent` are left
//! out, because clients may send any number of values.
//!
//! `aad_auth_proxy_token_refresh_total` is not here: a statistic has one name, and
//! `entra_auth_token_requests_total` says the same.

use serde_json::{Value, json};

use crate::bootstrap::typed;
use crate::settings::Settings;
use crate::settings::target::Target;

/// Statistics with this prefix have no other one on `/metrics`, like those of the plugin.
const PREFIX: &str = "wasmcustom";

const REQUESTS: &str = "aad_auth_proxy_requests_total";
const DURATION: &str = "aad_auth_proxy_request_duration_milliseconds";
const REQUEST_BYTES: &str = "aad_auth_proxy_request_bytes_total";
const RESPONSE_BYTES: &str = "aad_auth_proxy_response_bytes_total";

/// All names.
pub(super) const ALL: [&str; 4] = [REQUESTS, DURATION, REQUEST_BYTES, RESPONSE_BYTES];

/// The largest number of combinations of labels on a port; further ones are not counted. A target may
/// answer with any status.
const MAX_COMBINATIONS: u32 = 500;

/// The methods with a label value of their own: those of RFC 9110 §9.1, and PATCH (RFC 5789). Others
/// are what a client makes up, and count as `other`.
const METHODS: &str = "GET|HEAD|POST|PUT|DELETE|CONNECT|OPTIONS|TRACE|PATCH";

/// The name and the field of the metadata with which a route says which target it leads to.
const METADATA: (&str, &str) = ("entra_auth", "target_host");

/// Whether these metrics are counted.
fn is_wanted(settings: &Settings) -> bool {
    let metrics = settings.telemetry.metrics.as_ref();
    metrics.is_some_and(|metrics| metrics.old_names)
}

/// The fields of a route to a target that tell its host to the logger.
pub(in crate::bootstrap) fn of_route(target: &Target, settings: &Settings) -> Value {
    if !is_wanted(settings) {
        return json!({});
    }
    let (name, field) = METADATA;
    json!({ "metadata": { "filter_metadata": { name: { field: target.endpoint.authority() } } } })
}

/// The access logger that counts the requests to targets, if it is wanted.
pub(in crate::bootstrap) fn logger(settings: &Settings) -> Option<Value> {
    is_wanted(settings).then(|| {
        typed(
            "envoy.access_loggers.stats",
            "envoy.extensions.access_loggers.stats.v3.Config",
            json!({
                "stats_scope": {
                    "prefix": PREFIX,
                    "max_counters": 3 * MAX_COMBINATIONS,
                    "max_histograms": MAX_COMBINATIONS,
                },
                "counters": [
                    { "stat": labelled(REQUESTS), "value_fixed": 1 },
                    { "stat": labelled(REQUEST_BYTES), "value_format": "%BYTES_RECEIVED%" },
                    { "stat": labelled(RESPONSE_BYTES), "value_format": "%BYTES_SENT%" },
                ],
                "histograms": [{
                    "stat": labelled(DURATION),
                    "unit": "Milliseconds",
                    "value_format": "%DURATION%",
                }],
            }),
        )
    })
}

fn labelled(name: &str) -> Value {
    let (metadata, field) = METADATA;
    json!({
        "name": name,
        "tags": [
            {
                "name": "target_host",
                "value_format": format!("%METADATA(ROUTE:{metadata}:{field})%"),
                // Probes, and requests that were refused before they got a route, have no target.
                "rules": rule(&value_is("-?"), json!({ "drop_stat": {} })),
            },
            {
                "name": "method",
                "value_format": "%REQUEST_HEADER(:METHOD)%",
                "rules": rule(
                    &json!({ "not_matcher": value_is(METHODS) }),
                    json!({ "update_tag": { "new_tag_value": "other" } }),
                ),
            },
            { "name": "status_code", "value_format": "%RESPONSE_CODE%" },
        ],
    })
}

/// A rule for a label.
fn rule(predicate: &Value, transformation: Value) -> Value {
    json!({ "matcher_list": { "matchers": [{
        "predicate": predicate,
        "on_match": { "action": typed(
            "transform_stat",
            "envoy.extensions.matching.actions.transform_stat.v3.TransformStat",
            transformation,
        ) },
    }] } })
}

/// Matches a label whose whole value has this form.
fn value_is(regex: &str) -> Value {
    json!({ "single_predicate": {
        "input": typed(
            "value",
            "envoy.extensions.matching.common_inputs.stats.v3.StatTagValueInput",
            json!({}),
        ),
        "value_match": { "safe_regex": { "google_re2": {}, "regex": regex } },
    } })
}
