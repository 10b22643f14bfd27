//! The two ways to play faults.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::catalog::Trouble;
use super::schedule::Act;
use super::stage::{Playing, Stage};
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
    stage: &mut Stage,
    troubles: impl IntoIterator<Item = &'static Trouble>,
) -> Result<(), String> {
    for trouble in troubles {
        let during = |reason| format!("{}: {reason}", trouble.name);
        let playing = stage.begin(trouble).map_err(during)?;
        sleep(Duration::from_secs(trouble.lasts.0));
        let met = || {
            if stage.has_met(&playing) {
                Ok(())
            } else {
                stage.repeat(&playing);
                Err("it has met none")
            }
        };
        eventually_ok(MET, "the fault meets a request", met).map_err(during)?;
        stage.end(&playing).map_err(during)?;
        stage.resumes().map_err(during)?;
        stage.check_processes().map_err(during)?;
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
    stage: &mut Stage,
    acts: &[Act],
    mut watch: impl FnMut(&Stage) -> Result<(), String>,
) -> Result<(), String> {
    let started = Instant::now();
    let mut due = acts.iter().peekable();
    let mut playing: Vec<(Duration, Playing)> = Vec::new();
    while due.peek().is_some() || !playing.is_empty() {
        let now = started.elapsed();
        for (_, over) in playing.extract_if(.., |(to, _)| *to <= now) {
            stage.end(&over)?;
        }
        while let Some(act) = due.next_if(|act| act.from <= now) {
            playing.push((act.to, stage.begin(act.trouble)?));
        }
        stage.check_processes()?;
        watch(stage)?;
        sleep(STEP);
    }
    Ok(())
}
