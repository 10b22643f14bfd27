//! The arguments and the environment of the processes that the launcher starts.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::bootstrap::{self, OwnSidecar};
use crate::process::{Child, Environment};
use crate::settings::telemetry::signal::HEADERS;
use crate::settings::{Settings, headers};

/// Variables with secrets, which Envoy gets in another form or from a file.
const WITHHELD: [&str; 7] = [
    "IDENTITY_HEADER",
    "HTTPS_PROXY",
    "https_proxy",
    HEADERS.general,
    HEADERS.own[0],
    HEADERS.own[1],
    HEADERS.own[2],
];

/// Envoy with this bootstrap.
#[must_use]
pub fn envoy(settings: &Settings, program: PathBuf, bootstrap: PathBuf) -> Child {
    Child {
        name: "Envoy".to_owned(),
        program,
        arguments: envoy_arguments(settings, bootstrap),
        environment: environment(settings),
    }
}

fn environment(settings: &Settings) -> Environment {
    let proxy = settings.forward_proxy.as_ref();
    let authorization = proxy.and_then(|proxy| proxy.authorization.as_ref());
    let authorization = authorization.map(|value| {
        let variable = bootstrap::PROXY_AUTHORIZATION.to_owned();
        (variable, value.expose().to_owned())
    });
    let overrides = headers::all(settings);
    let overrides = overrides.map(|header| (header.variable.clone(), header.value.clone()));
    let exports = bootstrap::export_headers(settings);
    let exports = exports.map(|(variable, header)| (variable, header.value.expose().to_owned()));
    Environment::Inherited {
        extra: overrides.chain(exports).chain(authorization).collect(),
        without: &WITHHELD,
    }
}

/// Envoy with a bootstrap of [`bootstrap::check`]. It logs to the file `log` if there is one, else to
/// standard error.
#[must_use]
pub fn checking_envoy(
    settings: &Settings,
    program: PathBuf,
    bootstrap: PathBuf,
    log: Option<&Path>,
) -> Child {
    let mut arguments: Vec<OsString> = vec![
        "--config-path".into(),
        bootstrap.into(),
        "--concurrency".into(),
        "1".into(),
        "--disable-hot-restart".into(),
        "--log-level".into(),
        settings.log_level.as_str().into(),
        // At debug level these print the headers of each request, among them the key of App Service.
        "--component-log-level".into(),
        "http:info,router:info".into(),
    ];
    arguments.extend(
        log.into_iter()
            .flat_map(|log| ["--log-path".into(), log.into()]),
    );
    Child {
        name: "Envoy".to_owned(),
        program,
        arguments,
        environment: environment(settings),
    }
}

/// Envoy in validation mode: it reports on standard error what is wrong with the bootstrap, and exits.
#[must_use]
pub fn validating_envoy(settings: &Settings, program: PathBuf, bootstrap: PathBuf) -> Child {
    let arguments: [OsString; 6] = [
        "--config-path".into(),
        bootstrap.into(),
        "--mode".into(),
        "validate".into(),
        "--log-level".into(),
        "critical".into(),
    ];
    Child {
        name: "Envoy".to_owned(),
        program,
        arguments: arguments.into(),
        environment: environment(settings),
    }
}

fn envoy_arguments(settings: &Settings, bootstrap: PathBuf) -> Vec<OsString> {
    let level = settings.log_level.as_str();
    let mut arguments: Vec<OsString> = vec![
        "--config-path".into(),
        bootstrap.into(),
        "--concurrency".into(),
        settings.concurrency.to_string().into(),
        "--log-level".into(),
        level.into(),
        // The shared memory of hot restart would conflict with another Envoy's on the machine.
        "--disable-hot-restart".into(),
    ];
    let components = match level {
        // At each start Envoy lists its extensions on a hundred lines (main), and warns that the
        // field for custom methods is work in progress (misc). Users cannot act on either.
        "info" | "warning" => Some("main:warning,misc:error"),
        // The router prints the headers of each request, among them the key of App Service.
        "debug" | "trace" if settings.identity_header().is_some() => Some("router:info"),
        _ => None,
    };
    if let Some(components) = components {
        arguments.extend(["--component-log-level".into(), components.into()]);
    }
    arguments
}

/// A token-sidecar for each certificate of these settings, and the sidecar's socket.
#[must_use]
pub fn token_sidecars(
    settings: &Settings,
    program: &Path,
    run_dir: &Path,
) -> Vec<(Child, PathBuf)> {
    bootstrap::sidecars(settings, run_dir)
        .into_iter()
        .map(|sidecar| {
            let child = token_sidecar(&sidecar, program, settings);
            (child, sidecar.socket)
        })
        .collect()
}

fn token_sidecar(sidecar: &OwnSidecar<'_>, program: &Path, settings: &Settings) -> Child {
    let OwnSidecar {
        application,
        certificate,
        socket,
    } = sidecar;
    let mut variables = vec![
        ("AAD_CLIENT_ID", application.client_id.to_string()),
        ("AAD_TENANT_ID", application.tenant.to_string()),
        ("AZURE_AUTHORITY_HOST", application.authority_host()),
        (
            "TOKEN_SIDECAR_SOCKET",
            socket.to_string_lossy().into_owned(),
        ),
        ("LOG_LEVEL", settings.log_level.as_str().to_owned()),
    ];
    variables.extend(certificate.variables());
    Child {
        name: format!("the token-sidecar of application {}", application.client_id),
        program: program.to_path_buf(),
        arguments: Vec::new(),
        environment: Environment::Only(
            variables
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
        ),
    }
}
