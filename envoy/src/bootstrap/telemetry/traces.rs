//! Traces by OTLP: the caller's trace is continued with a span for the request and one for each attempt.
//! No span has the query, a header or a token.

use std::time::Duration;

use serde_json::{Value, json};

use super::sampling::sampler;
use super::{resource_detectors, service};
use crate::bootstrap::{status_listener, typed, with};
use crate::settings::Settings;
use crate::settings::telemetry::Traces;
use crate::settings::telemetry::signal::Signal;

/// How often each worker sends its spans.
pub(super) const FLUSH_INTERVAL: Duration = Duration::from_secs(1);

/// How many spans a worker sends at once, unless the interval is over before. With Envoy's default, 5, a
/// traced request costs two and a half times as much as one that is not traced; with this, half as much
/// again.
const SPANS_AT_ONCE: u32 = 512;

/// The keys of Envoy's runtime for the tracer.
pub(in crate::bootstrap) fn runtime(settings: &Settings) -> Value {
    if settings.telemetry.traces.is_none() {
        return json!({});
    }
    json!({
        "tracing.opentelemetry.min_flush_spans": SPANS_AT_ONCE,
        "tracing.opentelemetry.flush_interval_ms": FLUSH_INTERVAL.as_millis() as u64,
    })
}

/// The fields of the connection manager of a proxy listener; none if there are no traces.
pub(in crate::bootstrap) fn fields(settings: &Settings) -> Value {
    let Some(traces) = &settings.telemetry.traces else {
        return json!({});
    };
    json!({
        "tracing": {
            "provider": tracer(traces, settings),
            "spawn_upstream_span": true,
            "operation": "%REQUEST_HEADER(:METHOD)% proxy",
            "upstream_operation": "%REQUEST_HEADER(:METHOD)% target",
            "custom_tags": [
                // Envoy's own value has the query.
                { "tag": "http.url", "value": "%REQUEST_HEADER(:SCHEME)%://%REQUEST_HEADER(:AUTHORITY)%%PATH(NQ)%" },
                // Envoy's own value is a client's header.
                { "tag": "user_agent", "value": "-" },
            ],
        },
        // Without this, no request is traced: the request id, which we do not generate, would decide.
        "request_id_extension": { "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig",
            "pack_trace_reason": false,
            "use_request_id_for_trace_sampling": false,
        } },
    })
}

fn tracer(traces: &Traces, settings: &Settings) -> Value {
    let service_name = settings
        .telemetry
        .resource
        .iter()
        .find(|(key, _)| key == "service.name");
    let config = json!({
        "service_name": service_name.map(|(_, value)| value),
        "resource_detectors": resource_detectors(settings),
        "sampler": sampler(&traces.sampler),
    });
    typed(
        "envoy.tracers.opentelemetry",
        "envoy.config.trace.v3.OpenTelemetryConfig",
        with(config, service(Signal::Traces, &traces.exporter)),
    )
}

/// The filter that keeps probes out of traces; `None` if there are no traces or no probes. (The sampler
/// ignores what a route says about tracing.) While a drain lasts, this filter answers the probes: 503.
pub(in crate::bootstrap) fn no_probes(settings: &Settings) -> Option<Value> {
    let probed = settings.telemetry.traces.is_some() && settings.proxy_health_paths;
    probed.then(|| status_listener::health_check("/health|/ready"))
}
