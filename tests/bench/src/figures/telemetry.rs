//! What telemetry by OTLP adds to the cost of a request: each kind in an Envoy of its own, to one without.
//! The collector is the target, which answers whatever comes: what it does costs another core.

use std::path::Path;

use anstream::println;
use azure_sim::AZURE_MONITOR;
use e2e::screen::BOLD;
use serde::Serialize;

use crate::filters::TARGET;
use crate::goals::Goal;
use crate::launcher::{Choices, Launcher};
use crate::load::GET_16;
use crate::rounds::{self, Plan, Subject};
use crate::statistics::Spread;
use crate::table;
use crate::test_bed::{TestBed, Upstream};
use crate::variants::{Variant, Wanted};

/// A kind of telemetry.
struct Case {
    what: &'static str,
    /// Its variables in addition to those that name the collector.
    variables: &'static [(&'static str, &'static str)],
    /// The most that it may cost.
    limit: Option<f64>,
}

const NO_METRICS: (&str, &str) = ("OTEL_METRICS_EXPORTER", "none");
const NO_TRACES: (&str, &str) = ("OTEL_TRACES_EXPORTER", "none");
const OF_RATIO: (&str, &str) = ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio");

const CASES: &[Case] = &[
    Case {
        what: "nothing",
        variables: &[NO_METRICS, NO_TRACES],
        limit: None,
    },
    Case {
        what: "metrics",
        variables: &[NO_TRACES, ("OLD_METRIC_NAMES", "off")],
        limit: Some(1.05),
    },
    Case {
        what: "metrics with old names",
        variables: &[NO_TRACES],
        limit: None,
    },
    Case {
        what: "traces, 0 %",
        variables: &[
            NO_METRICS,
            ("OTEL_TRACES_SAMPLER", "parentbased_always_off"),
        ],
        limit: None,
    },
    Case {
        what: "traces, 1 %",
        variables: &[NO_METRICS, OF_RATIO, ("OTEL_TRACES_SAMPLER_ARG", "0.01")],
        limit: Some(1.25),
    },
    Case {
        what: "traces, 100 %",
        variables: &[NO_METRICS, OF_RATIO],
        limit: None,
    },
    Case {
        what: "access log",
        variables: &[NO_METRICS, NO_TRACES, ("OTEL_LOGS_EXPORTER", "otlp")],
        limit: None,
    },
];

/// How much more a request costs with it.
#[derive(Debug, Serialize)]
pub(super) struct Telemetry {
    what: &'static str,
    cpu_us: Spread,
    to_none: Spread,
    limit: Option<f64>,
}

impl Telemetry {
    pub(super) fn goal(&self) -> Option<Goal> {
        let what = format!("{} by OTLP ÷ none", self.what);
        self.limit
            .map(|limit| Goal::new(what, self.to_none.median, limit))
    }
}

pub(super) fn measure(
    test_bed: &TestBed,
    module: &Path,
    plan: Plan,
    random: &mut fastrand::Rng,
) -> Result<Vec<Telemetry>, String> {
    let collector = format!("http://{}", test_bed.target.plain);
    let wanted = Wanted::Value(test_bed.authorization(AZURE_MONITOR)?);
    let mut envoys = Vec::new();
    let mut subjects = Vec::new();
    for case in CASES {
        let mut variables = vec![
            ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.as_str()),
            // As often as Envoy sums up its statistics without a collector.
            ("OTEL_METRIC_EXPORT_INTERVAL", "5000"),
        ];
        variables.extend(case.variables);
        let choices = Choices {
            upstream: Upstream::Plain,
            module,
            access_log: "off",
            telemetry: &variables,
        };
        let mut bootstrap = Launcher::render(test_bed, &test_bed.azure, choices)?;
        let port = bootstrap.port()?;
        let envoy = test_bed.envoy(&bootstrap.0, port, 1)?;
        subjects.push(Subject {
            variant: Variant {
                name: case.what.to_owned(),
                meaning: case.what,
                port,
                host: TARGET.to_owned(),
                wanted: wanted.clone(),
            },
            process: envoy.process().id(),
        });
        envoys.push(envoy);
    }
    let samples =
        rounds::measure(test_bed, &subjects, &GET_16, plan, random).map_err(|reason| {
            let tails: String = envoys.iter().map(|envoy| envoy.process().tail()).collect();
            format!("{tails}{reason}")
        })?;
    let none = samples.first().ok_or("nothing was measured")?;
    println!("\n{BOLD}telemetry by OTLP{BOLD:#} (small GET, 16 connections, an Envoy for each)");
    let mut all = Vec::new();
    for (case, samples) in CASES.iter().zip(&samples).skip(1) {
        let telemetry = Telemetry {
            what: case.what,
            cpu_us: Spread::of(&samples.cpu).ok_or("no rounds")?,
            to_none: Spread::of_ratios(&samples.cpu, &none.cpu).ok_or("no rounds")?,
            limit: case.limit,
        };
        println!(
            "  {:<24} ÷ none: {}",
            telemetry.what,
            table::ratio(&telemetry.to_none)
        );
        all.push(telemetry);
    }
    Ok(all)
}
