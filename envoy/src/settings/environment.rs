//! The environment's shorthand: one identity, one target, one port.

use entra_auth_settings_input::{Endpoint, Place, Problem, Scheme};
use entra_token_core::Audience;
use entra_token_core::cloud::Cloud;
use entra_token_core::config::{AuthErrorsRetryable, Hold, IdentityName, Percent};
use entra_token_core::host::HostPattern;

use super::clouds::{self, CloudHint};
use super::headers::HeaderOverride;
use super::identity::{Identity, NamedIdentity};
use super::listener::{Listener, Routing, TargetRef};
use super::target::{Target, TargetName};
use super::terms::Terms;
use super::{
    DEFAULT_LISTENING_PORT, ListeningAddress, PartialTopology, Reader, Topology, addressed_to,
    audience, choices, headers, target_host,
};

/// What the one identity is called.
pub(crate) const IDENTITY: &str = "default";

const LISTENING_PORT: &str = "LISTENING_PORT";
const LISTENING_ADDRESS: &str = "LISTENING_ADDRESS";

impl Reader<'_> {
    pub(super) fn environment(&mut self) -> PartialTopology {
        let target = self.target();
        let endpoint = target.as_ref().map(|(endpoint, _)| endpoint);
        let audience = self.audience(endpoint);
        let cloud = self.cloud(endpoint, audience.as_ref());
        let identity = self.identity(cloud.as_ref());
        let port = self.or(LISTENING_PORT, DEFAULT_LISTENING_PORT, choices::port);
        let address = self.or(
            LISTENING_ADDRESS,
            ListeningAddress::All,
            ListeningAddress::parse,
        );
        let listener = port.zip(address);
        let by_tls = endpoint.is_some_and(|target| target.scheme == Scheme::Https)
            || identity.as_ref().is_some_and(Identity::needs_trust_store);
        PartialTopology {
            by_tls,
            ports: port
                .map(|port| (LISTENING_PORT.into(), address.unwrap_or_default(), port))
                .into_iter()
                .collect(),
            topology: self.one_of_each(target, audience, identity, listener),
        }
    }

    fn one_of_each(
        &mut self,
        target: Option<(Endpoint, HostPattern)>,
        audience: Option<Audience>,
        identity: Option<Identity>,
        listener: Option<(u16, ListeningAddress)>,
    ) -> Option<Topology> {
        let refresh = self.or(
            "AAD_TOKEN_REFRESH_INTERVAL_IN_PERCENTAGE",
            Percent::default(),
            choices::percent,
        );
        let auth_errors_retryable = self.or(
            "AUTH_ERRORS_RETRYABLE",
            AuthErrorsRetryable::default(),
            choices::auth_errors_retryable,
        );
        let override_headers = self.override_headers();
        let name: IdentityName = IDENTITY
            .parse()
            .unwrap_or_else(|why| unreachable!("{IDENTITY:?} {why}"));
        let (endpoint, pattern) = target?;
        let (port, address) = listener?;
        Some(Topology {
            identities: vec![NamedIdentity {
                name: name.clone(),
                identity: identity?,
            }],
            targets: vec![Target {
                name: TargetName::only(),
                endpoint,
                pattern,
                identity: name,
                audience: audience?,
                required: Some(true),
                hold: Hold::default(),
                auth_errors_retryable: auth_errors_retryable?,
                override_headers: override_headers?,
            }],
            listeners: vec![Listener {
                port,
                address,
                place: LISTENING_PORT.into(),
                address_place: LISTENING_ADDRESS.into(),
                routing: Routing::Always(TargetRef {
                    name: TargetName::only(),
                    index: 0,
                }),
            }],
            refresh_before_expiry: refresh?,
            terms: Terms::new(self.variables, None),
        })
    }

    fn override_headers(&mut self) -> Option<Vec<HeaderOverride>> {
        const VARIABLE: &str = "OVERRIDE_REQUEST_HEADERS";
        let value = self.variables.value(VARIABLE);
        match value.map_or(Ok(Vec::new()), headers::parse) {
            Ok(headers) => Some(headers),
            Err(problems) => {
                let errors = problems.into_iter().map(|problem| problem.of(VARIABLE));
                self.errors.extend(errors);
                None
            }
        }
    }

    fn target(&mut self) -> Option<(Endpoint, HostPattern)> {
        let result = self
            .variables
            .value("TARGET_HOST")
            .ok_or_else(|| {
                Problem::new(
                    "is not set",
                    "Set it to the host to forward to, for example the host of the \
                     Azure Monitor workspace's metrics ingestion endpoint.",
                )
            })
            .and_then(target_host::parse);
        let (target, warning) = self.note("TARGET_HOST", result)?;
        self.warnings
            .extend(warning.map(|warning| format!("TARGET_HOST {warning}")));
        let pattern = addressed_to(&target);
        Some((target, self.note("TARGET_HOST", pattern)?))
    }

    /// Without a usable target there is nothing to derive an audience from, and no second mistake.
    fn audience(&mut self, target: Option<&Endpoint>) -> Option<Audience> {
        let audience = match self.variables.value("AUDIENCE") {
            Some(value) => audience::parse(value),
            None => audience::of_target(&target?.host),
        };
        self.note("AUDIENCE", audience)
    }

    /// What `AZURE_CLOUD`, the audience and the target say about the cloud.
    fn cloud(
        &mut self,
        target: Option<&Endpoint>,
        audience: Option<&Audience>,
    ) -> Option<CloudHint> {
        let named = self.variables.value("AZURE_CLOUD").and_then(|value| {
            let cloud = value
                .parse::<Cloud>()
                .map_err(|why| Problem::of_value(value, &why));
            self.note("AZURE_CLOUD", cloud)
        });
        let of_audience = audience.and_then(|a| clouds::cloud_of_audience(a.resource()));
        let of_target = target.and_then(|target| clouds::cloud_of_host(&target.host));
        // An audience that was taken from the target is the target's word.
        let of_audience = of_audience.filter(|_| self.variables.value("AUDIENCE").is_some());
        let said: Vec<CloudHint> = [
            ("AZURE_CLOUD", named),
            ("AUDIENCE", of_audience),
            ("TARGET_HOST", of_target),
        ]
        .into_iter()
        .filter_map(|(variable, cloud)| {
            let place = Place::Variable(variable);
            Some(CloudHint {
                place,
                cloud: cloud?,
            })
        })
        .collect();
        clouds::agreed(&said)
            .map_err(|error| self.errors.push(error))
            .ok()
            .flatten()
    }
}
