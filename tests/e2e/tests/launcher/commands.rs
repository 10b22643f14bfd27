//! The command line as a user meets it: output, messages and exit codes.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

use e2e::credentials::Authority;
use e2e::{free_port, stand_in, tools};
use tempfile::TempDir;

use crate::bootstrap::with_parsed_configurations;

pub(crate) const ID: &str = "abcd1234-1243-abcd-9876-1234abcd5678";
const TARGET: &str = "abc.eastus-1.metrics.ingest.monitor.azure.com";

/// Runs the launcher with these variables and no others.
fn launcher(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    Command::new(tools::launcher())
        .args(arguments)
        .env_clear()
        .envs(variables.iter().copied())
        .output()
        .expect("the launcher runs")
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A directory with a module, and a trust store.
pub(crate) struct Place {
    pub(crate) directory: TempDir,
    module: String,
    pub(crate) store: String,
    // Dropped with this: its file is the trust store.
    _authority: Authority,
}

impl Place {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let module = stand_in::passive_module(directory.path())
            .display()
            .to_string();
        let authority = Authority::new("trusted");
        Self {
            directory,
            module,
            store: authority.file().display().to_string(),
            _authority: authority,
        }
    }

    pub(crate) fn render(&self, variables: &[(&str, &str)]) -> Output {
        let mut all = vec![
            ("TARGET_HOST", TARGET),
            ("IDENTITY_TYPE", "systemAssigned"),
            ("ENTRA_AUTH_MODULE", &self.module),
            ("SSL_CERT_FILE", &self.store),
        ];
        all.extend(variables);
        launcher(&["render"], &all)
    }
}

#[test]
fn render_prints_the_bootstrap_on_stdout_and_warnings_on_stderr() {
    let output = Place::new().render(&[("OTEL_SERVICE_NAME", "x"), ("AAD_CLIENTID", ID)]);
    assert_eq!(output.status.code(), Some(0));
    let bootstrap: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        bootstrap["static_resources"]["listeners"][0]["name"],
        "proxy"
    );
    let warnings = text(&output.stderr);
    assert_eq!(warnings.lines().count(), 2, "{warnings}");
    assert!(warnings.contains("warning: OTEL_SERVICE_NAME has no effect: nothing is sent by OTLP"));
    assert!(warnings.contains("AAD_CLIENTID is unknown and ignored; did you mean AAD_CLIENT_ID?"));
}

#[test]
fn no_value_of_an_overridden_header_is_rendered() {
    let headers = r#"{"X-Api-Key": "header-secret"}"#;
    let output = Place::new().render(&[("OVERRIDE_REQUEST_HEADERS", headers)]);
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stdout).contains("x-api-key"));
    for stream in [text(&output.stdout), text(&output.stderr)] {
        assert!(!stream.contains("header-secret"));
    }
    assert!(text(&output.stderr).contains("set ENTRA_AUTH_HEADER_0 for Envoy"));
}

#[test]
fn all_mistakes_are_told_at_once_with_exit_code_64() {
    for command in ["run", "render"] {
        let output = launcher(
            &[command],
            &[
                ("TARGET_HOST", "https://user:password-secret@abc.example"),
                ("IDENTITY_TYPE", "certificate"),
                ("STATUS_PORT", "8081"),
                ("ENTRA_AUTH_MODULE", "/nowhere.wasm"),
                ("ENVOY_BINARY", "/nowhere/envoy"),
                (
                    "OVERRIDE_REQUEST_HEADERS",
                    r#"{"Authorization": "header-secret"}"#,
                ),
            ],
        );
        assert_eq!(output.status.code(), Some(64), "{command}");
        assert_eq!(text(&output.stdout), "");
        let told = text(&output.stderr);
        let count = if command == "run" { 6 } else { 5 };
        assert!(
            told.contains(&format!("{count} mistakes in the settings:")),
            "{told}"
        );
        assert_eq!(told.lines().count(), count + 1, "{told}");
        for variable in [
            "TARGET_HOST",
            "IDENTITY_TYPE",
            "STATUS_PORT",
            "ENTRA_AUTH_MODULE",
            "OVERRIDE_REQUEST_HEADERS",
        ] {
            assert!(
                told.contains(&format!("\n  {variable} ")),
                "{variable}: {told}"
            );
        }
        assert_eq!(told.contains("ENVOY_BINARY"), command == "run");
        assert!(!told.contains("secret"), "{told}");
    }
}

