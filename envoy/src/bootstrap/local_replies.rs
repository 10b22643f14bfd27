//! Envoy's local replies, as JSON with a stable code, like the filter's responses. If the target could
//! not be reached, the status is 503 with `Retry-After`, so that the client retries; after an idle
//! timeout it is 504 with `Retry-After`.

use serde_json::{Value, json};

use super::{http, status, status_from, typed, with};
use crate::settings::Settings;
use crate::settings::listener::Routing;

/// Seconds until a client may retry: the time of a few connection attempts.
const RETRY_AFTER: &str = "5";

/// Envoy's response flags for requests without a response from the target, except UF (connection
/// failure): no healthy host, DNS failure, connection terminated, remote and local reset, circuit breaker,
/// retries exhausted.
const UPSTREAM_FLAGS: [&str; 7] = ["UH", "DF", "UC", "UR", "LR", "UO", "URX"];

/// The local reply configuration of a listener.
pub(super) fn config(routing: &Routing, settings: &Settings) -> Value {
    let unknown_host = match routing {
        Routing::Always(_) => None,
        Routing::ByHost(_) => Some(mapper(&misdirected(), "unknown_host", UNKNOWN_HOST)),
    };
    let connection = connection_reason(routing, settings);
    let mut mappers = vec![
        json!({ "filter": from_filter() }),
        retryable(504, &flags(&["SI"]), "idle_timeout", IDLE),
        unavailable(&flags(&["UF"]), "upstream_unavailable", &connection),
        unavailable(&flags(&["UPE"]), "upstream_unavailable", &no_http()),
        unavailable(
            &flags(&UPSTREAM_FLAGS),
            "upstream_unavailable",
            "%LOCAL_REPLY_BODY%",
        ),
        unavailable(&status_from(500), "proxy_unavailable", DETAILS),
    ];
    mappers.extend(unknown_host);
    mappers.push(mapper(&status_from(400), "bad_request", DETAILS));
    json!({ "mappers": mappers })
}

fn misdirected() -> Value {
    status("EQ", 421)
}

/// The message of an idle timeout. Envoy's own status would be 408 while the request is incomplete, and
/// Prometheus drops a batch on 408.
const IDLE: &str = "no byte has moved in either direction for IDLE_TIMEOUT_SECONDS";

/// The message of the 421 for a request to an unknown host.
const UNKNOWN_HOST: &str = "this port leads to the target that the request's Host names, and to \
                            none by the name %REQUEST_HEADER(:AUTHORITY)%";

/// The message of a connection failure. It has the reason exactly once, while in Envoy's own text that
/// depends on the runtime and on retries. A forward proxy's response is not known here, and neither is
/// which of several targets was meant. The proxy's address is not shown to clients.
fn connection_reason(routing: &Routing, settings: &Settings) -> String {
    let reason = "no connection to the target (%UPSTREAM_TRANSPORT_FAILURE_REASON%)";
    let mut targets = settings.targets_of(routing);
    if targets.any(|target| settings.proxy_to(&target.endpoint).is_some()) {
        format!("{reason}; the way leads through a forward proxy, whose answers are in the log")
    } else {
        reason.to_owned()
    }
}

/// The message of an invalid response. Envoy tells neither what was wrong nor the status, so even a 204
/// becomes 503.
fn no_http() -> String {
    format!(
        "the target's answer breaks the rules of HTTP, so that it is not known whether the request \
         was served: for example, it is a 204 with Transfer-Encoding or Content-Length, or has more \
         than {} header lines or {} KiB of them",
        http::MAX_HEADERS,
        http::MAX_HEADERS_KIB
    )
}

/// Envoy's short description of the cause. Its body is empty or less specific.
const DETAILS: &str = "%RESPONSE_CODE_DETAILS%";

/// Matches replies that are complete already, so that no other mapper changes them (the first match
/// wins): those of our upstream filter, which Envoy treats as local replies of the listener, and those of
/// `auth_errors`, which are the only ones without details.
fn from_filter() -> Value {
    let cel = typed(
        "envoy.access_loggers.extension_filters.cel",
        "envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter",
        json!({ "expression": "response.code_details in ['entra_auth_no_token', 'entra_auth_refused_token', '']" }),
    );
    json!({ "extension_filter": cel })
}

fn flags(flags: &[&str]) -> Value {
    json!({ "response_flag_filter": { "flags": flags } })
}

fn mapper(filter: &Value, code: &str, message: &str) -> Value {
    json!({
        "filter": filter,
        "body_format_override": {
            "json_format": { "error": { "code": code, "message": message } },
        },
    })
}

fn unavailable(filter: &Value, code: &str, message: &str) -> Value {
    retryable(503, filter, code, message)
}

/// A reply with `Retry-After`.
fn retryable(status: u16, filter: &Value, code: &str, message: &str) -> Value {
    let retry_after = json!({
        "status_code": status,
        "headers_to_add": [{
            "header": { "key": "retry-after", "value": RETRY_AFTER },
            "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
        }],
    });
    with(mapper(filter, code, message), retry_after)
}
