//! All endpoints that the settings name, each with the setting that names it.

use entra_auth_settings_input::{Endpoint, Place};

use super::Settings;
use super::identity::TokenService;

impl Settings {
    /// Everything that is connected to, with what says it.
    #[must_use]
    pub fn endpoints(&self) -> Vec<(Place, &Endpoint)> {
        // Both are of the file, or neither is.
        let of_file = self
            .listeners
            .iter()
            .any(|listener| matches!(listener.place, Place::File(_)));
        let place = |variable, field: String| match of_file {
            true => Place::File(field),
            false => Place::Variable(variable),
        };
        let mut endpoints = Vec::new();
        for (n, target) in self.targets.iter().enumerate() {
            endpoints.push((
                place("TARGET_HOST", format!("targets[{n}].url")),
                &target.endpoint,
            ));
        }
        for (n, named) in self.identities.iter().enumerate() {
            for service in named.identity.services() {
                if let TokenService::At(kind, service) = service {
                    let place = match kind.field {
                        Some(field) => place(kind.variable, format!("identities[{n}].{field}")),
                        None => Place::Variable(kind.variable),
                    };
                    endpoints.push((place, &service.endpoint));
                }
            }
        }
        let proxy = self.forward_proxy.iter();
        endpoints.extend(proxy.map(|it| ("HTTPS_PROXY".into(), &it.endpoint)));
        let collectors = self.telemetry.endpoints();
        endpoints.extend(collectors.map(|(variable, endpoint)| (variable.into(), endpoint)));
        endpoints
    }
}
