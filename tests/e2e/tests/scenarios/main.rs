//! Every scenario of `tests/e2e/scenarios/`, as two tests: `simulated::<name>` plays it into the
//! product's core within milliseconds, `real::<name>` into the product on a real Envoy.
//!
//! `cargo test -p e2e --test scenarios -- hang` plays those whose name holds `hang`.

mod format_tests;
mod real;
mod scenario;
mod simulated;

use std::cmp::Reverse;
use std::process::ExitCode;
use std::sync::Arc;

use e2e::tools;
use libtest_mimic::{Arguments, Trial};
use scenario::Scenario;

/// Real runs mostly wait: more of them than there are cores.
const AT_ONCE: usize = 16;

type Runner = fn(&Scenario) -> Result<(), String>;

fn main() -> ExitCode {
    let folder = tools::repository().join("tests/e2e/scenarios");
    let scenarios = match scenario::read_all(&folder) {
        Ok(scenarios) => scenarios,
        Err(reason) => {
            eprintln!("{reason}");
            return ExitCode::FAILURE;
        }
    };
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(AT_ONCE);
    libtest_mimic::run(&arguments, trials(scenarios)).exit_code()
}

fn trials(scenarios: Vec<Scenario>) -> Vec<Trial> {
    let scenarios: Vec<_> = scenarios.into_iter().map(Arc::new).collect();
    let trial = |runner: &str, run: Runner, scenario: &Arc<Scenario>| {
        let scenario = Arc::clone(scenario);
        Trial::test(format!("{runner}::{}", scenario.name), move || {
            Ok(run(&scenario).map_err(|why| format!("{}\n{why}", scenario.about))?)
        })
    };
    let simulated = scenarios
        .iter()
        .map(|scenario| trial("simulated", simulated::run, scenario));
    // Those that take longest come first, so that the last ones need not wait for them.
    let mut longest_first: Vec<_> = scenarios.iter().collect();
    longest_first.sort_by_key(|scenario| Reverse(scenario.longest_real_wait()));
    let real = longest_first
        .into_iter()
        .map(|scenario| trial("real", real::run, scenario));
    let format = Trial::test("format::every_mistake_is_named", || {
        Ok(format_tests::every_mistake_is_named()?)
    });
    [format].into_iter().chain(simulated).chain(real).collect()
}
