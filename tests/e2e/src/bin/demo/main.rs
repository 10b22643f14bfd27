//! What `make run` shows without Azure settings: a real Prometheus writes through the proxy to a
//! simulated Azure, which gives out the tokens, checks them and counts the samples.

mod screen;
mod setup;

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use clap::Parser;
use e2e::screen::Table;
use e2e::{stop_signal, verdict};

use crate::setup::Setup;

/// How often a line is shown.
const LINE: Duration = Duration::from_secs(3);

/// How long Prometheus may take to send what it has scraped, at the end of a timed run.
const SETTLE: Duration = Duration::from_secs(20);

/// A real Prometheus sends its samples to a simulated Azure Monitor through the proxy.
#[derive(Debug, Parser)]
struct Arguments {
    /// Ends by itself after this many seconds, with exit code 0 if every sample has arrived.
    /// Without it the demo runs until Ctrl-C.
    #[arg(long)]
    seconds: Option<u64>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            screen::failure(&reason);
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), String> {
    let stop = stop_signal()?;
    screen::title();
    let mut setup = Setup::start(&stop)?;
    screen::places(&setup);
    if arguments.seconds.is_none() {
        screen::play(&setup);
    }
    let result = watch(
        &mut setup,
        &stop,
        arguments.seconds.map(Duration::from_secs),
    );
    // The reason last: it is what a person sees first.
    result.map_err(|reason| format!("{}{reason}", setup.tail()))
}

/// Shows what happens, until the time is over or a signal comes.
fn watch(setup: &mut Setup, stop: &AtomicBool, time: Option<Duration>) -> Result<(), String> {
    let mut table = Table::default();
    let start = Instant::now();
    let mut next_line = start + LINE;
    while !stop.load(Ordering::Relaxed) {
        if time.is_some_and(|time| start.elapsed() >= time) {
            return finish(setup);
        }
        if Instant::now() >= next_line {
            next_line += LINE;
            setup.check_processes()?;
            let look = setup.look()?;
            table.news(&look);
            table.line(&look);
        }
        sleep(Duration::from_millis(50));
    }
    screen::interrupted(&setup.look()?);
    match time {
        Some(_) => Err("stopped before the time was over".to_owned()),
        None => Ok(()),
    }
}

/// The end of a timed run: everything scraped must have arrived, once.
fn finish(setup: &Setup) -> Result<(), String> {
    let sent = setup.prometheus.settle(SETTLE)?;
    let look = setup.look()?;
    let problems = verdict::problems(&sent, &look.state, 1);
    if problems.is_empty() {
        screen::success(&look);
        Ok(())
    } else {
        Err(problems.join("\n"))
    }
}
