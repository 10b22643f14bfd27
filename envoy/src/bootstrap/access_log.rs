//! The access log: one line of JSON for each request, on standard output. It contains the path without
//! the query, which may contain secrets, and no request headers except the host.

use serde_json::{Value, json};

use super::{status_from, typed, with};
use crate::settings::choices::AccessLog;

/// The header that tells the client why it does not get the target's own response.
pub(super) const REASON: &str = "x-entra-auth-reason";

/// The name of the routes for health probes, which the listener answers itself.
pub(super) const PROBES: &str = "probes";

/// The loggers. `probes_here` tells whether the listener answers `/health` and `/ready` itself.
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
    // An and_filter needs at least two filters.
    let filter = match filters.len() {
        1 => filters.remove(0),
        _ => json!({ "and_filter": { "filters": filters } }),
    };
    vec![with(logger, json!({ "filter": filter }))]
}

/// Matches a status of 400 or higher, or any response flag: a request may be cut off after a successful
/// status, or before any.
fn failed() -> Value {
    json!({ "or_filter": { "filters": [
        status_from(400),
        { "response_flag_filter": {} },
    ] } })
}

/// Excludes the probes that the listener answers, which come every few seconds. They are recognized by
/// their route: the target may have the path to which the route rewrites. A request that was refused
/// before it got a route is not a probe. Without `has` the expression would fail for it, which counts
/// as false.
fn no_probe() -> Value {
    let expression = format!("!has(xds.route_name) || xds.route_name != '{PROBES}'");
    let filter = typed(
        "envoy.access_loggers.extension_filters.cel",
        "envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter",
        json!({ "expression": expression }),
    );
    json!({ "extension_filter": filter })
}
