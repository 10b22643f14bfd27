//! What `make soak` runs: starts as each kind of identity, which must be silent; then faults in random
//! order while a real Prometheus writes through the proxy, for as long as is wanted, and at the end the
//! count of what was stored and of Envoy's memory.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anstream::{eprintln, println};
use clap::Parser;
use e2e::faults::{RunOptions, TestBed, mixed, schedule, seed};
use e2e::screen::{BAD, BOLD, DIM, GOOD, Table, summary};
use e2e::{Look, Protocol, Release, starts, stop_signal, tools};

/// How often a line is shown.
const LINE: Duration = Duration::from_secs(10);

/// How often the launcher is started as each identity, and with how many workers.
const STARTS: [(usize, usize); 2] = [(20, 1), (20, 4)];

/// When Envoy's memory is looked at to be compared: by then it has held its first requests, and
/// keeps what it took for them.
const WARM: Duration = Duration::from_secs(60);

/// How much more memory Envoy may hold at the end, in MB: what an allocator keeps of a higher peak
/// of held requests. In five minutes it was 0.0; a leak of 1 kB a request, of some 8,000 an hour,
/// shows after an hour.
const GROWTH: f64 = 8.0;

/// Plays faults in random order, and counts at the end.
#[derive(Debug, Parser)]
struct Arguments {
    /// How long faults are played.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(2..))]
    minutes: u64,
    /// Repeats the schedule of a run.
    #[arg(long)]
    seed: Option<u64>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match soak(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("\n{reason}\n{BAD}The soak has failed.{BAD:#}");
            ExitCode::FAILURE
        }
    }
}

fn soak(arguments: &Arguments) -> Result<(), String> {
    let stop = stop_signal()?;
    let seed = arguments.seed.map_or_else(seed, Ok)?;
    let time = Duration::from_secs(arguments.minutes * 60);
    for (count, workers) in STARTS {
        println!("{count} starts as each identity, {workers} workers");
        starts::all_are_silent(count, workers)?;
    }
    let mut test_bed = TestBed::start(options())?;
    run(&mut test_bed, &stop, seed, time).map_err(|reason| {
        format!(
            "{}{reason}\nSEED={seed} repeats the schedule",
            test_bed.tail()
        )
    })
}

/// The newest that is there.
fn options() -> RunOptions {
    let (release, protocol) = if tools::has_prometheus3() {
        (Release::Three, Protocol::Two)
    } else {
        println!("Prometheus 3 is not there (scripts/setup prometheus3 builds it with Go)");
        (Release::Packaged, Protocol::One)
    };
    RunOptions {
        release,
        protocol,
        http2: true,
    }
}

fn run(test_bed: &mut TestBed, stop: &AtomicBool, seed: u64, time: Duration) -> Result<(), String> {
    let title = test_bed.prometheus().title();
    let minutes = time.as_secs() / 60;
    println!("{BOLD}{title}{BOLD:#}: faults for {minutes} minutes, seed {seed}");
    // Without restarts: it is the memory of one Envoy that is looked at.
    let acts = schedule(seed, time, |injection| !injection.action.restarts());
    let mut screen = Screen::default();
    let start = test_bed.proxy().memory()?.now;
    mixed(test_bed, &acts, |test_bed| {
        if stop.load(Ordering::Relaxed) {
            return Err("stopped before the time was over".to_owned());
        }
        screen.watch(test_bed)
    })?;
    finish(test_bed, start, screen.warm)
}

/// What is shown, and remembered, while faults are played.
struct Screen {
    table: Table,
    started: Instant,
    lines: u32,
    /// Envoy's memory when it was warm, in bytes.
    warm: Option<u64>,
}

impl Default for Screen {
    fn default() -> Self {
        Self {
            table: Table::default(),
            started: Instant::now(),
            lines: 0,
            warm: None,
        }
    }
}

impl Screen {
    fn watch(&mut self, test_bed: &TestBed) -> Result<(), String> {
        if self.warm.is_none() && self.started.elapsed() >= WARM {
            self.warm = Some(test_bed.proxy().memory()?.now);
        }
        if self.started.elapsed() >= LINE * (self.lines + 1) {
            self.lines += 1;
            self.table.line(&test_bed.look()?);
        }
        Ok(())
    }
}

fn finish(test_bed: &TestBed, start: u64, warm: Option<u64>) -> Result<(), String> {
    println!("\nno more faults; Prometheus sends what waits");
    let judged = test_bed.judge();
    faults(test_bed.played());
    let memory = memory(start, warm, test_bed.proxy().memory()?.now);
    counts(&judged?);
    memory
}

fn faults(played: &BTreeMap<&'static str, u64>) {
    let all: u64 = played.values().sum();
    println!("\n{BOLD}{all} faults{BOLD:#}");
    for (name, count) in played {
        println!("  {count:>4} × {name}");
    }
}

fn memory(start: u64, warm: Option<u64>, end: u64) -> Result<(), String> {
    let warm = warm.ok_or("it ended before Envoy's memory was looked at")?;
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    let growth = megabytes(end) - megabytes(warm);
    println!(
        "\n{BOLD}Envoy's resident memory{BOLD:#}: {:.1} MB at the start, {:.1} MB after {} s, {:.1} MB at the end ({growth:+.1} MB)",
        megabytes(start),
        megabytes(warm),
        WARM.as_secs(),
        megabytes(end),
    );
    if growth > GROWTH {
        Err(format!(
            "Envoy has grown by {growth:.1} MB, above {GROWTH} MB"
        ))
    } else {
        Ok(())
    }
}

fn counts(look: &Look) {
    println!("\n{GOOD}0 lost{GOOD:#}: {}", summary(look));
    println!(
        "{DIM}  Prometheus: {} scraped, {} sent, {} of them repeated; {} given up, {} dropped; refused: {:?}{DIM:#}",
        look.sent.scraped,
        look.sent.sent,
        look.sent.retried,
        look.sent.failed,
        look.sent.dropped,
        look.state.target.refused,
    );
}
