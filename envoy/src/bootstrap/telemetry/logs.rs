//! The access log by OTLP, with the fields of the one on standard output as attributes. Envoy adds the ids
//! of trace and span to each record.

use std::time::Duration;

use serde_json::{Value, json};

use super::{seconds, service};
use crate::bootstrap::{typed, with};
use crate::settings::Settings;
use crate::settings::telemetry::Exporter;
use crate::settings::telemetry::signal::Signal;

/// How often each worker sends its records.
pub(super) const FLUSH_INTERVAL: Duration = Duration::from_secs(1);

/// The records that a worker sends at once, in bytes, unless the interval is over before. It depends on
/// the number of workers as that of spans.
fn bytes_at_once(settings: &Settings) -> u32 {
    ((128 << 10) / settings.concurrency).clamp(16 << 10, 64 << 10)
}

/// The logger with these fields: name and format of each.
pub(in crate::bootstrap) fn logger(
    exporter: &Exporter,
    fields: &[(&str, String)],
    settings: &Settings,
) -> Value {
    let text =
        |(key, value): (&str, &str)| json!({ "key": key, "value": { "string_value": value } });
    let attributes: Vec<Value> = fields
        .iter()
        .map(|(key, value)| text((key, value)))
        .collect();
    let resource = settings.telemetry.resource.iter();
    let resource: Vec<Value> = resource.map(|(key, value)| text((key, value))).collect();
    let config = json!({
        "log_name": "access",
        "buffer_flush_interval": seconds(FLUSH_INTERVAL),
        "buffer_size_bytes": bytes_at_once(settings),
        "disable_builtin_labels": true,
        "resource_attributes": { "values": resource },
        "body": { "string_value": "%REQUEST_HEADER(:METHOD)% %REQUEST_HEADER(:AUTHORITY)%%PATH(NQ)% %RESPONSE_CODE%" },
        "attributes": { "values": attributes },
    });
    typed(
        "envoy.access_loggers.open_telemetry",
        "envoy.extensions.access_loggers.open_telemetry.v3.OpenTelemetryAccessLogConfig",
        with(config, service(Signal::Logs, exporter)),
    )
}
