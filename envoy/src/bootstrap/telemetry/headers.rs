//! The headers of `OTEL_EXPORTER_OTLP_HEADERS`. Their values are secrets: the bootstrap has only the
//! names of the environment variables from which Envoy reads them, and an upstream filter sets them,
//! because Envoy's debug log shows the headers before these filters.

use serde_json::Value;

use super::collectors;
use crate::bootstrap::header_overrides;
use crate::settings::Settings;
use crate::settings::telemetry::{ExportHeader, Exporter};
use crate::settings::variables::HEADER;

/// The headers of all collectors, each with the variable by which Envoy gets its value.
pub fn variables(settings: &Settings) -> impl Iterator<Item = (String, &ExportHeader)> {
    let collectors = collectors::distinct(settings).into_iter();
    let headers = collectors
        .flat_map(|exporter| &exporter.headers)
        .enumerate();
    headers.map(|(index, header)| (format!("{HEADER}OTLP_{index}"), header))
}

/// The filter that sets the headers of requests to a collector, of which `before` come before it in
/// [`collectors::distinct`]; `None` if there are none.
pub(super) fn filter(before: usize, settings: &Settings) -> Option<Value> {
    let collectors = collectors::distinct(settings);
    let of = |exporter: &&Exporter| exporter.headers.len();
    let first = collectors.iter().take(before).map(of).sum();
    let own = collectors.get(before).map_or(0, of);
    let headers: Vec<_> = variables(settings).skip(first).take(own).collect();
    let headers = headers
        .iter()
        .map(|(variable, header)| (header.name.as_str(), variable.as_str()));
    (own > 0).then(|| header_overrides::setting(headers))
}
