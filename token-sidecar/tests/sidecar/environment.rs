//! The environment: required variables, all errors at once, and exit code 64.

use std::fs;

use entra_auth_settings_input::Variables;
use token_sidecar::{settings, variables};

use crate::support::pki;
use crate::support::process::{command, end_of};
use crate::support::{Files, environment, errors_at, now};

const CERTIFICATE: &str = "AAD_CLIENT_CERTIFICATE_PATH";

#[test]
fn all_errors_are_reported_at_once() {
    let errors = errors_at(
        &[
            ("AAD_CLIENT_ID", "me"),
            ("AAD_TENANT_ID", "common"),
            ("AZURE_CLOUD", "germany"),
            (CERTIFICATE, "/nowhere/a.pem"),
            ("AAD_CLIENT_CERTIFICATE_SEND_CHAIN", "maybe"),
            ("AAD_CLIENT_ASSERTION_ALGORITHM", "ES256"),
            ("AZURE_FEDERATED_TOKEN_FILE", "/nowhere/token"),
            ("TOKEN_SIDECAR_ADDRESS", "0.0.0.0:80"),
            ("LOG_LEVEL", "loud"),
        ],
        now(),
    );
    let blamed: Vec<&str> = errors
        .iter()
        .map(|error| error.split(' ').next().unwrap())
        .collect();
    let expected = [
        "LOG_LEVEL",
        "AAD_CLIENT_ASSERTION_ALGORITHM",
        "AAD_CLIENT_CERTIFICATE_SEND_CHAIN",
        CERTIFICATE,
        "AAD_CLIENT_ID",
        "AAD_TENANT_ID",
        "AZURE_CLOUD",
        "AZURE_FEDERATED_TOKEN_FILE",
        "TOKEN_SIDECAR_ADDRESS",
    ];
    assert_eq!(blamed, expected);
    assert!(
        errors.iter().all(|error| error.ends_with('.')),
        "{errors:?}"
    );
}

#[test]
fn the_ids_are_required_and_the_old_names_win_over_the_sdks() {
    let files = Files::new();
    let bundle = pki::bundle(&pki::lasting(&pki::ONE, "one"), &pki::ONE);
    let path = files.write("one.pem", bundle);
    let variables: Variables = [(CERTIFICATE, path.as_str())].into_iter().collect();
    let errors = settings::read(&variables, now()).outcome.unwrap_err();
    assert_eq!(
        errors[0].to_string(),
        "AAD_CLIENT_ID is not set. Set it to the application's client id."
    );
    assert_eq!(
        errors[1].to_string(),
        "AAD_TENANT_ID is not set. Set it to the tenant's id or domain."
    );

    let reading = settings::read(
        &environment(&[
            (CERTIFICATE, &path),
            ("AAD_TENANT_ID", "ours.example"),
            ("AZURE_TENANT_ID", "sdks.example"),
        ]),
        now(),
    );
    let endpoint = reading.outcome.unwrap().signer.unwrap().token_endpoint;
    assert_eq!(
        endpoint,
        "https://login.microsoftonline.com/ours.example/oauth2/v2.0/token"
    );
    assert_eq!(
        reading.warnings,
        ["AAD_TENANT_ID and AZURE_TENANT_ID differ; AAD_TENANT_ID is used"]
    );
}

#[test]
fn errors_and_unknown_arguments_end_the_program_with_64() {
    let files = Files::new();
    let status = end_of(command(&files, &[("LOG_LEVEL", "loud")]));
    let log = fs::read_to_string(files.path("log")).unwrap();
    assert_eq!(status.code(), Some(64));
    assert!(
        log.starts_with("token-sidecar: 2 mistakes in the environment:\n"),
        "{log}"
    );
    assert!(
        log.contains("\n  AAD_CLIENT_CERTIFICATE_PATH is not set. Name the PEM"),
        "{log}"
    );

    let mut verbose = command(&files, &[]);
    verbose.arg("--verbose");
    let status = end_of(verbose);
    assert_eq!(status.code(), Some(64));
}

#[test]
fn help_names_every_variable() {
    let files = Files::new();
    let mut command = command(&files, &[]);
    command.arg("--help").stdout(std::process::Stdio::piped());
    let help = command.output().unwrap();
    assert!(help.status.success());
    let help = String::from_utf8(help.stdout).unwrap();
    for (name, meaning) in variables::SERVED {
        assert!(
            help.contains(&format!("  {name}\n          {meaning}\n")),
            "{help}"
        );
    }
}
