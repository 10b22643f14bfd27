//! The two ways to play faults.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::catalog::FaultInjection;
use super::schedule::Act;
use super::test_bed::{Playing, TestBed};
use crate::eventually_ok;

/// How often it is looked what is due.
const STEP: Duration = Duration::from_millis(50);

/// How long a fault may take to meet a request.
const MET: Duration = Duration::from_secs(30);

/// Plays each of the faults until it has met a request, for its shortest time at least, and waits
/// after each until samples arrive again.
///
/// # Errors
/// When a fault meets no request, or no sample arrives after it.
pub fn one_by_one(
    test_bed: &mut TestBed,
    injections: impl IntoIterator<Item = &'static FaultInjection>,
) -> Result<(), String> {
    for injection in injections {
        let during = |reason| format!("{}: {reason}", injection.name);
        let playing = test_bed.begin(injection).map_err(during)?;
        sleep(Duration::from_secs(injection.lasts.0));
        let met = || {
            if test_bed.has_met(&playing) {
                Ok(())
            } else {
                test_bed.repeat(&playing);
                Err("it has met none")
            }
        };
        eventually_ok(MET, "the fault meets a request", met).map_err(during)?;
        test_bed.end(&playing).map_err(during)?;
        test_bed.resumes().map_err(during)?;
        test_bed.check_processes().map_err(during)?;
    }
    Ok(())
}

/// Plays faults by a schedule, and calls `watch` again and again meanwhile. Of what happens only
/// this is judged here: that the processes live.
///
/// # Errors
/// When a process ends that no fault has ended, or does not start again; and the reason of
/// `watch`, which ends the play.
pub fn mixed(
    test_bed: &mut TestBed,
    acts: &[Act],
    mut watch: impl FnMut(&TestBed) -> Result<(), String>,
) -> Result<(), String> {
    let started = Instant::now();
    let mut due = acts.iter().peekable();
    let mut playing: Vec<(Duration, Playing)> = Vec::new();
    while due.peek().is_some() || !playing.is_empty() {
        let now = started.elapsed();
        for (_, over) in playing.extract_if(.., |(to, _)| *to <= now) {
            test_bed.end(&over)?;
        }
        while let Some(act) = due.next_if(|act| act.from <= now) {
            playing.push((act.to, test_bed.begin(act.injection)?));
        }
        test_bed.check_processes()?;
        watch(test_bed)?;
        sleep(STEP);
    }
    Ok(())
}
