//! The command line.

use std::env;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use e2e::tools;

use crate::figures::Figure;
use crate::load::{GET_16, LOADS, Load, POST_20K};
use crate::rounds::Plan;
use crate::test_bed::Upstream;
use crate::variants::Modules;

/// Measures what a request costs, compared with Envoy's own credential injector.
#[derive(Debug, Parser)]
pub(crate) struct Arguments {
    /// The most important loads, with fewer and shorter rounds.
    #[arg(long)]
    quick: bool,
    /// Only these loads, e.g. `get-16-plain,post-20k-tls`.
    #[arg(long, value_delimiter = ',', value_name = "LOAD", value_parser = load)]
    loads: Option<Vec<(Load, Upstream)>>,
    /// Only these figures in addition to the loads; none with `--loads` alone.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "FIGURE")]
    figures: Option<Vec<Figure>>,
    /// How many rounds.
    #[arg(long)]
    rounds: Option<usize>,
    /// How long a variant is measured in a round, in milliseconds.
    #[arg(long, value_name = "MILLISECONDS")]
    slice: Option<u64>,
    /// The module that is measured; the one in dist/ if none is given.
    #[arg(long, env = "MODULE")]
    module: Option<PathBuf>,
    /// Another module that is measured in the same rounds, as `launcher-2` and `istio-2`.
    #[arg(long, env = "COMPARE", value_name = "MODULE")]
    compare: Option<PathBuf>,
    /// The command line of another proxy that is measured in the same rounds, over TLS;
    /// docs/guides/performance.md says what it is told.
    #[arg(long, env = "PEER", value_name = "COMMAND LINE")]
    pub(crate) peer: Option<String>,
    /// Keeps the results as tests/bench/results/NAME.json, too.
    #[arg(long, env = "RECORD", value_name = "NAME")]
    record: Option<String>,
    /// Repeats the order of a run.
    #[arg(long, env = "SEED")]
    pub(crate) seed: Option<u64>,
}

/// Where results are written.
pub(crate) struct Files {
    pub(crate) json: PathBuf,
    pub(crate) chart: PathBuf,
    pub(crate) record: Option<PathBuf>,
}

impl Arguments {
    pub(crate) fn files(&self) -> Files {
        let target = env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
        let folder = tools::repository().join(target).join("bench");
        let name = match (self.loads.is_some() || self.figures.is_some(), self.quick) {
            (true, _) => "bench-part",
            (false, true) => "bench-quick",
            (false, false) => "bench",
        };
        let results = tools::repository().join("tests/bench/results");
        let record = self.record.as_ref();
        Files {
            json: folder.join(format!("{name}.json")),
            chart: folder.join(format!("{name}.svg")),
            record: record.map(|name| results.join(format!("{name}.json"))),
        }
    }

    pub(crate) fn modules(&self) -> Modules {
        Modules {
            ours: self.module.clone().unwrap_or_else(tools::module),
            other: self.compare.clone(),
        }
    }

    /// The loads by this way to the target.
    pub(crate) fn loads(&self, upstream: Upstream) -> Vec<Load> {
        let here = |loads: &[(Load, Upstream)]| {
            let here = loads.iter().filter(|(_, its)| *its == upstream);
            here.map(|(load, _)| *load).collect()
        };
        match (&self.loads, self.quick, upstream) {
            (Some(loads), ..) => here(loads),
            (None, ..) if self.figures.is_some() => Vec::new(),
            (None, true, Upstream::Plain) => vec![GET_16, POST_20K],
            (None, true, Upstream::Tls) => vec![GET_16],
            (None, false, _) => LOADS.to_vec(),
        }
    }

    /// The figures in addition to the loads.
    pub(crate) fn figures(&self) -> Vec<Figure> {
        match (&self.figures, &self.loads, self.quick) {
            (Some(figures), ..) => figures.clone(),
            (None, None, false) => Figure::value_variants().to_vec(),
            _ => Vec::new(),
        }
    }

    /// How much is measured of a load.
    pub(crate) fn plan(&self, load: &Load) -> Plan {
        let (rounds, slice) = match (self.quick, *load == GET_16) {
            (true, _) => (9, 200),
            (false, true) => (21, 400),
            (false, false) => (9, 500),
        };
        Plan {
            rounds: self.rounds.unwrap_or(rounds),
            slice: Duration::from_millis(self.slice.unwrap_or(slice)),
        }
    }
}

fn load(text: &str) -> Result<(Load, Upstream), String> {
    let found = LOADS.iter().find_map(|load| {
        let upstream = match text.strip_prefix(load.name)? {
            "-plain" => Upstream::Plain,
            "-tls" => Upstream::Tls,
            _ => return None,
        };
        Some((*load, upstream))
    });
    let names = || LOADS.map(|load| load.name).join(", ");
    found.ok_or_else(|| format!("there are {}, each with -plain or -tls", names()))
}
