//! Replaces the target's 401 and 403 by 503 with `Retry-After`, if the settings say so. (The route
//! retries a 401 that a fresh token may cure before this.) Prometheus drops a batch on 401 and 403, and
//! retries it on 503.

use entra_token_core::config::AuthErrorsRetryable;
use serde_json::{Value, json};

use super::{access_log, typed, typed_config, with};
use crate::settings::target::Target;

const FILTER: &str = "envoy.filters.http.custom_response";
const TYPE: &str = "envoy.extensions.filters.http.custom_response.v3.CustomResponse";

/// Seconds until a client may retry: somebody may be granting the role right now.
const RETRY_AFTER: &str = "30";

/// The statuses by which a target refuses the identity, with what each means.
const REFUSALS: [(&str, &str); 2] = [
    ("401", "the target does not accept the proxy's token (401)"),
    (
        "403",
        "the target refuses the proxy's identity (403); it probably lacks a role there",
    ),
];

/// The header by which a remote-write request is recognized.
const REMOTE_WRITE: &str = "x-prometheus-remote-write-version";

/// The filter of a listener and its virtual hosts, which begin with those of the targets in the same
/// order. If the targets' settings differ, each virtual host gets its own filter configuration.
pub(super) fn configure(
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

/// The matchers that replace 401 and 403 by 503; `None` if the target's response is passed on.
fn matchers(retryable: AuthErrorsRetryable) -> Option<Value> {
    let applies: fn(Value) -> Value = match retryable {
        AuthErrorsRetryable::Never => return None,
        AuthErrorsRetryable::Always => |refused| refused,
        AuthErrorsRetryable::RemoteWrite => {
            |refused| json!({ "and_matcher": { "predicate": [refused, remote_write()] } })
        }
    };
    let matchers = REFUSALS.map(|(code, message)| {
        json!({
            "predicate": applies(status(code)),
            "on_match": { "action": service_unavailable(code, message) },
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

/// The response policy in place of a response with this status.
fn service_unavailable(code: &str, message: &str) -> Value {
    let body = json!({ "error": {
        "code": "target_refuses_identity",
        "message": message,
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
