//! One line of JSON a request on standard output. The path stands there without its query, which
//! may hold secrets; no header of a request does, so no token either.

use serde_json::{Value, json};

use super::{status_from, typed, with};
use crate::settings::choices::AccessLog;

/// The header that tells the client why it does not get the target's own response.
pub(super) const REASON: &str = "x-entra-auth-reason";

/// What the routes are called whose requests this listener answers itself.
pub(super) const PROBES: &str = "probes";

/// The loggers, where `probes_here` says that this listener answers `/health` and `/ready` itself.
pub(super) fn loggers(setting: AccessLog, probes_here: bool) -> Vec<Value> {
    let mut filters = Vec::new();
    match setting {
        AccessLog::Off => return Vec::new(),
        AccessLog::All => {}
        AccessLog::Errors => filters.push(failed()),
    }
    if probes_here {
        filters.push(no_probe());
    }
    let logger = typed(
        "envoy.access_loggers.stdout",
        "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
        json!({ "log_format": { "json_format": {
                "time": "%START_TIME(%Y-%m-%dT%H:%M:%S.%3fZ)%",
                "method": "%REQUEST_HEADER(:METHOD)%",
                "host": "%REQUEST_HEADER(:AUTHORITY)%",
                "path": "%PATH(NQ)%",
                "status": "%RESPONSE_CODE%",
                "reason": format!("%RESPONSE_HEADER({REASON})%"),
                "bytes_received": "%BYTES_RECEIVED%",
                "bytes_sent": "%BYTES_SENT%",
                "duration_ms": "%DURATION%",
                "upstream_request_id": "%RESPONSE_HEADER(X-MS-REQUEST-ID?X-REQUEST-ID)%",
                "flags": "%RESPONSE_FLAGS%",
                "details": "%RESPONSE_CODE_DETAILS%",
        } } }),
    );
    if filters.is_empty() {
        return vec![logger];
    }
    // An and_filter takes two or more.
    let filter = match filters.len() {
        1 => filters.remove(0),
        _ => json!({ "and_filter": { "filters": filters } }),
    };
    vec![with(logger, json!({ "filter": filter }))]
}

/// Status 400 and above; or any response flag, for those that were cut short after a good status
/// or before any.
fn failed() -> Value {
    json!({ "or_filter": { "filters": [
        status_from(400),
        { "response_flag_filter": {} },
    ] } })
}

/// Not one of the probes that this listener answers: they come every few seconds. Their routes tell
/// them, because the path that the rewriting leaves there is one that the target may have, too. A
/// request that was refused before it got a route is no probe; without the check by `has` the
/// expression would be an error, which counts as false.
fn no_probe() -> Value {
    let expression = format!("!has(xds.route_name) || xds.route_name != '{PROBES}'");
    let filter = typed(
        "envoy.access_loggers.extension_filters.cel",
        "envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter",
        json!({ "expression": expression }),
    );
    json!({ "extension_filter": filter })
}
