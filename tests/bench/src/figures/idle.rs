//! What the ticks cost while no request comes: the time of an Envoy with our module on a core, over
//! that of the same Envoy without it.

use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use anstream::println;
use e2e::CpuTime;
use e2e::screen::BOLD;
use serde::Serialize;

use super::Placement;
use crate::filters::TARGET;
use crate::goals::Goal;
use crate::load::{Client, GET_16};
use crate::test_bed::TestBed;

const WORKERS: u32 = 16;
/// What starting leaves to do.
const SETTLE: Duration = Duration::from_secs(5);
const TIME: Duration = Duration::from_secs(20);

/// In per cent of a core.
#[derive(Debug, Serialize)]
pub(super) struct Idle {
    placement: Placement,
    workers: u32,
    with_percent: f64,
    without_percent: f64,
}

impl Idle {
    fn over(&self) -> f64 {
        self.with_percent - self.without_percent
    }

    pub(super) fn goal(&self) -> Goal {
        let what = format!(
            "idle in per cent of a core, {} workers, {}",
            self.workers,
            self.placement.name()
        );
        Goal::new(what, self.over(), 0.2)
    }
}

pub(super) fn measure(test_bed: &TestBed, module: &Path) -> Result<Vec<Idle>, String> {
    println!("\n{BOLD}idle{BOLD:#} ({WORKERS} workers, {TIME:?})");
    let (bare, bare_port) = Placement::Launcher.bootstrap(test_bed, &test_bed.azure, module)?;
    let mut envoys = vec![(
        test_bed.envoy(&bare.without_module()?.0, bare_port, WORKERS)?,
        bare_port,
    )];
    for placement in Placement::BOTH {
        let (bootstrap, port) = placement.bootstrap(test_bed, &test_bed.azure, module)?;
        envoys.push((test_bed.envoy(&bootstrap.0, port, WORKERS)?, port));
    }
    let request = GET_16.request(TARGET)?;
    for (_, port) in &envoys {
        // It has a token then.
        test_bed.run(async { Client::open(*port).await?.exchange(request.clone()).await })?;
    }
    sleep(SETTLE);
    let times = || -> Result<Vec<CpuTime>, String> {
        let times = envoys
            .iter()
            .map(|(envoy, _)| CpuTime::of_tree(envoy.process().id()));
        times.collect()
    };
    let before = times()?;
    sleep(TIME);
    let after = times()?;
    let mut percents = before.iter().zip(&after).map(|(before, after)| {
        (*after - *before).running.as_secs_f64() / TIME.as_secs_f64() * 100.0
    });
    let without_percent = percents.next().ok_or("nothing was measured")?;
    let mut all = Vec::new();
    for (placement, with_percent) in Placement::BOTH.into_iter().zip(percents) {
        let idle = Idle {
            placement,
            workers: WORKERS,
            with_percent,
            without_percent,
        };
        println!(
            "  {:<10} {with_percent:.3} % of a core, without our module {without_percent:.3} %",
            placement.name()
        );
        all.push(idle);
    }
    Ok(all)
}
