//! Writes settings as an equivalent configuration file. It contains no secrets: header values are
//! references to environment variables, and App Service's key stays in the environment.

use super::model::File;
use crate::settings::Settings;

/// The file's text.
pub fn yaml(settings: &Settings) -> String {
    let file = File {
        identities: settings.identities.clone(),
        targets: settings.targets.clone(),
        listeners: settings.listeners.clone(),
        // Each target says it itself.
        hold: None,
        auth_errors_retryable: None,
        refresh_before_expiry_percent: settings.refresh_before_expiry,
    };
    let text = serde_saphyr::to_string(&file);
    text.unwrap_or_else(|error| unreachable!("strings, numbers and lists are YAML: {error}"))
}
