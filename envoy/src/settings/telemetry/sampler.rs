//! `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG`: which requests are traced
//! (<https://opentelemetry.io/docs/specs/otel/trace/sdk/#sampling>).

use entra_auth_settings_input::choices::unknown;
use entra_auth_settings_input::{Problem, quoted};

use crate::settings::Reader;

const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
const ARGUMENT: &str = "OTEL_TRACES_SAMPLER_ARG";

/// A sampler that may record something.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sampler {
    /// Every request.
    AlwaysOn,
    /// This share of the traces, above 0 and at most 1, whatever the caller decided.
    TraceIdRatio(f64),
    /// As the caller decided; every request without a caller's decision.
    ParentBasedAlwaysOn,
    /// As the caller decided; this share, above 0 and at most 1, of the requests without its decision.
    ParentBasedTraceIdRatio(f64),
    /// As the caller decided; no request without its decision.
    ParentBasedAlwaysOff,
}

/// The samplers that are served.
const SERVED: [&str; 6] = [
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
];

/// Those of the specification that are not.
const NOT_SERVED: [&str; 3] = ["jaeger_remote", "parentbased_jaeger_remote", "xray"];

impl Reader<'_> {
    /// The sampler; `None` if it records nothing.
    pub(super) fn sampler(&mut self) -> Option<Sampler> {
        const DEFAULT: Option<Sampler> = Some(Sampler::ParentBasedAlwaysOn);
        let Some(value) = self.variables.value(SAMPLER) else {
            if self.variables.value(ARGUMENT).is_some() {
                self.warnings
                    .push(format!("{ARGUMENT} has no effect without {SAMPLER}"));
            }
            return DEFAULT;
        };
        let name = value.to_ascii_lowercase();
        if NOT_SERVED.contains(&name.as_str()) {
            self.warnings.push(format!(
                "{SAMPLER}={name} is not served: parentbased_always_on is used"
            ));
            return DEFAULT;
        }
        let takes_ratio = name.ends_with("traceidratio");
        let ratio = match takes_ratio {
            true => self.or(ARGUMENT, 1.0, ratio).unwrap_or(1.0),
            false => 1.0,
        };
        let is_known = SERVED.contains(&name.as_str());
        if is_known && !takes_ratio && self.variables.value(ARGUMENT).is_some() {
            self.warnings
                .push(format!("{ARGUMENT} has no effect: {name} takes none"));
        }
        match name.as_str() {
            "always_on" => Some(Sampler::AlwaysOn),
            "always_off" => None,
            "traceidratio" => (ratio > 0.0).then_some(Sampler::TraceIdRatio(ratio)),
            "parentbased_always_on" => DEFAULT,
            "parentbased_traceidratio" if ratio > 0.0 => {
                Some(Sampler::ParentBasedTraceIdRatio(ratio))
            }
            "parentbased_always_off" | "parentbased_traceidratio" => {
                Some(Sampler::ParentBasedAlwaysOff)
            }
            _ => self.note(SAMPLER, Err(unknown(value, &SERVED))),
        }
    }

    /// Says once what the default costs. (Measured by `make bench`: docs/guides/performance.md.)
    pub(super) fn tell_cost_of_traces(&mut self) {
        if self.variables.value(SAMPLER).is_none() {
            self.warnings.push(format!(
                "{SAMPLER} is not set, so every request is traced unless its caller decided \
                 otherwise (parentbased_always_on), which costs half as much CPU time again; \
                 {SAMPLER}=parentbased_traceidratio with {ARGUMENT}=0.01 traces 1 %, \
                 OTEL_TRACES_EXPORTER=none nothing"
            ));
        }
    }
}

fn ratio(value: &str) -> Result<f64, Problem> {
    match value.parse() {
        Ok(ratio) if (0.0..=1.0).contains(&ratio) => Ok(ratio),
        _ => Err(Problem::new(
            format!("is {}, which is no number from 0 to 1", quoted(value)),
            "Give the share of the requests, as 0.01 for 1 %.",
        )),
    }
}
