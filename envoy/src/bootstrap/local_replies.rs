//! What Envoy answers by itself, as JSON with a stable code, like the filter's own answers. Where
//! the target could not be asked it is 503 with `Retry-After`, so that the client tries again; where
//! it has fallen silent, 504 with the same.

use serde_json::{Value, json};

use super::{status, status_from, typed, with};
use crate::settings::Settings;
use crate::settings::target::Routing;

/// Seconds after which a client may try again: the time of a few connection attempts.
const RETRY_AFTER: &str = "5";

/// Envoy's flags for "the target did not answer", beside UF for a connection that failed: no
/// address, DNS, connection ended, resets of either side, circuit breaker, retries used up,
/// protocol error.
const UPSTREAM_FLAGS: [&str; 8] = ["UH", "DF", "UC", "UR", "LR", "UO", "URX", "UPE"];

/// For a port that leads to one target, or to that which the request's host names.
pub(super) fn config(routing: &Routing, settings: &Settings) -> Value {
    let unknown_host = match routing {
        Routing::Always(_) => None,
        Routing::ByHost(_) => Some(mapper(&misdirected(), "unknown_host", UNKNOWN_HOST)),
    };
    let connection = connection_reason(routing, settings);
    let mut mappers = vec![
        json!({ "filter": of_our_own() }),
        come_back(504, &flags(&["SI"]), "idle_timeout", IDLE),
        unavailable(&flags(&["UF"]), "upstream_unavailable", &connection),
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

/// Envoy's own status is 408 while the request is not complete, for which Prometheus drops a batch.
const IDLE: &str = "no byte has moved in either direction for IDLE_TIMEOUT_SECONDS";

/// The only 421 that is not a target's.
const UNKNOWN_HOST: &str = "this port leads to the target that the request's Host names, and to \
                            none by the name %REQUEST_HEADER(:AUTHORITY)%";

/// How TLS or the connection failed, once: whether Envoy's own text has it, too, depends on the runtime
/// and on retries. What a forward proxy answered is not known here, nor by which way each target of several is reached.
fn connection_reason(routing: &Routing, settings: &Settings) -> String {
    let reason = "no connection to the target (%UPSTREAM_TRANSPORT_FAILURE_REASON%)";
    let targets = routing.targets().iter();
    let mut targets = targets.filter_map(|index| settings.targets.get(*index));
    match targets.find_map(|target| settings.proxy_to(&target.endpoint)) {
        None => reason.to_owned(),
        Some(proxy) => format!(
            "{reason}; the way leads through the proxy {}, whose answers are in the log",
            proxy.address()
        ),
    }
}

/// Envoy's own short name for what happened; the body it comes with is empty or says less.
const DETAILS: &str = "%RESPONSE_CODE_DETAILS%";

/// Our filter's own answers come by here too, although it sits in the target's cluster: Envoy
/// sends a local reply of an upstream filter as one of the listener's. So do those that
/// `auth_errors` makes of a 401 or 403, which alone have no details. Both are complete; the first
/// mapper that matches is the only one.
fn of_our_own() -> Value {
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
    come_back(503, filter, code, message)
}

/// A reply that asks the client to try again.
fn come_back(status: u16, filter: &Value, code: &str, message: &str) -> Value {
    let try_again = json!({
        "status_code": status,
        "headers_to_add": [{
            "header": { "key": "retry-after", "value": RETRY_AFTER },
            "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
        }],
    });
    with(mapper(filter, code, message), try_again)
}
