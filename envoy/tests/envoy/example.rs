//! `examples/remote-write.yaml` is what the launcher makes of the environment in its first lines.

use std::path::Path;
use std::process::Command;

use entra_auth_envoy::bootstrap;
use entra_auth_envoy::machine::Machine;
use entra_auth_envoy::settings;
use entra_auth_envoy::settings::variables::Variables;
use serde_json::Value;

use crate::support::files;
use crate::support::secure_target::Authority;

/// Paths of the example that are other ones in a test.
const MODULE: &str = "/opt/entra-auth/entra_auth_filter.wasm";
const TRUST_STORE: &str = "/etc/ssl/certs/ca-certificates.crt";
const RUN_DIR: &str = "/run/entra-auth-envoy";

fn example() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/remote-write.yaml");
    std::fs::read_to_string(path).expect("the example is there")
}

/// The environment that the example's comment gives.
fn environment(example: &str) -> Vec<(String, String)> {
    let variables: Vec<(String, String)> = example
        .lines()
        .take_while(|line| line.starts_with('#'))
        .filter_map(|line| line.strip_prefix("#   ")?.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    assert_eq!(variables.len(), 4);
    variables
}

/// The plugin configuration is JSON in a string: what it says counts, not how it is laid out.
fn with_parsed_configurations(value: Value) -> Value {
    match value {
        Value::Object(members) => members
            .into_iter()
            .map(|(name, value)| match (name.as_str(), &value) {
                ("value", Value::String(text)) if text.contains("\"mode\"") => (
                    name,
                    serde_json::from_str(text).expect("a plugin configuration"),
                ),
                _ => (name, with_parsed_configurations(value)),
            })
            .collect(),
        Value::Array(items) => items.into_iter().map(with_parsed_configurations).collect(),
        other => other,
    }
}

#[test]
fn the_example_is_what_the_launcher_renders() {
    let example = example();
    let directory = tempfile::tempdir().unwrap();
    let module = files::module(directory.path()).display().to_string();
    let store = Authority::new(directory.path()).file.display().to_string();
    let mut variables = environment(&example);
    variables.push(("ENTRA_AUTH_MODULE".into(), module.clone()));
    variables.push(("SSL_CERT_FILE".into(), store.clone()));
    let machine = Machine {
        ipv6: true,
        ..Machine::default()
    };
    let reading = settings::read(&variables.into_iter().collect::<Variables>(), &machine);
    let rendered = bootstrap::build(&reading.outcome.unwrap(), Path::new(RUN_DIR));
    let rendered = rendered
        .to_string()
        .replace(&module, MODULE)
        .replace(&store, TRUST_STORE);

    let expected: Value = serde_saphyr::from_str(&example).expect("valid YAML");
    let actual: Value = serde_json::from_str(&rendered).unwrap();
    let lines = |value| format!("{:#}", with_parsed_configurations(value));
    let (actual, expected) = (lines(actual), lines(expected));
    for (actual, expected) in actual.lines().zip(expected.lines()) {
        assert_eq!(actual, expected, "the first line that differs");
    }
    assert_eq!(actual.lines().count(), expected.lines().count());
}

#[test]
fn envoy_accepts_the_example() {
    let directory = tempfile::tempdir().unwrap();
    let module = files::module(directory.path()).display().to_string();
    let store = Authority::new(directory.path()).file.display().to_string();
    let file = directory.path().join("remote-write.yaml");
    let text = example()
        .replace(MODULE, &module)
        .replace(TRUST_STORE, &store);
    std::fs::write(&file, text).unwrap();
    let validation = Command::new(files::envoy())
        .args(["--mode", "validate", "--log-level", "warning", "-c"])
        .arg(&file)
        .output()
        .expect("Envoy runs");
    let said = String::from_utf8_lossy(&validation.stderr);
    assert!(validation.status.success(), "{said}");
}
