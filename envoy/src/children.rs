//! The processes that the launcher starts: with which arguments and which variables.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::bootstrap::{self, header_overrides};
use crate::settings::Settings;
use crate::settings::identity::{Application, Certificate, Identity};
use crate::supervise::{Child, Environment};

/// Secrets of the launcher's environment that reach Envoy by another way.
const WITHHELD: [&str; 3] = ["IDENTITY_HEADER", "HTTPS_PROXY", "https_proxy"];

/// Envoy with this bootstrap.
#[must_use]
pub fn envoy(settings: &Settings, program: PathBuf, bootstrap: PathBuf) -> Child {
    let headers = settings.override_headers.iter().enumerate();
    let mut more: Vec<(String, String)> = headers
        .map(|(index, header)| (header_overrides::variable(index), header.value.clone()))
        .collect();
    let proxy = settings.forward_proxy.as_ref();
    more.extend(
        proxy
            .and_then(|proxy| proxy.authorization.as_ref())
            .map(|value| {
                (
                    bootstrap::PROXY_AUTHORIZATION.to_owned(),
                    value.expose().to_owned(),
                )
            }),
    );
    Child {
        program,
        arguments: envoy_arguments(settings, bootstrap),
        environment: Environment::Inherited {
            more,
            without: &WITHHELD,
        },
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
