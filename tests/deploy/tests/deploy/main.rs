//! What users apply, checked as they would by Helm, kustomize and the schemas of Kubernetes and
//! Istio; and the environment that each Deployment gives must be one that the launcher takes.
//!
//! `make test-deploy` runs it; `cargo test -p deploy --features tools -- certificate` those whose
//! name holds `certificate`.

mod cases;
mod coherence;
mod examples;
mod istio;
mod launcher;
mod manifests;
mod mesh;
mod monitoring;
mod notes;
mod pod;
mod refused;
mod rendered;
mod schemas;
mod tools;
mod values;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    let trials = [
        cases::trials(),
        refused::trials(),
        values::trials(),
        Ok(notes::trials()),
        Ok(monitoring::trials()),
        examples::trials(),
        istio::trials(),
        Ok(schemas::trials()),
    ];
    match trials.into_iter().collect::<Result<Vec<_>, String>>() {
        Ok(trials) => {
            let trials = trials.into_iter().flatten().collect();
            libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
        }
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

/// A test that needs the tools: ignored where the feature does not say that they are there.
fn trial(name: String, run: impl FnOnce() -> Result<(), String> + Send + 'static) -> Trial {
    Trial::test(name, move || Ok(run()?)).with_ignored_flag(!cfg!(feature = "tools"))
}