#[test]
fn render_config_prints_the_file_that_says_the_same_without_any_secret() {
    let place = Place::new();
    let key = r#"{"X-Api-Key": "header-secret"}"#;
    let environment = [
        ("TARGET_HOST", TARGET),
        ("IDENTITY_TYPE", "userAssigned"),
        ("AAD_CLIENT_ID", ID),
        ("OVERRIDE_REQUEST_HEADERS", key),
        ("ENTRA_AUTH_MODULE", &place.module),
        ("SSL_CERT_FILE", &place.store),
    ];
    let rendered = launcher(&["render"], &environment);
    let output = launcher(&["render", "--config"], &environment);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("x-api-key is not in the file: set ENTRA_AUTH_HEADER_0"));
    for stream in [text(&output.stdout), text(&output.stderr)] {
        assert!(!stream.contains("header-secret"), "{stream}");
    }
    let file = place.directory.path().join("config.yaml");
    std::fs::write(&file, &output.stdout).unwrap();
    let again = launcher(
        &["render"],
        &[
            ("ENTRA_AUTH_CONFIG", file.to_str().unwrap()),
            ("ENTRA_AUTH_HEADER_0", "header-secret"),
            ("ENTRA_AUTH_MODULE", &place.module),
            ("SSL_CERT_FILE", &place.store),
        ],
    );
    assert_eq!(again.status.code(), Some(0), "{}", text(&again.stderr));
    let bootstrap = |output: &Output| {
        with_parsed_configurations(serde_json::from_slice(&output.stdout).unwrap())
    };
    assert_eq!(bootstrap(&again), bootstrap(&rendered));
    assert_eq!(text(&again.stderr), text(&rendered.stderr));
}

#[test]
fn mistakes_of_the_file_and_of_the_environment_are_told_at_once_with_exit_code_64() {
    let place = Place::new();
    let file = place.directory.path().join("config.json");
    let wrong = r#"{"identities": [{"name": "i", "type": "userAssigned", "clientId": "x"}], "targets": []}"#;
    std::fs::write(&file, wrong).unwrap();
    for arguments in [&["run"][..], &["render"], &["render", "--config"]] {
        let output = launcher(
            arguments,
            &[
                ("ENTRA_AUTH_CONFIG", file.to_str().unwrap()),
                ("ENTRA_AUTH_MODULE", &place.module),
                ("TARGET_HOST", TARGET),
                ("DRAIN_SECONDS", "x"),
                ("ENVOY_BINARY", tools::envoy().to_str().unwrap()),
            ],
        );
        assert_eq!(output.status.code(), Some(64));
        assert_eq!(text(&output.stdout), "");
        let told = text(&output.stderr);
        for error in [
            "entra-auth-envoy: 5 mistakes in the settings:",
            "  TARGET_HOST is set beside ENTRA_AUTH_CONFIG, which says it in `targets[].url`.",
            "  identities[0].clientId: \"x\" is no UUID",
            "  the whole file: `listeners` is missing.",
            "  targets: is empty; give at least one.",
            "  DRAIN_SECONDS is \"x\"",
        ] {
            assert!(
                told.contains(&format!("\n{error}")) || told.starts_with(error),
                "{told}"
            );
        }
    }
}

