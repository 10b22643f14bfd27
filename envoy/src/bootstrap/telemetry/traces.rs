//! Traces by OTLP: the caller's trace is continued with a span for the request and one for each attempt.
//! No span has the query, a header or a token.

use std::time::Duration;

use serde_json::{Value, json};

use super::{resource_detectors, sampling, service};
use crate::bootstrap::status_listener::{self, method};
use crate::bootstrap::{typed, with};
use crate::settings::Settings;
use crate::settings::telemetry::Traces;
use crate::settings::telemetry::signal::Signal;

/// How often each worker sends its spans.
pub(super) const FLUSH_INTERVAL: Duration = Duration::from_secs(1);

/// How many spans a worker sends at once, unless the interval is over before: with Envoy's default, 5, a
/// traced request costs two and a half times as much as one that is not traced; with 512, half as much
/// again. Many workers, whose exports wait beside each other if a collector does not answer, send fewer.
fn spans_at_once(settings: &Settings) -> u32 {
    (1024 / settings.concurrency).clamp(64, 512)
}

/// The attribute `http.url`.
const HTTP_URL: &str =
    "%REQUEST_HEADER(:SCHEME):8%://%REQUEST_HEADER(:AUTHORITY):256%%PATH(NQ):256%";

/// The keys of Envoy's runtime for the tracer.
pub(in crate::bootstrap) fn runtime(settings: &Settings) -> Value {
    if settings.telemetry.traces.is_none() {
        return json!({});
    }
    json!({
        "tracing.opentelemetry.min_flush_spans": spans_at_once(settings),
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
            // A client's words have a limit, because many spans wait for an export. (`tracestate` has none.)
            "operation": "%REQUEST_HEADER(:METHOD):16% proxy",
            "upstream_operation": "%REQUEST_HEADER(:METHOD):16% target",
            "custom_tags": [
                // Envoy's own value has the query.
                { "tag": "http.url", "value": HTTP_URL },
                // The same for a request whose content type is that of gRPC.
                { "tag": "grpc.path", "value": "%PATH(NQ):256%" },
                { "tag": "grpc.authority", "value": "-" },
                { "tag": "grpc.content_type", "value": "-" },
                { "tag": "grpc.timeout", "value": "-" },
                // Envoy's own values are a client's headers. No value can be removed, but a header that is
                // cut to one character says nothing, and there is no attribute without the header.
                { "tag": "user_agent", "value": "-" },
                { "tag": "guid:x-request-id", "value": "%REQUEST_HEADER(X-REQUEST-ID):1%" },
                { "tag": "guid:x-client-trace-id", "value": "%REQUEST_HEADER(X-CLIENT-TRACE-ID):1%" },
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

/// What is done to the headers of a request before its first span.
pub(in crate::bootstrap) fn early_mutations(settings: &Settings) -> Vec<Value> {
    let traces = settings.telemetry.traces.as_ref();
    traces.map_or_else(Vec::new, |traces| sampling::mutations(traces.sampler))
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
        "sampler": sampling::sampler(traces.sampler),
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
    probed.then(|| status_listener::health_check("/health|/ready", vec![method("GET|HEAD")]))
}
