//! What a request costs: Envoy on one core, the load and the target on another, the time that the
//! Envoy process has had on its core for each request, and our filter compared with Envoy's own.
//!
//! `make bench` runs it; docs/guides/performance.md has a result and the method.

mod chart;
mod cores;
mod figures;
mod filters;
mod goals;
mod launcher;
mod load;
mod machine;
mod options;
mod peer;
mod results;
mod rounds;
mod statistics;
mod table;
mod target;
mod test_bed;
mod variants;

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anstream::{eprintln, println};
use clap::Parser;
use e2e::screen::BAD;

use crate::figures::Figures;
use crate::load::GET_16;
use crate::machine::Machine;
use crate::options::Arguments;
use crate::peer::Peer;
use crate::results::{LoadResult, Results};
use crate::rounds::Subject;
use crate::test_bed::{TestBed, Upstream};
use crate::variants::{Modules, SideBySide};

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("\n{reason}\n{BAD}The benchmark has failed.{BAD:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), String> {
    let seed = arguments.seed.unwrap_or_else(|| fastrand::u64(..1_000_000));
    let mut random = fastrand::Rng::with_seed(seed);
    let modules = arguments.modules();
    let test_bed = TestBed::set(figures::audiences())?;
    let machine = Machine::look(test_bed.cores, &modules.ours)?;
    table::machine(&machine, seed);
    let mut loads = Vec::new();
    for upstream in [Upstream::Plain, Upstream::Tls] {
        loads.extend(requests(
            &test_bed,
            upstream,
            arguments,
            &modules,
            &mut random,
        )?);
    }
    let mut figures = Figures::default();
    for figure in arguments.figures() {
        let plan = arguments.plan(&GET_16);
        figures.measure(figure, &test_bed, &modules.ours, plan, &mut random)?;
    }
    let goals = goals::judge(&loads, &figures, machine.module_bytes);
    table::goals(&goals);
    let results = Results {
        machine,
        seed,
        loads,
        figures,
        goals,
    };
    write(&results, arguments)
}

/// Keeps the results, and draws them.
fn write(results: &Results, arguments: &Arguments) -> Result<(), String> {
    let json = serde_json::to_string_pretty(results).map_err(|error| error.to_string())? + "\n";
    let mut files = arguments.files();
    println!();
    for (path, text) in [
        (files.json, json.clone()),
        (files.chart, chart::svg(results)),
    ] {
        save(&path, &text)?;
    }
    match files.record.take() {
        Some(path) => save(&path, &json),
        None => Ok(()),
    }
}

fn save(path: &Path, text: &str) -> Result<(), String> {
    let save = || {
        fs::create_dir_all(path.parent().unwrap_or(path))?;
        fs::write(path, text)
    };
    save().map_err(|error| format!("{}: {error}", path.display()))?;
    println!("written: {}", path.display());
    Ok(())
}

/// The cost of requests by this way to the target.
fn requests(
    test_bed: &TestBed,
    upstream: Upstream,
    arguments: &Arguments,
    modules: &Modules,
    random: &mut fastrand::Rng,
) -> Result<Vec<LoadResult>, String> {
    let loads = arguments.loads(upstream);
    if loads.is_empty() {
        return Ok(Vec::new());
    }
    let side_by_side = SideBySide::new(test_bed, upstream, modules)?;
    let port = side_by_side.variants.first().map(|first| first.port);
    let port = port.ok_or("there is nothing to measure")?;
    let envoy = test_bed.envoy(&side_by_side.bootstrap.0, port, 1)?;
    let peer = match (&arguments.peer, upstream) {
        (Some(command_line), Upstream::Tls) => Some(Peer::start(test_bed, command_line)?),
        _ => None,
    };
    let mut subjects: Vec<Subject> = side_by_side
        .variants
        .iter()
        .map(|variant| Subject {
            variant: variant.clone(),
            process: envoy.process().id(),
        })
        .collect();
    subjects.extend(peer.as_ref().map(Peer::subject));
    let mut results = Vec::new();
    for load in loads {
        let plan = arguments.plan(&load);
        let samples = rounds::measure(test_bed, &subjects, &load, plan, random)
            .map_err(|reason| format!("{}{reason}", envoy.process().tail()))?;
        let result = LoadResult::new(
            &load,
            upstream,
            side_by_side.authorization_bytes,
            plan,
            &subjects,
            &samples,
        )?;
        table::load(&result);
        results.push(result);
    }
    Ok(results)
}
