//! Turns the file's targets and listeners into settings. A `None` here means that [`super::cross`] or a
//! field's own type let a mistake through; [`crate::exit::refuse`] calls that an internal error.

use entra_auth_settings_input::Scheme;
use entra_token_core::config::{AuthErrorsRetryable, Hold};

use super::listener_place;
use super::model::{self, File};
use crate::settings::headers::HeaderOverride;
use crate::settings::target::{Listener, Routing, Target};
use crate::settings::terms::Terms;
use crate::settings::values::Name;
use crate::settings::{Topology, addressed_to, audience};

impl Topology {
    /// Whether a target or a token endpoint has TLS, so that a trust store is needed.
    pub(super) fn is_by_tls(&self) -> bool {
        let mut targets = self.targets.iter();
        targets.any(|target| target.endpoint.scheme == Scheme::Https)
            || self
                .identities
                .iter()
                .any(|named| named.identity.needs_trust_store())
    }

    /// What the file asks for; `headers` are those of each target.
    pub(super) fn of_file(
        file: File,
        headers: Vec<Vec<HeaderOverride>>,
        terms: Terms,
    ) -> Option<Self> {
        let names: Vec<_> = file.targets.iter().map(|it| it.name.0.clone()).collect();
        let index = |name: &Name| names.iter().position(|other| *other == name.0);
        let listeners = file.listeners.iter().enumerate();
        let listeners = listeners.map(|(n, listener)| {
            let routing = match (&listener.target, &listener.targets) {
                (Some(target), _) => Routing::Always(index(target)?),
                (None, many) => {
                    let many = many.iter().flatten().map(index);
                    Routing::ByHost(many.collect::<Option<_>>()?)
                }
            };
            Some(Listener {
                port: listener.port.0,
                address: listener.address.as_ref().map(|it| it.0).unwrap_or_default(),
                place: listener_place(n, "port"),
                address_place: listener_place(n, "address"),
                routing,
            })
        });
        let listeners: Option<Vec<Listener>> = listeners.collect();
        let hold = file.hold.unwrap_or_default();
        let auth_errors = file.auth_errors_retryable.unwrap_or_default();
        let targets: Option<Vec<Target>> = file
            .targets
            .into_iter()
            .zip(headers)
            .map(|(target, headers)| of_target(target, headers, &hold, auth_errors))
            .collect();
        Some(Self {
            identities: file.identities,
            targets: targets?,
            listeners: listeners?,
            refresh_before_expiry: file.refresh_before_expiry_percent,
            terms,
        })
    }
}

fn of_target(
    target: model::Target,
    override_headers: Vec<HeaderOverride>,
    hold: &Hold,
    auth_errors: AuthErrorsRetryable,
) -> Option<Target> {
    let endpoint = target.url.0;
    Some(Target {
        name: target.name.0,
        pattern: addressed_to(&endpoint).ok()?,
        identity: target.identity,
        audience: match target.audience {
            Some(audience) => audience,
            None => audience::of_target(&endpoint.host).ok()?,
        },
        endpoint,
        required: target.required,
        hold: target.hold.unwrap_or_else(|| hold.clone()),
        auth_errors_retryable: target.auth_errors_retryable.unwrap_or(auth_errors),
        override_headers,
    })
}
