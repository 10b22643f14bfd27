//! Every scenario of `tests/e2e/scenarios/`, as two tests: `simulated::<name>` plays it into the
//! product's core within milliseconds, `real::<name>` into the product on a real Envoy.
//!
//! `cargo test -p e2e --test scenarios -- hang` plays those whose name holds `hang`.

mod scenario;
mod simulated;

use std::process::ExitCode;
use std::sync::Arc;

use e2e::tools;
use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    let folder = tools::repository().join("tests/e2e/scenarios");
    let scenarios = match scenario::read_all(&folder) {
        Ok(scenarios) => scenarios,
        Err(reason) => {
            eprintln!("{reason}");
            return ExitCode::FAILURE;
        }
    };
    let scenarios: Vec<_> = scenarios.into_iter().map(Arc::new).collect();
    let mut arguments = Arguments::from_args();
    let simulated = scenarios.iter().map(|scenario| {
        let scenario = Arc::clone(scenario);
        Trial::test(format!("simulated::{}", scenario.name), move || {
            Ok(simulated::run(&scenario).map_err(|why| format!("{}\n{why}", scenario.about))?)
        })
    });
    libtest_mimic::run(&arguments, simulated.collect()).exit_code()
}
