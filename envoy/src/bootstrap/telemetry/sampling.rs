//! The samplers of the OpenTelemetry specification
//! (<https://opentelemetry.io/docs/specs/otel/trace/sdk/#built-in-samplers>) as Envoy has them.

use serde_json::{Value, json};

use crate::bootstrap::typed;
use crate::settings::telemetry::Sampler;

/// The sampler of a tracer.
pub(super) fn sampler(sampler: &Sampler) -> Value {
    match *sampler {
        Sampler::AlwaysOn => always_on(),
        Sampler::TraceIdRatio(ratio) => of_ratio(ratio),
        Sampler::ParentBasedAlwaysOn => parent_based(&always_on()),
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
