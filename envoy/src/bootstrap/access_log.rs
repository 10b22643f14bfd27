//! The access log: one line of JSON for each request on standard output, and the same by OTLP. It
//! contains the path without the query, which may contain secrets, and no request headers except the host.

use serde_json::{Map, Value, json};

use super::{status_from, telemetry, typed, with};
use crate::settings::Settings;
use crate::settings::choices::AccessLog;

/// The header that tells the client why it does not get the target's own response.
pub(super) const REASON: &str = "x-entra-auth-reason";

/// The name of the routes for health probes, which the listener answers itself.
pub(super) const PROBES: &str = "probes";

/// The loggers of a proxy listener. `ACCESS_LOG=off` is about standard output only: whoever exports the
/// log need not have it twice.
pub(super) fn loggers(settings: &Settings) -> Vec<Value> {
    let mut loggers = Vec::new();
    if settings.access_log != AccessLog::Off {
        loggers.push(typed(
            "envoy.access_loggers.stdout",
            "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
            json!({ "log_format": { "json_format": of_line(settings) } }),
        ));
    }
    if let Some(exporter) = &settings.telemetry.logs {
        loggers.push(telemetry::logs::logger(exporter, &fields(), settings));
    }
    let filter = filter(settings);
    let filtered = |logger: Value| match &filter {
        Some(filter) => with(logger, json!({ "filter": filter })),
        None => logger,
    };
    loggers.into_iter().map(filtered).collect()
}

/// The fields of a request, each with its format.
fn fields() -> Vec<(&'static str, String)> {
    let reason = format!("%RESPONSE_HEADER({REASON})%");
    let fields = [
        ("time", "%START_TIME(%Y-%m-%dT%H:%M:%S.%3fZ)%"),
        ("method", "%REQUEST_HEADER(:METHOD)%"),
        ("host", "%REQUEST_HEADER(:AUTHORITY)%"),
        ("path", "%PATH(NQ)%"),
        ("status", "%RESPONSE_CODE%"),
        ("reason", &reason),
        ("bytes_received", "%BYTES_RECEIVED%"),
        ("bytes_sent", "%BYTES_SENT%"),
        ("duration_ms", "%DURATION%"),
        (
            "upstream_request_id",
            "%RESPONSE_HEADER(X-MS-REQUEST-ID?X-REQUEST-ID)%",
        ),
        ("flags", "%RESPONSE_FLAGS%"),
        ("details", "%RESPONSE_CODE_DETAILS%"),
    ];
    fields
        .map(|(name, format)| (name, format.to_owned()))
        .into()
}

/// The fields of a line on standard output. In a record by OTLP, Envoy itself puts the ids of the trace.
fn of_line(settings: &Settings) -> Map<String, Value> {
    let mut fields = fields();
    if settings.telemetry.traces.is_some() {
        fields.push(("trace_id", "%TRACE_ID%".to_owned()));
        fields.push(("span_id", "%SPAN_ID%".to_owned()));
    }
    let of_line = fields.into_iter();
    of_line
        .map(|(name, format)| (name.to_owned(), json!(format)))
        .collect()
}

/// Which requests are logged; all if there is no filter.
fn filter(settings: &Settings) -> Option<Value> {
    let mut filters = Vec::new();
    if settings.access_log == AccessLog::Errors {
        filters.push(failed());
    }
    if settings.proxy_health_paths {
        filters.push(no_probe());
    }
    // An and_filter needs at least two filters.
    match filters.len() {
        0 | 1 => filters.pop(),
        _ => Some(json!({ "and_filter": { "filters": filters } })),
    }
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
