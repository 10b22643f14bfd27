//! The tables on the screen.

use anstream::println;
use e2e::screen::{BAD, BOLD, CARE, DIM, GOOD};

use crate::goals::Goal;
use crate::machine::Machine;
use crate::results::LoadResult;
use crate::statistics::Spread;

/// On what it is measured.
pub(crate) fn machine(machine: &Machine, seed: u64) {
    println!(
        "{BOLD}{}{BOLD:#}, {} cores, Linux {}; Envoy {} on core {}, load and target on core {}",
        machine.processor,
        machine.cores,
        machine.kernel,
        machine.envoy,
        machine.pinned.proxy,
        machine.pinned.load
    );
    println!(
        "{DIM}{}; module of {} bytes; seed {seed}{DIM:#}",
        machine.commit, machine.module_bytes
    );
}

/// All variants under one load.
pub(crate) fn load(result: &LoadResult) {
    println!(
        "\n{BOLD}{}, {:?} upstream{BOLD:#} {DIM}({} rounds of {} ms each, header value of {} bytes; \
         ÷ native is to {}){DIM:#}",
        result.title,
        result.upstream,
        result.rounds,
        result.slice_ms,
        result.authorization_bytes,
        result.injector
    );
    println!(
        "{DIM}  {:<18} {:>11} {:>22} {:>22} {:>11} {:>8} {:>8}{DIM:#}",
        "", "µs/request", "÷ bare", "÷ native", "req/s·core", "p50 ms", "p99 ms"
    );
    for variant in &result.variants {
        println!(
            "  {:<18} {:>11.1} {:>22} {:>22} {:>11.0} {:>8.2} {:>8.2}",
            variant.name,
            variant.cpu_us.median,
            ratio(&variant.to_bare),
            ratio(&variant.to_injector),
            variant.per_core_second(),
            variant.p50_us / 1e3,
            variant.p99_us / 1e3,
        );
    }
    if result.waited.median > BUSY {
        println!(
            "  {CARE}Envoy waited for its core {:.0} % of the time: the machine is busy with \
             other things{CARE:#}",
            result.waited.median * 100.0
        );
    }
}

/// Above this share of waiting others had so much of the core that ratios are worth little.
const BUSY: f64 = 0.05;

/// A ratio with its quartiles.
pub(crate) fn ratio(spread: &Spread) -> String {
    format!(
        "{:.3} ({:.3}–{:.3})",
        spread.median, spread.lower_quartile, spread.upper_quartile
    )
}

/// The goals, and what came of them.
pub(crate) fn goals(goals: &[Goal]) {
    println!("\n{BOLD}goals{BOLD:#}");
    for goal in goals {
        let (style, word) = match goal.met {
            true => (GOOD, "met"),
            false => (BAD, "missed"),
        };
        println!(
            "  {:<64} {:>10} ≤ {:<8} {style}{word}{style:#}",
            goal.what,
            format!("{:.3}", goal.measured),
            goal.limit
        );
    }
}
