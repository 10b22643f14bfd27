//! The samplers of the OpenTelemetry specification
//! (<https://opentelemetry.io/docs/specs/otel/trace/sdk/#built-in-samplers>) as Envoy has them.

use serde_json::{Value, json};

use crate::bootstrap::typed;
use crate::settings::telemetry::Sampler;

/// What is done to the headers of a request before its first span: for [`Sampler::AlwaysOn`], the caller's
/// decision, the last two digits of `traceparent` (<https://www.w3.org/TR/trace-context/#trace-flags>),
/// becomes "sampled".
pub(super) fn mutations(sampler: Sampler) -> Vec<Value> {
    let sampled = json!({ "append": {
        "header": { "key": "traceparent", "value": "%REQUEST_HEADER(TRACEPARENT):53%01" },
        "append_action": "OVERWRITE_IF_EXISTS",
    } });
    Vec::from_iter((sampler == Sampler::AlwaysOn).then_some(sampled))
}

/// The sampler of a tracer. It decides for each span of a request; one that ignored the parent would record
/// the attempt of a probe although the probe itself is not recorded. [`Sampler::AlwaysOn`] therefore is
/// the parent-based one with [`mutations`]. [`Sampler::TraceIdRatio`] cannot be: of probes that Envoy
/// forwards, it records its share.
pub(super) fn sampler(sampler: Sampler) -> Value {
    match sampler {
        Sampler::TraceIdRatio(ratio) => of_ratio(ratio),
        Sampler::AlwaysOn | Sampler::ParentBasedAlwaysOn => parent_based(&always_on()),
        Sampler::ParentBasedTraceIdRatio(ratio) => parent_based(&of_ratio(ratio)),
        Sampler::ParentBasedAlwaysOff => parent_based(&of_ratio(0.0)),
    }
}

fn always_on() -> Value {
    typed(
        "envoy.tracers.opentelemetry.samplers.always_on",
        "envoy.extensions.tracers.opentelemetry.samplers.v3.AlwaysOnSamplerConfig",
        json!({}),
    )
}

/// Samples this share of the traces, in millionths.
fn of_ratio(ratio: f64) -> Value {
    let millionths = (ratio * 1_000_000.0).round() as u32;
    typed(
        "envoy.tracers.opentelemetry.samplers.trace_id_ratio_based",
        "envoy.extensions.tracers.opentelemetry.samplers.v3.TraceIdRatioBasedSamplerConfig",
        json!({ "sampling_percentage": { "numerator": millionths, "denominator": "MILLION" } }),
    )
}

/// Follows the caller's decision; if there is none, that of `root`.
fn parent_based(root: &Value) -> Value {
    typed(
        "envoy.tracers.opentelemetry.samplers.parent_based",
        "envoy.extensions.tracers.opentelemetry.samplers.v3.ParentBasedSamplerConfig",
        json!({ "wrapped_sampler": root }),
    )
}
