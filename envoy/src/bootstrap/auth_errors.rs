//! 401 and 403 of the target: what a fresh token may heal is sent again by the route, and what
//! only a person can heal becomes 503 with `Retry-After` where the user wants it. Prometheus
//! drops a batch for ever on 401 and 403, and keeps it on 503.

use entra_token_core::config::AuthErrorsRetryable;
use serde_json::{Value, json};

use super::{access_log, typed, typed_config, with};
use crate::settings::target::Target;

const FILTER: &str = "envoy.filters.http.custom_response";
const TYPE: &str = "envoy.extensions.filters.http.custom_response.v3.CustomResponse";

/// Seconds after which a client may try again: somebody may be granting the role right now.
const RETRY_AFTER: &str = "30";

/// Prometheus sends it with every remote-write request, and nobody else does.
const REMOTE_WRITE: &str = "x-prometheus-remote-write-version";

/// The filter of a port, and its virtual hosts, the first of which are those of its targets: where
/// these differ, each virtual host has a setting of its own.
pub(super) fn of_all(
    targets: &[&Target],
    mut virtual_hosts: Vec<Value>,
) -> (Option<Value>, Vec<Value>) {
    let setting = |target: &&Target| target.auth_errors_retryable;
    let common = targets.first().map_or_else(Default::default, setting);
    if targets.iter().all(|target| setting(target) == common) {
        let filter = matchers(common).map(|matchers| typed(FILTER, TYPE, matchers));
        return (filter, virtual_hosts);
    }
    for (target, virtual_host) in targets.iter().zip(&mut virtual_hosts) {
        let own = matchers(setting(target)).unwrap_or_else(|| json!({}));
        let own = json!({ "typed_per_filter_config": { FILTER: typed_config(TYPE, own) } });
        *virtual_host = with(virtual_host.take(), own);
    }
    (Some(typed(FILTER, TYPE, json!({}))), virtual_hosts)
}

/// What turns 401 and 403 into 503; none where the target's answer stands.
fn matchers(retryable: AuthErrorsRetryable) -> Option<Value> {
    let applies: fn(Value) -> Value = match retryable {
        AuthErrorsRetryable::Never => return None,
        AuthErrorsRetryable::Always => |refused| refused,
        AuthErrorsRetryable::RemoteWrite => {
            |refused| json!({ "and_matcher": { "predicate": [refused, remote_write()] } })
        }
    };
    let matchers = ["401", "403"].map(|code| {
        json!({
            "predicate": applies(status(code)),
            "on_match": { "action": come_back(code) },
        })
    });
    Some(json!({ "custom_response_matcher": { "matcher_list": { "matchers": matchers } } }))
}

fn status(code: &str) -> Value {
    json!({ "single_predicate": {
        "input": typed(
            "status",
            "envoy.type.matcher.v3.HttpResponseStatusCodeMatchInput",
            json!({}),
        ),
        "value_match": { "exact": code },
    } })
}

fn remote_write() -> Value {
    json!({ "single_predicate": {
        "input": typed(
            "remote_write",
            "envoy.type.matcher.v3.HttpRequestHeaderMatchInput",
            json!({ "header_name": REMOTE_WRITE }),
        ),
        "value_match": { "safe_regex": { "google_re2": {}, "regex": ".*" } },
    } })
}

/// The answer in place of one with this status.
fn come_back(code: &str) -> Value {
    let body = json!({ "error": {
        "code": "target_refuses_identity",
        "message": format!(
            "the target refuses the proxy's identity ({code}); it probably lacks a role there"
        ),
    } });
    let header = |name: &str, value: &str| {
        json!({
            "header": { "key": name, "value": value },
            "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
        })
    };
    typed(
        "come_back",
        "envoy.extensions.http.custom_response.local_response_policy.v3.LocalResponsePolicy",
        json!({
            "status_code": 503,
            "body_format": { "json_format": body },
            "response_headers_to_add": [
                header("retry-after", RETRY_AFTER),
                // Envoy forgets the target's own status; the access log takes it from here.
                header(access_log::REASON, &format!("target_answered_{code}")),
            ],
        }),
    )
}
