//! The request path of the module that ships is no longer than the record says.

use cost::{modules, verdict};

#[test]
fn a_request_costs_what_the_record_says() {
    let costs = modules::costs().unwrap_or_else(|error| panic!("{error}"));
    let recorded = modules::recorded().unwrap_or_else(|error| panic!("{error}"));
    if let Some(differences) = verdict::differences(&recorded, &costs) {
        panic!("{differences}\n\n{}", verdict::table(&costs));
    }
}

#[test]
fn two_runs_give_the_same_figures() {
    let run = || modules::costs_of(&modules::shipped()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(run(), run());
}