#[test]
fn an_address_that_is_not_of_this_machine_is_told_by_name() {
    let place = Place::new();
    for (variable, other) in [
        ("LISTENING_ADDRESS", "STATUS_ADDRESS"),
        ("STATUS_ADDRESS", "LISTENING_ADDRESS"),
    ] {
        let output = launcher(
            &["run"],
            &[
                ("TARGET_HOST", TARGET),
                ("IDENTITY_TYPE", "systemAssigned"),
                ("ENTRA_AUTH_MODULE", &place.module),
                ("SSL_CERT_FILE", &place.store),
                ("ENVOY_BINARY", tools::envoy().to_str().unwrap()),
                ("LISTENING_PORT", &free_port().to_string()),
                ("STATUS_PORT", &free_port().to_string()),
                (other, "127.0.0.1"),
                // Of documentation (RFC 5737).
                (variable, "192.0.2.1"),
            ],
        );
        assert_eq!(output.status.code(), Some(64));
        let told = text(&output.stderr);
        let expected = format!("  {variable} is 192.0.2.1, which cannot be listened on: ");
        assert!(told.contains(&expected), "{told}");
    }
}

#[test]
fn a_temporary_directory_with_too_long_a_path_is_told_with_the_bytes_that_it_may_have() {
    let place = Place::new();
    // As some build systems have it.
    let directory = place.directory.path().join("x".repeat(100));
    std::fs::create_dir(&directory).unwrap();
    for command in ["run", "check"] {
        let output = launcher(
            &[command],
            &[
                ("TARGET_HOST", TARGET),
                ("IDENTITY_TYPE", "systemAssigned"),
                ("ENTRA_AUTH_MODULE", &place.module),
                ("SSL_CERT_FILE", &place.store),
                ("ENVOY_BINARY", tools::envoy().to_str().unwrap()),
                ("LISTENING_PORT", &free_port().to_string()),
                ("STATUS_PORT", &free_port().to_string()),
                ("TMPDIR", directory.to_str().unwrap()),
            ],
        );
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(64), "{told}");
        assert!(told.contains("  TMPDIR is "), "{told}");
        assert!(told.contains("bytes at most, as /tmp"), "{told}");
        assert_eq!(
            std::fs::read_dir(&directory).unwrap().count(),
            0,
            "{command}"
        );
    }
}

#[test]
fn a_wrong_command_is_told_with_exit_code_64() {
    for arguments in [&[][..], &["start"], &["run", "--now"]] {
        let output = launcher(arguments, &[]);
        assert_eq!(output.status.code(), Some(64), "{arguments:?}");
        assert!(text(&output.stderr).contains("Usage"));
    }
}

#[test]
fn help_lists_every_variable() {
    let output = launcher(&["--help"], &[]);
    assert_eq!(output.status.code(), Some(0));
    let help = text(&output.stdout);
    for known in entra_auth_envoy::settings::variables::SERVED {
        assert!(help.contains(known.name), "{}", known.name);
        assert!(help.contains(known.meaning), "{}", known.meaning);
        for name in known.of_one_signal {
            assert!(help.contains(name), "{name}");
        }
    }
}

#[test]
fn a_program_that_cannot_be_executed_is_told_by_name() {
    let place = Place::new();
    let script = place.directory.path().join("broken-envoy");
    std::fs::write(&script, "#!/nowhere/interpreter\n").unwrap();
    std::fs::set_permissions(&script, Permissions::from_mode(0o755)).unwrap();
    let output = launcher(
        &["run"],
        &[
            ("TARGET_HOST", TARGET),
            ("IDENTITY_TYPE", "systemAssigned"),
            ("ENTRA_AUTH_MODULE", &place.module),
            ("SSL_CERT_FILE", &place.store),
            ("ENVOY_BINARY", script.to_str().unwrap()),
            ("LISTENING_PORT", &free_port().to_string()),
            ("STATUS_PORT", &free_port().to_string()),
        ],
    );
    assert_eq!(output.status.code(), Some(127));
    assert!(text(&output.stderr).contains("broken-envoy"));
}
