//! What is measured in addition to the cost of requests: one file for each figure.

mod first;
mod idle;
mod many;
mod memory;
mod refresh;
mod telemetry;

use clap::ValueEnum;
use serde::Serialize;

use crate::goals::Goal;
use crate::launcher::{Choices, Launcher};
use crate::rounds::Plan;
use crate::test_bed::{TestBed, Upstream};
use crate::{filters, variants};

pub(crate) use many::audiences;

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Figure {
    /// 1,000 targets, and 100 slots, to one.
    Many,
    /// Token calls per refresh at 1 to 16 workers.
    Refresh,
    /// Memory over a bare Envoy's at 1 to 8 workers.
    Memory,
    /// The first authorised request after Envoy is up.
    First,
    /// Time on a core without a request, at 16 workers.
    Idle,
    /// What metrics, traces and the access log by OTLP add to a request.
    Telemetry,
}

/// All of it; what was left out is absent.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Figures {
    many: Vec<many::Many>,
    refresh: Vec<refresh::Refresh>,
    memory: Vec<memory::Memory>,
    first: Vec<first::First>,
    idle: Vec<idle::Idle>,
    telemetry: Vec<telemetry::Telemetry>,
}

impl Figures {
    /// Measures one of them.
    pub(crate) fn measure(
        &mut self,
        figure: Figure,
        test_bed: &TestBed,
        module: &std::path::Path,
        plan: Plan,
        random: &mut fastrand::Rng,
    ) -> Result<(), String> {
        match figure {
            Figure::Many => self.many = many::measure(test_bed, module, plan, random)?,
            Figure::Refresh => self.refresh = refresh::measure(test_bed, module)?,
            Figure::Memory => self.memory = memory::measure(test_bed, module)?,
            Figure::First => self.first = first::measure(test_bed, module)?,
            Figure::Idle => self.idle = idle::measure(test_bed, module)?,
            Figure::Telemetry => {
                self.telemetry = telemetry::measure(test_bed, module, plan, random)?;
            }
        }
        Ok(())
    }

    /// Those of the goals that belong to them.
    pub(crate) fn goals(&self) -> Vec<Goal> {
        let mut goals = Vec::new();
        goals.extend(self.many.iter().map(many::Many::goal));
        goals.extend(self.refresh.iter().map(refresh::Refresh::goal));
        goals.extend(self.memory.iter().map(memory::Memory::goal));
        goals.extend(self.first.iter().map(first::First::goal));
        goals.extend(self.idle.iter().map(idle::Idle::goal));
        goals.extend(self.telemetry.iter().filter_map(telemetry::Telemetry::goal));
        goals
    }
}

/// Where the filter is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Placement {
    Launcher,
    Istio,
}

impl Placement {
    const BOTH: [Self; 2] = [Self::Launcher, Self::Istio];

    fn name(self) -> &'static str {
        match self {
            Self::Launcher => variants::LAUNCHER,
            Self::Istio => variants::ISTIO,
        }
    }

    /// An Envoy with nothing but this, in clear to the target, and the port of its listener.
    fn bootstrap(
        self,
        test_bed: &TestBed,
        azure: &e2e::azure::Azure,
        module: &std::path::Path,
    ) -> Result<(Launcher, u16), String> {
        let choices = Choices {
            upstream: Upstream::Plain,
            module,
            access_log: "off",
            telemetry: &[],
        };
        let mut launcher = Launcher::render(test_bed, azure, choices)?;
        let port = launcher.port()?;
        if self == Self::Istio {
            let way = launcher.take()?.bare()?;
            let imds = azure.addresses().imds.to_string();
            let filter = filters::istio(module, &filters::plugin(&imds));
            let cluster = filters::istio_cluster(filters::TARGET);
            launcher = launcher.without_module()?;
            launcher.add(way.downstream(filter)?.named("proxy", port, &cluster)?)?;
        }
        Ok((launcher, port))
    }
}
