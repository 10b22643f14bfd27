//! `check`: one token for each slot of the filter's configuration, got as the filter gets it. The
//! policy is token-core's, the calls go through an Envoy with the clusters that `run` gives it, so
//! that names, proxies, TLS and credentials are those of `run`. Only the wasm module is not in it.
//!
//! What is of use to nobody but the target is not shown: the token, nor any part of its signature.

mod attempt;
mod claims;
mod envoy;
mod place;
mod remedies;
mod report;

use std::fs;
use std::io::{self, Write};
use std::time::Duration;

use entra_token_core::config::{self, Mistakes, PluginConfig, SlotSpec};
use entra_token_core::failure::{EndsBy, Failure};

use crate::admin::Admin;
use crate::bootstrap;
use crate::children;
use crate::exit::{OS_ERROR, internal_error, refuse, say};
use crate::prepare::{self, Programs};
use crate::refusal::{self, REFUSED};
use crate::settings::Settings;
use crate::settings::choices::{AccessLog, LogLevel};
use attempt::{Attempts, Clock};
use claims::printable;
use envoy::Ended;
use remedies::Verdict;
use report::{Report, Subject};

/// For so long further attempts are begun: enough for an endpoint that is busy for a moment; not for
/// IMDS after a restart, which may take 70 s. An attempt has its own time (`TOKEN_REQUEST_TIMEOUT`).
const PATIENCE: Duration = Duration::from_secs(20);

/// Envoy's log, in the private directory.
const LOG: &str = "envoy.log";

/// Checks these settings and gives the exit code.
pub(crate) fn check(settings: &Settings, programs: Programs) -> u8 {
    match try_to_check(settings, programs) {
        Ok(code) | Err(code) => code,
    }
}

fn try_to_check(settings: &Settings, programs: Programs) -> Result<u8, u8> {
    let subjects = subjects(&bootstrap::plugin_configuration(settings))
        .map_err(|mistakes| internal_error(&mistakes.to_string()))?;
    let verbose = settings.log_level.is_verbose();
    let mut settings = settings.clone();
    // Standard output is for the results.
    // What a forward proxy answers is told nowhere else.
    settings.access_log = AccessLog::Errors;
    if !verbose {
        // Standard error is for what goes wrong.
        settings.log_level = LogLevel::WARNING;
    }
    let run_dir = prepare::private_directory(&settings)?;
    let timeouts = subjects.iter().map(|it| it.spec.policy.call_timeout);
    let timeout = timeouts.max().unwrap_or_default();
    let bootstrap = bootstrap::check::build(&settings, run_dir.path(), timeout);
    let bootstrap = prepare::write_bootstrap(&run_dir, &bootstrap)?;
    let log = run_dir.path().join(LOG);
    let log_file = (!verbose).then_some(log.as_path());
    let envoy = children::checking_envoy(
        &settings,
        programs.envoy.clone(),
        bootstrap.clone(),
        log_file,
    );
    let sidecars = programs.token_sidecar.map_or_else(Vec::new, |program| {
        children::token_sidecars(&settings, &program, run_dir.path())
    });
    let socket = bootstrap::check::socket(run_dir.path());
    let asked_at = socket.clone();
    let admin = Admin {
        socket: bootstrap::admin_socket(run_dir.path()),
    };
    let work = move || {
        let clock = Clock::start();
        let attempts = Attempts {
            socket: asked_at,
            admin,
            clock,
            deadline: clock.now().mono.after(PATIENCE),
            may_pass: &|failure| !failure.permanent && failure.code.ends_by() == EndsBy::Time,
            tell: &tell,
        };
        ask_for_all(&subjects, &attempts)
    };
    let ended = envoy::work(&envoy, sidecars, &socket, work)
        .map_err(|not_started| prepare::cannot_run(&not_started))?;
    match ended {
        Ended::Done(results) => print(&results),
        Ended::Stopped(code) => Ok(code),
        Ended::Early(code) => {
            if code == REFUSED
                && let Some(mistake) = refusal::mistake(&settings, programs.envoy, bootstrap)
            {
                return Err(refuse(&[mistake]));
            }
            say(&format!("Envoy ended with code {code}:"));
            show(&log);
            Err(if code == 0 { OS_ERROR } else { code })
        }
        Ended::NotListening => {
            say("Envoy does not listen:");
            show(&log);
            Err(OS_ERROR)
        }
    }
}

