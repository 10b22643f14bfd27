//! Rounds: in each, every variant is measured once, in random order.

use std::time::{Duration, Instant};

use e2e::CpuTime;

use crate::load::{self, Load};
use crate::test_bed::TestBed;
use crate::variants::{Variant, Wanted};

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) rounds: usize,
    /// For each variant in a round.
    pub(crate) slice: Duration,
}

/// Requests before a measurement, of which the proxy opens its connections to the target.
const WARM_UP: Duration = Duration::from_millis(80);
/// Before the first round: V8 compiles a module again when it is used much.
const FIRST_WARM_UP: Duration = Duration::from_millis(700);

/// A variant and the process whose time is counted.
#[derive(Debug, Clone)]
pub(crate) struct Subject {
    pub(crate) variant: Variant,
    pub(crate) process: u32,
}

/// What was measured of one of them, a number for each round.
#[derive(Debug, Clone, Default)]
pub(crate) struct Samples {
    /// Time of the process on a core for a request, in microseconds.
    pub(crate) cpu: Vec<f64>,
    /// Requests in a second.
    pub(crate) rate: Vec<f64>,
    /// The share of the time in which the process had to wait for its core, because others had it.
    pub(crate) waited: Vec<f64>,
    /// Of every request, in microseconds.
    pub(crate) latencies: Vec<u32>,
}

/// Measures all of them, after a look whether each does its job.
pub(crate) fn measure(
    test_bed: &TestBed,
    subjects: &[Subject],
    load: &Load,
    plan: Plan,
    random: &mut fastrand::Rng,
) -> Result<Vec<Samples>, String> {
    for subject in subjects {
        check(test_bed, &subject.variant, load)?;
        slice(
            test_bed,
            subject,
            load,
            FIRST_WARM_UP,
            &mut Samples::default(),
        )?;
    }
    let mut all = vec![Samples::default(); subjects.len()];
    for _ in 0..plan.rounds {
        let mut order: Vec<_> = subjects.iter().zip(&mut all).collect();
        random.shuffle(&mut order);
        for (subject, samples) in order {
            slice(test_bed, subject, load, plan.slice, samples)?;
        }
    }
    Ok(all)
}

/// A variant that does not do its job would be cheap.
fn check(test_bed: &TestBed, variant: &Variant, load: &Load) -> Result<(), String> {
    let named = |reason| format!("{}: {reason}", variant.name);
    let seen = test_bed
        .sees(load, variant.port, &variant.host)
        .map_err(named)?;
    let right = match (&variant.wanted, seen.authorization.as_slice()) {
        (Wanted::Nothing, []) => true,
        (Wanted::Value(wanted), [value]) => value == wanted,
        (Wanted::Bearer, [value]) => value.starts_with("Bearer ey"),
        _ => false,
    };
    if !right {
        let lengths: Vec<usize> = seen.authorization.iter().map(String::len).collect();
        // A token is not shown.
        return Err(named(format!(
            "the request arrived with other than the wanted authorization: of lengths {lengths:?}"
        )));
    }
    if seen.body != load.body {
        return Err(named(format!(
            "of {} bytes {} arrived",
            load.body, seen.body
        )));
    }
    Ok(())
}

fn slice(
    test_bed: &TestBed,
    Subject { variant, process }: &Subject,
    load: &Load,
    time: Duration,
    samples: &mut Samples,
) -> Result<(), String> {
    let request = load.request(&variant.host)?;
    let measured = test_bed.run(async {
        let clients = load::clients(load, variant.port).await?;
        let (clients, _) = load::run(clients, &request, WARM_UP).await?;
        let (before, started) = (CpuTime::of_tree(*process)?, Instant::now());
        let (_, latencies) = load::run(clients, &request, time).await?;
        let elapsed = started.elapsed();
        Ok((CpuTime::of_tree(*process)? - before, elapsed, latencies))
    });
    let (cpu, elapsed, latencies) =
        measured.map_err(|reason| format!("{}: {reason}", variant.name))?;
    let requests = latencies.len() as f64;
    samples.cpu.push(cpu.running.as_secs_f64() * 1e6 / requests);
    samples
        .waited
        .push(cpu.waiting.as_secs_f64() / elapsed.as_secs_f64());
    samples.rate.push(requests / elapsed.as_secs_f64());
    samples.latencies.extend(latencies);
    Ok(())
}
