//! What `make run SECONDS=…` runs.

use std::process::Command;

#[test]
fn the_demo_ends_by_itself_and_says_that_every_sample_has_arrived() {
    let output = Command::new(env!("CARGO_BIN_EXE_demo"))
        .args(["--seconds", "15"])
        .output()
        .expect("the demo runs");
    let printed = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{printed}");
    assert!(printed.contains("Every sample has arrived"), "{printed}");
}
