//! `check`: acquires one token for each slot of the filter's configuration, as the filter would.
//!
//! The state machine is that of token-core, and the calls go through an Envoy with the same clusters as
//! in `run`, so that DNS, proxies, TLS and credentials are tested, too. Only the wasm module is not.
//! The token itself and its signature are never shown.

mod attempt;
mod claims;
mod envoy;
mod remedies;
mod report;
mod responder;

use std::fs;
use std::io::{self, Write};
use std::time::Duration;

use entra_token_core::config::{self, ConfigErrors, PluginConfig, SlotSpec};
use entra_token_core::failure::{Failure, Recovery};

use crate::admin::Admin;
use crate::bootstrap;
use crate::children;
use crate::exit::{OS_ERROR, internal_error, refuse, say};
use crate::prepare::{self, Programs};
use crate::refusal::{self, BOOTSTRAP_REFUSED};
use crate::settings::Settings;
use crate::settings::choices::{AccessLog, LogLevel};
use attempt::{Attempts, Clock};
use claims::printable;
use envoy::Outcome;
use remedies::Verdict;
use report::{CheckedSlot, Report};

/// How long failed attempts are retried. This covers an endpoint that is briefly overloaded, but not an
/// update of IMDS, which may take 70 s. Each attempt has its own timeout (`TOKEN_REQUEST_TIMEOUT`).
const RETRY_PERIOD: Duration = Duration::from_secs(20);

/// Envoy's log, in the private directory.
const LOG: &str = "envoy.log";

/// Checks these settings and returns the exit code.
pub(crate) fn check(settings: &Settings, programs: Programs) -> u8 {
    match try_to_check(settings, programs) {
        Ok(code) | Err(code) => code,
    }
}

fn try_to_check(settings: &Settings, programs: Programs) -> Result<u8, u8> {
    let slots = checked_slots(&bootstrap::plugin_configuration(settings))
        .map_err(|errors| internal_error(&errors.to_string()))?;
    let verbose = settings.log_level.is_verbose();
    let mut settings = settings.clone();
    // The responses of a forward proxy are only in this log, which goes to standard error.
    settings.access_log = AccessLog::Errors;
    if !verbose {
        settings.log_level = LogLevel::WARNING;
    }
    let run_dir = prepare::private_directory(&settings)?;
    let timeouts = slots.iter().map(|it| it.spec.policy.call_timeout);
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
    let listening_socket = socket.clone();
    let admin = Admin {
        socket: bootstrap::admin_socket(run_dir.path()),
    };
    let work = move || {
        let clock = Clock::start();
        let attempts = Attempts {
            socket: listening_socket,
            admin,
            clock,
            deadline: clock.now().mono.after(RETRY_PERIOD),
            should_retry: &|failure| {
                !failure.permanent && failure.code.recovery() == Recovery::Automatic
            },
            on_retry: &report_retry,
        };
        acquire_all(&slots, &attempts)
    };
    let ended = envoy::run_with_envoy(&envoy, sidecars, &socket, work)
        .map_err(|not_started| prepare::cannot_run(&not_started))?;
    match ended {
        Outcome::Done(results) => print(&results),
        Outcome::Stopped(code) => Ok(code),
        Outcome::EnvoyExited(code) => {
            if code == BOOTSTRAP_REFUSED
                && let Some(error) = refusal::config_error(&settings, programs.envoy, bootstrap)
            {
                return Err(refuse(&[error]));
            }
            say(&format!("Envoy ended with code {code}:"));
            print_log(&log);
            Err(if code == 0 { OS_ERROR } else { code })
        }
        Outcome::NotListening => {
            say("Envoy does not listen:");
            print_log(&log);
            Err(OS_ERROR)
        }
    }
}

/// The slots of a configuration, with what the report needs to know about each.
fn checked_slots(config: &PluginConfig) -> Result<Vec<CheckedSlot>, ConfigErrors> {
    let plugin = config::compile(config)?;
    let slots = plugin.slots.iter().enumerate();
    let slots = slots.map(|(index, spec)| {
        let targets = plugin.targets.iter().filter(|target| target.slot == index);
        CheckedSlot {
            spec: spec.clone(),
            hosts: targets.map(|target| target.name.clone()).collect(),
        }
    });
    Ok(slots.collect())
}

/// Acquires the tokens of all slots concurrently.
fn acquire_all(
    slots: &[CheckedSlot],
    attempts: &Attempts<'_>,
) -> Vec<(Report, Result<(), Verdict>)> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = slots
            .iter()
            .map(|slot| (slot, scope.spawn(|| attempts.acquire(&slot.spec))))
            .collect();
        threads
            .into_iter()
            .map(|(slot, thread)| match thread.join() {
                Ok(Ok(acquired)) => {
                    let now = attempts.clock.now();
                    (Report::of_token(slot, &acquired, now), Ok(()))
                }
                Ok(Err(failed)) => {
                    let verdict = Verdict::of(&failed.failure);
                    (Report::of_failure(slot, &failed), Err(verdict))
                }
                Err(panic) => std::panic::resume_unwind(panic),
            })
            .collect()
    })
}

fn report_retry(spec: &SlotSpec, failure: &Failure, wait: Duration) {
    let (identity, message, code) = (&spec.identity, printable(&failure.message), &failure.code);
    let seconds = wait.as_secs_f32();
    say(&format!(
        "identity `{identity}`: no token yet: {message} ({code}); next attempt in {seconds:.1} s"
    ));
}

/// Prints the reports on standard output, and returns the exit code.
fn print(results: &[(Report, Result<(), Verdict>)]) -> Result<u8, u8> {
    let mut text = results
        .iter()
        .map(|(report, _)| report.to_string())
        .collect::<Vec<_>>()
        .join("\n");
    if results.iter().any(|(_, result)| result.is_ok()) {
        text.push_str("\nThe claims are shown without verification.\n");
    }
    io::stdout().write_all(text.as_bytes()).map_err(|error| {
        say(&format!("cannot write to standard output: {error}"));
        OS_ERROR
    })?;
    Ok(exit_code(results.iter().map(|(_, result)| *result)))
}

/// The exit code of the worst result.
fn exit_code(results: impl Iterator<Item = Result<(), Verdict>>) -> u8 {
    let worst = results.filter_map(Result::err).max();
    worst.map_or(0, Verdict::exit_code)
}

/// Prints Envoy's log. There is no file if Envoy logs to standard error.
fn print_log(log: &std::path::Path) {
    if let Ok(text) = fs::read_to_string(log) {
        eprint!("{text}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_result_determines_the_exit_code() {
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
