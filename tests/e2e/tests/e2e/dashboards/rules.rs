//! The rules by Prometheus' own tool: that it takes them, and when alerts fire, with which words.

use std::path::Path;
use std::process::Command;

use e2e::tools;

/// Runs `promtool`, which must succeed.
#[track_caller]
fn promtool(command: [&str; 2], file: &Path) {
    let output = Command::new(tools::promtool())
        .args(command)
        .arg(file)
        .output()
        .expect("promtool");
    let printed =
        [output.stdout, output.stderr].map(|it| String::from_utf8_lossy(&it).into_owned());
    assert!(output.status.success(), "{}", printed.concat());
}

/// Checks a file of rules, and what they say of the series in a file of tests.
#[track_caller]
pub(crate) fn hold(rules: &Path, tests: &str) {
    promtool(["check", "rules"], rules);
    let tests = tools::repository().join("tests/e2e/tests/e2e").join(tests);
    promtool(["test", "rules"], &tests);
}

#[test]
fn each_alert_fires_in_its_time_with_its_words_and_ends() {
    hold(&super::rules(), "dashboards/rules.yaml");
}
