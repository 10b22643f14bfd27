//! Writes settings as an equivalent configuration file. It contains no secrets: header values are
//! references to environment variables, and App Service's key stays in the environment.

use std::collections::BTreeMap;

use entra_token_core::config::{AuthErrorsRetryable, Hold};

use super::model::{File, HeaderValue, Listener, RequestHeaders, Target, Variable};
use crate::settings::target::{self, Routing};
use crate::settings::values::{Address, Name, Port, TargetUrl};
use crate::settings::{ListeningAddress, Settings, headers};

/// The file's text.
pub fn yaml(settings: &Settings) -> String {
    let text = serde_saphyr::to_string(&file(settings));
    text.unwrap_or_else(|error| unreachable!("strings, numbers and lists are YAML: {error}"))
}

fn file(settings: &Settings) -> File {
    let name = |index: &usize| settings.targets.get(*index).map(|it| Name(it.name.clone()));
    File {
        identities: settings.identities.clone(),
        targets: settings
            .targets
            .iter()
            .map(|it| target(it, settings))
            .collect(),
        listeners: settings
            .listeners
            .iter()
            .map(|listener| Listener {
                port: Port(listener.port),
                address: (listener.address != ListeningAddress::All)
                    .then_some(Address(listener.address)),
                target: match &listener.routing {
                    Routing::Always(index) => name(index),
                    Routing::ByHost(_) => None,
                },
                targets: match &listener.routing {
                    Routing::Always(_) => None,
                    Routing::ByHost(many) => Some(many.iter().filter_map(name).collect()),
                },
            })
            .collect(),
        hold: None,
        auth_errors_retryable: None,
        refresh_before_expiry_percent: settings.refresh_before_expiry,
    }
}

fn target(target: &target::Target, settings: &Settings) -> Target {
    let value = |name: &http::HeaderName| {
        let mut variables = headers::variables_of(target, settings);
        let (from_environment, _) = variables.find(|(_, header)| header.name == *name)?;
        Some((
            name.to_string(),
            HeaderValue::From(Variable { from_environment }),
        ))
    };
    let headers: BTreeMap<String, HeaderValue> = target
        .override_headers
        .iter()
        .filter_map(|header| value(&header.name))
        .collect();
    let hold = Some(target.hold.clone());
    let auth_errors_retryable = Some(target.auth_errors_retryable);
    Target {
        name: Name(target.name.clone()),
        url: TargetUrl(target.endpoint.clone()),
        identity: target.identity.clone(),
        audience: Some(target.audience.clone()),
        required: target.required,
        hold: hold.filter(|hold| *hold != Hold::default()),
        auth_errors_retryable: auth_errors_retryable
            .filter(|setting| *setting != AuthErrorsRetryable::default()),
        request_headers: (!headers.is_empty()).then_some(RequestHeaders(headers)),
    }
}
