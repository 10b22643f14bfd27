//! What a request costs where there are many targets, or many tokens, in the configuration: as Istio
//! places the filter, for a target in the middle, to a configuration with that one alone.

use std::path::Path;
use std::time::Duration;

use anstream::println;
use azure_sim::AZURE_MONITOR;
use e2e::screen::BOLD;
use e2e::{eventually_ok, free_port};
use serde::Serialize;
use serde_json::Value;

use crate::filters;
use crate::goals::Goal;
use crate::launcher::{Choices, Launcher};
use crate::load::GET_16;
use crate::rounds::{self, Plan, Subject};
use crate::statistics::Spread;
use crate::table;
use crate::test_bed::{TestBed, Upstream};
use crate::variants::{Variant, Wanted};

const TARGETS: usize = 1000;
const SLOTS: usize = 100;

/// How much more it costs than one.
#[derive(Debug, Serialize)]
pub(super) struct Many {
    what: &'static str,
    cpu_us: Spread,
    to_one: Spread,
}

impl Many {
    pub(super) fn goal(&self) -> Goal {
        Goal::new(format!("{} ÷ 1", self.what), self.to_one.median, 1.10)
    }
}

/// A configuration, and the host that is asked for.
struct Case {
    what: &'static str,
    targets: Vec<Value>,
    host: String,
    audience: String,
}

/// What tokens are for, one for each slot.
pub(crate) fn audiences() -> Vec<String> {
    (0..SLOTS)
        .map(|slot| format!("https://slot-{slot}.example"))
        .collect()
}

fn cases() -> Vec<Case> {
    let host = |name: &str, index: usize| format!("{name}-{index}.{}", &filters::PATTERN[2..]);
    let slots = audiences();
    let of_slot =
        |(index, audience): (usize, &String)| filters::target(&host("slot", index), audience);
    let one = |index| filters::target(&host("host", index), AZURE_MONITOR);
    vec![
        Case {
            what: "1 target",
            targets: vec![filters::target(&host("only", 0), AZURE_MONITOR)],
            host: host("only", 0),
            audience: AZURE_MONITOR.to_owned(),
        },
        Case {
            what: "1,000 targets",
            targets: (0..TARGETS).map(one).collect(),
            host: host("host", TARGETS / 2),
            audience: AZURE_MONITOR.to_owned(),
        },
        Case {
            what: "100 slots",
            targets: slots.iter().enumerate().map(of_slot).collect(),
            host: host("slot", SLOTS / 2),
            audience: slots[SLOTS / 2].clone(),
        },
    ]
}

pub(super) fn measure(
    test_bed: &TestBed,
    module: &Path,
    plan: Plan,
    random: &mut fastrand::Rng,
) -> Result<Vec<Many>, String> {
    let choices = Choices {
        upstream: Upstream::Plain,
        module,
        access_log: "off",
        telemetry: &[],
    };
    let mut bootstrap = Launcher::render(test_bed, &test_bed.azure, choices)?;
    let way = bootstrap.take()?.bare()?;
    bootstrap = bootstrap.without_module()?;
    let imds = test_bed.azure.addresses().imds.to_string();
    let mut variants = Vec::new();
    for case in cases() {
        let port = free_port();
        let filter = filters::istio(module, &filters::plugin_with(&imds, &case.targets));
        let cluster = filters::istio_cluster(&case.host);
        let way = way.clone().downstream(filter)?;
        bootstrap.add(way.named(case.what, port, &cluster)?)?;
        variants.push(Variant {
            name: case.what.to_owned(),
            meaning: case.what,
            port,
            host: case.host,
            wanted: Wanted::Value(test_bed.authorization(&case.audience)?),
        });
    }
    let port = variants.first().map_or(0, |variant| variant.port);
    let calls = || test_bed.azure.state().imds.calls;
    let before = calls();
    let envoy = test_bed.envoy(&bootstrap.0, port, 1)?;
    // Each slot's, and the one of all targets.
    let wanted = before + SLOTS as u64 + 1;
    eventually_ok(
        Duration::from_secs(60),
        "every slot has its token",
        || match calls() >= wanted {
            true => Ok(()),
            false => Err(format!("{} of {wanted} calls", calls())),
        },
    )?;
    let process = envoy.process().id();
    let subjects: Vec<Subject> = variants
        .into_iter()
        .map(|variant| Subject { variant, process })
        .collect();
    let samples = rounds::measure(test_bed, &subjects, &GET_16, plan, random)
        .map_err(|reason| format!("{}{reason}", envoy.process().tail()))?;
    let one = samples.first().ok_or("nothing was measured")?;
    println!(
        "\n{BOLD}many targets, many tokens{BOLD:#} (small GET, 16 connections, as Istio places the filter)"
    );
    let mut all = Vec::new();
    for (subject, samples) in subjects.iter().zip(&samples).skip(1) {
        let many = Many {
            what: subject.variant.meaning,
            cpu_us: Spread::of(&samples.cpu).ok_or("no rounds")?,
            to_one: Spread::of_ratios(&samples.cpu, &one.cpu).ok_or("no rounds")?,
        };
        println!("  {:<16} ÷ 1: {}", many.what, table::ratio(&many.to_one));
        all.push(many);
    }
    Ok(all)
}
