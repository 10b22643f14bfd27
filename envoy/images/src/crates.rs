//! The crates that are linked into a program, according to `cargo tree`, and their licences.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use serde_json::Value;

use crate::files::read;
use crate::sbom::Component;

/// The crates in this package's program for this target, without macros, build dependencies and
/// development dependencies.
///
/// # Errors
/// If cargo fails.
pub fn linked(package: &str, target: &str) -> Result<Vec<Component>, String> {
    let which = ["tree", "--locked", "--package", package, "--target", target];
    let what = ["--edges", "normal,no-proc-macro", "--prefix", "none"];
    let lines = cargo(&[&which[..], &what, &["--format", "{p}|{l}"]].concat())?;
    lines.lines().map(component).collect()
}

/// The trimmed output of a cargo command.
fn cargo(arguments: &[&str]) -> Result<String, String> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = (Command::new(cargo).args(arguments).output())
        .map_err(|error| format!("cannot run cargo {}: {error}", arguments[0]))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if !output.status.success() {
        let why = text(&output.stderr);
        return Err(format!("cargo {} failed: {why}", arguments.join(" ")));
    }
    Ok(text(&output.stdout))
}

/// The licences of the components that are crates from a registry, for programs for these targets: a
/// list of the crates, then each licence text once, with the crates that have it.
///
/// # Errors
/// If cargo does not know a crate's sources, or they cannot be read.
pub fn notices(components: &[Component], targets: &[&str]) -> Result<Vec<u8>, String> {
    let mut arguments = vec!["metadata", "--locked", "--format-version", "1"];
    for target in targets {
        arguments.extend(["--filter-platform", target]);
    }
    let metadata: Value = serde_json::from_str(&cargo(&arguments)?)
        .map_err(|error| format!("cargo metadata printed what is no JSON: {error}"))?;
    let mut folders = BTreeMap::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let text = |field: &str| package[field].as_str().unwrap_or_default();
        let folder = Path::new(text("manifest_path")).with_file_name("");
        folders.insert((text("name"), text("version")), folder);
    }

    let crates: BTreeMap<_, _> = (components.iter())
        .filter(|it| (it.purl.as_deref()).is_some_and(|purl| purl.starts_with("pkg:cargo/")))
        .map(|it| ((it.name.as_str(), it.version.as_str()), it))
        .collect();
    let mut list = "Crates in these programs, and their licences\n\n".to_owned();
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (crate_, component) in crates {
        let (name, version) = crate_;
        let folder = (folders.get(&crate_))
            .ok_or_else(|| format!("cargo metadata does not know {name} {version}"))?;
        let licence = component
            .licence
            .as_deref()
            .unwrap_or("a licence of its own");
        list += &format!("{name} {version}: {licence}\n");
        for text in licence_texts(folder)? {
            texts
                .entry(text)
                .or_default()
                .push(format!("{name} {version}"));
        }
    }
    for (text, of) in texts {
        list += &format!("\n{}\n{}:\n\n{text}\n", "-".repeat(72), of.join(", "));
    }
    Ok(list.into_bytes())
}

/// The texts of the licence files in a crate's folder, which are recognized by their names.
fn licence_texts(folder: &Path) -> Result<Vec<String>, String> {
    let unreadable = |error| format!("cannot read {}: {error}", folder.display());
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| entry.map(|it| it.path())).collect())
        .map_err(unreadable)?;
    files.retain(|file| {
        let name = file.file_name().unwrap_or_default().to_ascii_uppercase();
        let begins = |with: &&str| name.as_encoded_bytes().starts_with(with.as_bytes());
        file.is_file() && ["LICENSE", "LICENCE", "COPY", "NOTICE"].iter().any(begins)
    });
    files.sort();
    let text = |file: &PathBuf| Ok(String::from_utf8_lossy(&read(file)?).trim_end().to_owned());
    files.iter().map(text).collect()
}

/// Parses a line: `name v1.2.3 (path)|MIT OR Apache-2.0`, with ` (*)` at its end if it is repeated.
fn component(line: &str) -> Result<Component, String> {
    let unknown = || format!("cargo tree printed {line:?}, where a crate was expected");
    let line = line.strip_suffix(" (*)").unwrap_or(line);
    let (package, licence) = line.split_once('|').ok_or_else(unknown)?;
    let mut words = package.split(' ');
    let (Some(name), Some(version)) = (words.next(), words.next()) else {
        return Err(unknown());
    };
    let version = version.strip_prefix('v').ok_or_else(unknown)?;
    // Our crates have a path after the version. They are not in a registry.
    let published = words.next().is_none();
    Ok(Component {
        kind: "library",
        name: name.to_owned(),
        version: version.to_owned(),
        purl: published.then(|| format!("pkg:cargo/{name}@{}", version.replace('+', "%2B"))),
        // `/` is the old syntax for `OR`, and not a valid SPDX expression.
        licence: (!licence.is_empty()).then(|| licence.replace('/', " OR ")),
        ..Component::default()
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
        assert_eq!((ours.licence, ours.purl), (None, None));

        component("error: something else").unwrap_err();
    }
}
