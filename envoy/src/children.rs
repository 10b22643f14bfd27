//! The processes that the launcher starts: with which arguments and which variables.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::bootstrap::{self, header_overrides};
use crate::settings::Settings;
use crate::settings::identity::{Application, Certificate, Identity};
use crate::supervise::{Child, Environment};

/// Secrets of the launcher's environment that reach Envoy by another way.
const WITHHELD: [&str; 1] = ["IDENTITY_HEADER"];

/// Envoy with this bootstrap.
#[must_use]
pub fn envoy(settings: &Settings, program: PathBuf, bootstrap: PathBuf) -> Child {
    Child {
        program,
        arguments: envoy_arguments(settings, bootstrap),
        environment: environment(settings),
    }
}

fn environment(settings: &Settings) -> Environment {
    let headers = settings.override_headers.iter().enumerate();
    Environment::Inherited {
        more: headers
            .map(|(index, header)| (header_overrides::variable(index), header.value.clone()))
            .collect(),
        without: &WITHHELD,
    }
}

/// Envoy with a bootstrap of [`bootstrap::check`]: it says what it logs to this file, unless somebody
/// wants to see it at once.
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
        // At debug level these print the headers of each request, and the key of App Service is one.
        "--component-log-level".into(),
        "http:info,router:info".into(),
    ];
    arguments.extend(
        log.into_iter()
            .flat_map(|log| ["--log-path".into(), log.into()]),
    );
    Child {
        program,
        arguments,
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
        // Its shared memory would clash with that of another Envoy on the machine.
        "--disable-hot-restart".into(),
    ];
    let components = match level {
        // At every start Envoy lists its extensions, a hundred lines (main), and warns that the
        // field for custom methods is work in progress (misc): nothing that a user can act on.
        "info" | "warning" => Some("main:warning,misc:error"),
        // The router prints the headers of each request, and the key of App Service is one.
        "debug" | "trace" if settings.identity.identity_header().is_some() => Some("router:info"),
        _ => None,
    };
    if let Some(components) = components {
        arguments.extend(["--component-log-level".into(), components.into()]);
    }
    arguments
}

/// The token-sidecar with the certificate of these settings; none where they have none.
#[must_use]
pub fn token_sidecar(settings: &Settings, program: PathBuf, run_dir: &Path) -> Option<Child> {
    let (application, certificate) = signed_for(&settings.identity)?;
    let socket = bootstrap::sidecar_socket(run_dir);
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
    Some(Child {
        program,
        arguments: Vec::new(),
        environment: Environment::Only(
            variables
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
        ),
    })
}

fn signed_for(identity: &Identity) -> Option<(&Application, &Certificate)> {
    match identity {
        Identity::Application(application) => Some((application, identity.certificate()?)),
        Identity::Managed(_) | Identity::Tsiam(_) => None,
    }
}