/// The slots of a configuration, as the filter makes them, with whom their tokens are for.
fn subjects(config: &PluginConfig) -> Result<Vec<Subject>, Mistakes> {
    let plugin = config::compile(config)?;
    let slots = plugin.slots.iter().enumerate();
    let subjects = slots.map(|(index, spec)| {
        let targets = plugin.targets.iter().filter(|target| target.slot == index);
        Subject {
            spec: spec.clone(),
            hosts: targets.map(|target| target.name.clone()).collect(),
        }
    });
    Ok(subjects.collect())
}

/// All at once, as the filter does.
fn ask_for_all(
    subjects: &[Subject],
    attempts: &Attempts<'_>,
) -> Vec<(Report, Result<(), Verdict>)> {
    std::thread::scope(|scope| {
        let asked: Vec<_> = subjects
            .iter()
            .map(|subject| (subject, scope.spawn(|| attempts.get(&subject.spec))))
            .collect();
        asked
            .into_iter()
            .map(|(subject, asked)| match asked.join() {
                Ok(Ok(acquired)) => {
                    let now = attempts.clock.now();
                    (Report::of_token(subject, &acquired, now), Ok(()))
                }
                Ok(Err(failed)) => {
                    let verdict = Verdict::of(&failed.failure);
                    (Report::of_failure(subject, &failed), Err(verdict))
                }
                Err(panic) => std::panic::resume_unwind(panic),
            })
            .collect()
    })
}

fn tell(spec: &SlotSpec, failure: &Failure, wait: Duration) {
    let (identity, message, code) = (&spec.identity, printable(&failure.message), &failure.code);
    let seconds = wait.as_secs_f32();
    say(&format!(
        "identity `{identity}`: no token yet: {message} ({code}); next attempt in {seconds:.1} s"
    ));
}

/// On standard output; the worst result is the code.
fn print(results: &[(Report, Result<(), Verdict>)]) -> Result<u8, u8> {
    let mut text = results
        .iter()
        .map(|(report, _)| report.to_string())
        .collect::<Vec<_>>()
        .join("\n");
    if results.iter().any(|(_, result)| result.is_ok()) {
        text.push_str("\nClaims are read here, not verified.\n");
    }
    io::stdout().write_all(text.as_bytes()).map_err(|error| {
        say(&format!("cannot write to standard output: {error}"));
        OS_ERROR
    })?;
    Ok(exit_code(results.iter().map(|(_, result)| *result)))
}

/// Of several slots the worst one's.
fn exit_code(results: impl Iterator<Item = Result<(), Verdict>>) -> u8 {
    let worst = results.filter_map(Result::err).max();
    worst.map_or(0, Verdict::exit_code)
}

/// Envoy's own words; where it has none, it has said them already.
fn show(log: &std::path::Path) {
    if let Ok(words) = fs::read_to_string(log) {
        eprint!("{words}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_slots_the_worst_gives_the_code() {
        use Verdict::{Misconfigured, Refused, Unreachable};
        for (results, code) in [
            (&[Ok(()), Ok(())][..], 0),
            (&[Ok(()), Err(Unreachable)], 69),
            (&[Err(Refused), Err(Unreachable), Ok(())], 77),
            (&[Err(Unreachable), Err(Misconfigured), Err(Refused)], 64),
        ] {
            assert_eq!(exit_code(results.iter().copied()), code, "{results:?}");
        }
    }
}
