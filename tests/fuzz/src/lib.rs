//! What must hold for every input that comes from outside: one function for each parser.
//!
//! `cargo test` replays the inputs in `corpus/`; `make fuzz` searches for others, by the programs
//! in `libfuzzer/`, which do no more than call these functions. A function panics where something
//! does not hold. An input that was found becomes a file in `corpus/`.

mod certificate;
mod configuration;
mod credential;
mod endpoint;
mod hosts;
mod record;
mod settings;

/// A parser and what must hold for it.
#[derive(Clone, Copy)]
pub struct Target {
    /// Of its folder in `corpus/` and its program in `libfuzzer/`.
    pub name: &'static str,
    /// Panics where something does not hold for this input.
    pub check: fn(&[u8]),
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target {
        name: "certificate",
        check: certificate::certificate,
    },
    Target {
        name: "credential",
        check: credential::credential,
    },
    Target {
        name: "error_reply",
        check: endpoint::error_reply,
    },
    Target {
        name: "hosts",
        check: hosts::hosts,
    },
    Target {
        name: "plugin_config",
        check: configuration::plugin_config,
    },
    Target {
        name: "record",
        check: record::record,
    },
    Target {
        name: "retry_after",
        check: endpoint::retry_after,
    },
    Target {
        name: "settings",
        check: settings::settings,
    },
    Target {
        name: "token_reply",
        check: endpoint::token_reply,
    },
];

/// Checks one input of the target of this name.
///
/// # Panics
/// Where something does not hold, and where there is no such target.
pub fn check(name: &str, input: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name);
    (target.expect("a target of this name").check)(input);
}

/// Stands in place of a secret; must be seen nowhere.
const MARKER: &str = "fuzz-marker-of-a-secret";

/// Panics if a text that people see has the marker in it.
#[track_caller]
fn hides_the_marker(shown: &str) {
    assert!(!shown.contains(MARKER), "a secret is shown: {shown}");
}
