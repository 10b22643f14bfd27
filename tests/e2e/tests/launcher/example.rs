//! `examples/remote-write.yaml` is what the launcher makes of the environment in its first lines, and
//! `examples/many.yaml` a file that it reads.

use std::path::Path;

use e2e::credentials::Authority;
use e2e::{stand_in, tools};
use entra_auth_envoy::bootstrap;
use entra_auth_envoy::machine::Machine;
use entra_auth_envoy::settings;
use entra_auth_settings_input::Variables;
use serde_json::Value;

use crate::bootstrap::{assert_envoy_accepts, with_parsed_configurations};

/// Paths of the example that are other ones in a test.
const MODULE: &str = "/opt/entra-auth/entra_auth_filter.wasm";
const TRUST_STORE: &str = "/etc/ssl/certs/ca-certificates.crt";
const RUN_DIR: &str = "/run/entra-auth-envoy";

fn example() -> String {
    let path = tools::repository().join("envoy/examples/remote-write.yaml");
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

#[test]
fn the_example_is_what_the_launcher_renders() {
    let example = example();
    let directory = tempfile::tempdir().unwrap();
    let module = stand_in::passive_module(directory.path())
        .display()
        .to_string();
    let authority = Authority::new("trusted");
    let store = authority.file().display().to_string();
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
    let module = stand_in::passive_module(directory.path())
        .display()
        .to_string();
    let authority = Authority::new("trusted");
    let store = authority.file().display().to_string();
    let file = directory.path().join("remote-write.yaml");
    let text = example()
        .replace(MODULE, &module)
        .replace(TRUST_STORE, &store);
    std::fs::write(&file, text).unwrap();
    assert_envoy_accepts(&file);
}

/// The files and variables that `examples/many.yaml` needs, with their places in a test.
fn environment_of_many(directory: &Path, authority: &Authority) -> Vec<(String, String)> {
    let path = |name: &str| directory.join(name).display().to_string();
    std::fs::write(path("government-secret"), "s3cret").unwrap();
    std::fs::write(path("telemetry.pem"), "-----BEGIN …").unwrap();
    // `{"alg":"none"}.{}.`, in base64url.
    std::fs::write(path("token"), "eyJhbGciOiJub25lIn0.e30.").unwrap();
    let example = tools::repository().join("envoy/examples/many.yaml");
    let text = std::fs::read_to_string(example).expect("the example is there");
    let text = text.replace("/etc/entra-auth/", &path(""));
    std::fs::write(path("config.yaml"), text).unwrap();
    let id = "00000000-0000-0000-0000-000000000002";
    let store = authority.file().display().to_string();
    [
        ("ENTRA_AUTH_CONFIG", path("config.yaml")),
        ("WEST_API_KEY", "key-secret".to_owned()),
        ("AZURE_CLIENT_ID", id.to_owned()),
        ("AZURE_TENANT_ID", "contoso.com".to_owned()),
        ("AZURE_FEDERATED_TOKEN_FILE", path("token")),
        (
            "AZURE_AUTHORITY_HOST",
            "https://login.microsoftonline.com/".to_owned(),
        ),
        (
            "ENTRA_AUTH_MODULE",
            stand_in::passive_module(directory).display().to_string(),
        ),
        ("SSL_CERT_FILE", store),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

#[test]
fn the_example_for_many_is_read_without_a_warning_and_envoy_accepts_it() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new("trusted");
    let variables = environment_of_many(directory.path(), &authority);
    let variables: Variables = variables.into_iter().collect();
    let reading = settings::read(&variables, &Machine::default());
    assert_eq!(reading.warnings, [""; 0]);
    let settings = reading.outcome.unwrap_or_else(|wrong| panic!("{wrong:#?}"));
    assert_eq!((settings.identities.len(), settings.targets.len()), (4, 5));

    let rendered = bootstrap::build(&settings, directory.path()).to_string();
    assert!(!rendered.contains("key-secret"));
    let file = directory.path().join("bootstrap.json");
    std::fs::write(&file, rendered).unwrap();
    assert_envoy_accepts(&file);
}
