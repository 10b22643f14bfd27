//! What came out, as it is printed, drawn and kept.

use serde::Serialize;

use crate::figures::Figures;
use crate::goals::Goal;
use crate::load::Load;
use crate::machine::Machine;
use crate::rounds::{Plan, Samples, Subject};
use crate::statistics::{Spread, quantile};
use crate::test_bed::Upstream;
use crate::variants::{BARE, INJECTORS};

/// A whole run.
#[derive(Debug, Serialize)]
pub(crate) struct Results {
    pub(crate) machine: Machine,
    /// Of the order in the rounds.
    pub(crate) seed: u64,
    pub(crate) loads: Vec<LoadResult>,
    pub(crate) figures: Figures,
    pub(crate) goals: Vec<Goal>,
}

/// All variants under one load.
#[derive(Debug, Serialize)]
pub(crate) struct LoadResult {
    pub(crate) load: &'static str,
    pub(crate) title: &'static str,
    pub(crate) upstream: Upstream,
    pub(crate) connections: usize,
    pub(crate) body_bytes: usize,
    pub(crate) rounds: usize,
    pub(crate) slice_ms: u128,
    /// Of the header value that is set.
    pub(crate) authorization_bytes: usize,
    /// The native filter in its cheaper place, to which the others are compared.
    pub(crate) injector: String,
    /// The share of the time in which Envoy had to wait for its core: near 0 where nothing else runs.
    pub(crate) waited: Spread,
    pub(crate) variants: Vec<VariantResult>,
}

/// One of them.
#[derive(Debug, Serialize)]
pub(crate) struct VariantResult {
    pub(crate) name: String,
    pub(crate) meaning: &'static str,
    /// Microseconds of a core for a request.
    pub(crate) cpu_us: Spread,
    pub(crate) to_bare: Spread,
    pub(crate) to_injector: Spread,
    /// Requests in a second that were answered.
    pub(crate) per_second: Spread,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
}

impl LoadResult {
    pub(crate) fn new(
        load: &Load,
        upstream: Upstream,
        authorization_bytes: usize,
        plan: Plan,
        subjects: &[Subject],
        samples: &[Samples],
    ) -> Result<Self, String> {
        let measured = subjects.iter().zip(samples);
        let of = |name: &str| {
            measured
                .clone()
                .find(|(subject, _)| subject.variant.name == name)
                .map(|(_, samples)| samples)
                .ok_or_else(|| format!("{name} was not measured"))
        };
        let bare = of(BARE)?;
        let mut injectors = Vec::new();
        for name in INJECTORS {
            let ratio = Spread::of_ratios(&of(name)?.cpu, &bare.cpu).ok_or("no rounds")?;
            injectors.push((ratio.median, name));
        }
        injectors.sort_by(|one, other| one.0.total_cmp(&other.0));
        let (_, injector) = *injectors.first().ok_or("no injector")?;
        let injectors = of(injector)?;
        let variants = measured
            .clone()
            .map(|(subject, samples)| VariantResult::new(subject, samples, bare, injectors))
            .collect::<Option<_>>()
            .ok_or("a variant was not measured")?;
        let waited = samples.iter().flat_map(|samples| &samples.waited);
        let waited: Vec<f64> = waited.copied().collect();
        Ok(Self {
            waited: Spread::of(&waited).ok_or("no rounds")?,
            load: load.name,
            title: load.title,
            upstream,
            connections: load.connections,
            body_bytes: load.body,
            rounds: plan.rounds,
            slice_ms: plan.slice.as_millis(),
            authorization_bytes,
            injector: injector.to_owned(),
            variants,
        })
    }

    /// A variant of it.
    pub(crate) fn variant(&self, name: &str) -> Option<&VariantResult> {
        self.variants.iter().find(|variant| variant.name == name)
    }
}

impl VariantResult {
    fn new(
        subject: &Subject,
        samples: &Samples,
        bare: &Samples,
        injector: &Samples,
    ) -> Option<Self> {
        let mut latencies: Vec<f64> = samples.latencies.iter().copied().map(f64::from).collect();
        latencies.sort_by(f64::total_cmp);
        Some(Self {
            name: subject.variant.name.clone(),
            meaning: subject.variant.meaning,
            cpu_us: Spread::of(&samples.cpu)?,
            to_bare: Spread::of_ratios(&samples.cpu, &bare.cpu)?,
            to_injector: Spread::of_ratios(&samples.cpu, &injector.cpu)?,
            per_second: Spread::of(&samples.rate)?,
            p50_us: quantile(&latencies, 0.5)?,
            p99_us: quantile(&latencies, 0.99)?,
        })
    }

    /// Requests in a second of a core that does nothing else.
    pub(crate) fn per_core_second(&self) -> f64 {
        1e6 / self.cpu_us.median
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::load::GET_16;
    use crate::variants::{LAUNCHER, Variant, Wanted};

    /// The native filter in the cluster is the cheaper one here, though not in every round.
    #[test]
    fn variants_are_compared_to_the_cheaper_place_of_the_native_filter() {
        let measured = [
            (BARE, [100.0, 200.0, 100.0]),
            (INJECTORS[0], [110.0, 240.0, 112.0]),
            (INJECTORS[1], [120.0, 210.0, 105.0]),
            (LAUNCHER, [120.0, 231.0, 126.0]),
        ];
        let subjects = measured.map(|(name, _)| Subject {
            variant: Variant {
                name: name.to_owned(),
                meaning: "",
                port: 0,
                host: String::new(),
                wanted: Wanted::Nothing,
            },
            process: 0,
        });
        let samples = measured.map(|(_, cpu)| Samples {
            cpu: cpu.into(),
            rate: vec![1.0; 3],
            waited: vec![0.0; 3],
            latencies: vec![1, 2, 3],
        });
        let plan = Plan {
            rounds: 3,
            slice: Duration::from_secs(1),
        };
        let result = LoadResult::new(&GET_16, Upstream::Plain, 0, plan, &subjects, &samples);
        let result = result.unwrap();
        assert_eq!(result.injector, INJECTORS[1]);
        let launcher = result.variant(LAUNCHER).unwrap();
        assert!((launcher.to_injector.median - 1.1).abs() < 1e-9);
        assert!((launcher.to_bare.median - 1.2).abs() < 1e-9);
        assert_eq!(
            (launcher.p50_us, launcher.per_core_second()),
            (2.0, 1e6 / 126.0)
        );
    }
}
