//! The crates that a program is linked from, by `cargo tree`.

use std::env;
use std::process::Command;

use crate::sbom::Component;

/// The crates in this package's program for this target: no macros, and nothing that only the
/// build or the tests need.
///
/// # Errors
/// When cargo cannot tell.
pub fn linked(package: &str, target: &str) -> Result<Vec<Component>, String> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["tree", "--locked", "--package", package, "--target", target])
        .args(["--edges", "normal,no-proc-macro", "--prefix", "none"])
        .args(["--format", "{p}|{l}"])
        .output()
        .map_err(|error| format!("cannot run cargo tree: {error}"))?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        return Err(format!(
            "cargo tree --package {package} failed: {}",
            why.trim()
        ));
    }
    let lines = String::from_utf8_lossy(&output.stdout);
    lines.lines().map(component).collect()
}

/// Reads a line: `name v1.2.3 (where)|MIT OR Apache-2.0`, with ` (*)` where it stood before.
fn component(line: &str) -> Result<Component, String> {
    let unknown = || format!("cargo tree printed {line:?}, where a crate was expected");
    let line = line.strip_suffix(" (*)").unwrap_or(line);
    let (package, licence) = line.split_once('|').ok_or_else(unknown)?;
    let mut words = package.split(' ');
    let (Some(name), Some(version)) = (words.next(), words.next()) else {
        return Err(unknown());
    };
    let version = version.strip_prefix('v').ok_or_else(unknown)?;
    Ok(Component {
        kind: "library",
        name: name.to_owned(),
        version: version.to_owned(),
        purl: Some(format!("pkg:cargo/{name}@{}", version.replace('+', "%2B"))),
        // The old way to write "or", which is no SPDX expression.
        licence: (!licence.is_empty()).then(|| licence.replace('/', " OR ")),
        sha256: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_cargo_tree_is_read_in_all_its_forms() {
        let serde = component("serde v1.0.228|MIT OR Apache-2.0").unwrap();
        assert_eq!(serde.purl.as_deref(), Some("pkg:cargo/serde@1.0.228"));
        assert_eq!(serde.licence.as_deref(), Some("MIT OR Apache-2.0"));

        let again = component("wasi v0.11.1+snapshot|MIT/Apache-2.0 (*)").unwrap();
        assert_eq!(
            again.purl.as_deref(),
            Some("pkg:cargo/wasi@0.11.1%2Bsnapshot")
        );
        assert_eq!(again.licence.as_deref(), Some("MIT OR Apache-2.0"));

        let ours = component("token-sidecar v0.1.0 (/a/folder)|").unwrap();
        assert_eq!(
            (ours.name.as_str(), ours.version.as_str()),
            ("token-sidecar", "0.1.0")
        );
        assert_eq!(ours.licence, None);

        component("error: something else").unwrap_err();
    }
}
