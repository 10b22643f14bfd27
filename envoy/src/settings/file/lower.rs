//! Turns the file's types into settings. Each `None` here stands for a mistake that [`super::cross`] or a
//! field's own type has reported.

use entra_token_core::config::{self, Hold, Tenant, Uuid};
use serde_json::Value;

use super::listener_place;
use super::model::{self, File, IdentityType};
use crate::settings::authority::Scheme;
use crate::settings::clouds::CloudHint;
use crate::settings::headers::HeaderOverride;
use crate::settings::identity::{
    self, Application, Certificate, Identity, Managed, MetadataService, Proof,
    SERVICE_ACCOUNT_TOKEN, Selector, Service, Sidecar, entra_at, entra_of,
};
use crate::settings::mistake::Place;
use crate::settings::target::{Listener, NamedIdentity, Routing, Target};
use crate::settings::terms::Terms;
use crate::settings::{Reader, Topology, addressed_to, audience, choices, credential_file};
use entra_token_core::config::raw::{elements, given, text};
use entra_token_core::identity::CredentialKind;
use std::path::PathBuf;

/// Values of the environment for fields that the file leaves out. Each variable is read only if some
/// identity needs it.
#[derive(Default)]
pub(super) struct Defaults {
    metadata_service: Option<MetadataService>,
    imds: Option<Service>,
    tenant: Option<Tenant>,
    client_id: Option<Uuid>,
    token_file: Option<PathBuf>,
    entra: Option<String>,
}

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
}

impl Reader<'_> {
    pub(super) fn defaults(&mut self, file: &Value) -> Defaults {
        let identities = elements(file, "identities").unwrap_or_default();
        let lacks = |kinds: &[&str], field: &str| {
            identities.iter().any(|identity| {
                text(identity, "type").is_some_and(|kind| kinds.contains(&kind))
                    && given(identity, field).is_none()
            })
        };
        let workload = ["workloadIdentity"];
        let managed = lacks(&["systemAssigned", "userAssigned"], "imds");
        let federated = lacks(&["managedIdentityFederated"], "imds");
        let tenant = lacks(&workload, "tenantId");
        let client_id = lacks(&workload, "clientId");
        let token_file = lacks(&workload, "tokenFile");
        Defaults {
            metadata_service: managed.then(|| self.metadata_service()).flatten(),
            imds: federated.then(|| self.imds_for_federation()).flatten(),
            tenant: tenant.then(|| self.tenant_of_the_webhook()).flatten(),
            client_id: client_id.then(|| self.client_id_of_the_webhook()).flatten(),
            token_file: token_file.then(|| self.federated_token(None)).flatten(),
            entra: self
                .variables
                .value(identity::AUTHORITY_HOST)
                .map(str::to_owned),
        }
    }

    pub(super) fn topology(
        &mut self,
        file: File,
        clouds: &[Option<CloudHint>],
        headers: Vec<Vec<HeaderOverride>>,
        defaults: &Defaults,
        terms: Terms,
    ) -> Option<Topology> {
        let names: Vec<_> = file.targets.iter().map(|it| it.name.0.clone()).collect();
        let index = |name: &super::values::Name| names.iter().position(|other| *other == name.0);
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
        let identities: Vec<Option<NamedIdentity>> = file
            .identities
            .into_iter()
            .zip(clouds)
            .enumerate()
            .map(|(n, (identity, cloud))| {
                Some(NamedIdentity {
                    name: identity.name.clone(),
                    identity: self.identity_of(n, identity, cloud.as_ref(), defaults)?,
                })
            })
            .collect();
        let hold = file.hold.unwrap_or_default();
        let auth_errors = file.auth_errors_retryable.unwrap_or_default();
        let targets: Vec<Option<Target>> = file
            .targets
            .into_iter()
            .zip(headers)
            .map(|(target, headers)| of_target(target, headers, &hold, auth_errors))
            .collect();
        Some(Topology {
            identities: identities.into_iter().collect::<Option<_>>()?,
            targets: targets.into_iter().collect::<Option<_>>()?,
            listeners: listeners?,
            refresh_before_expiry: file.refresh_before_expiry_percent,
            terms,
        })
    }

    fn identity_of(
        &mut self,
        n: usize,
        identity: model::Identity,
        cloud: Option<&CloudHint>,
        defaults: &Defaults,
    ) -> Option<Identity> {
        let place = |field: &str| Place::File(format!("identities[{n}].{field}"));
        let imds = |identity: &model::Identity| identity.imds.clone().map(|imds| imds.0);
        let managed = |identity: &model::Identity| {
            imds(identity)
                .map(MetadataService::Imds)
                .or_else(|| defaults.metadata_service.clone())
        };
        let proof = match identity.kind {
            IdentityType::SystemAssigned => {
                return Some(Identity::Managed(Managed {
                    service: managed(&identity)?,
                    selector: None,
                }));
            }
            IdentityType::UserAssigned => {
                let service = managed(&identity)?;
                let (client, object) = (identity.client_id, identity.object_id);
                return Some(Identity::Managed(Managed {
                    service,
                    selector: Some(selector(client, object, identity.resource_id)?),
                }));
            }
            IdentityType::Tsiam => return Some(Identity::Tsiam(identity.tsiam?.0)),
            IdentityType::ClientSecret => Proof::Secret(identity.secret_file.clone()?.0),
            IdentityType::ClientCertificate => Proof::Certificate(match &identity.certificate {
                Some(own) => Sidecar::Own(certificate(own)),
                None => Sidecar::OfOthers(identity.token_sidecar_socket.clone()?.0),
            }),
            IdentityType::WorkloadIdentity => {
                let file = identity.token_file.clone().map(|file| file.0);
                Proof::WorkloadIdentity(file.or_else(|| defaults.token_file.clone())?)
            }
            IdentityType::ServiceAccountToken => {
                let file = match &identity.token_file {
                    Some(file) => Ok(file.0.clone()),
                    None => credential_file::credential(
                        SERVICE_ACCOUNT_TOKEN,
                        CredentialKind::Assertion,
                    ),
                };
                Proof::ServiceAccountToken(self.note(place("tokenFile"), file)?)
            }
            IdentityType::ManagedIdentityFederated => Proof::ManagedIdentity {
                imds: imds(&identity).or_else(|| defaults.imds.clone())?,
                selector: identity.managed_identity.clone(),
            },
            IdentityType::TsiamFederated => Proof::Tsiam(identity.tsiam.clone()?.0),
        };
        let of_webhook = identity.kind == IdentityType::WorkloadIdentity;
        let default = defaults
            .entra
            .as_deref()
            .filter(|_| of_webhook && identity.cloud.is_none());
        let (entra, cloud) = match (&identity.authority, default) {
            (Some(authority), _) => {
                let entra = entra_at(&authority.0.endpoint.url(), cloud);
                self.note(place("authority"), entra)?
            }
            (None, Some(default)) => {
                self.note(identity::AUTHORITY_HOST, entra_at(default, cloud))?
            }
            (None, None) => self.note(place("cloud"), entra_of(cloud))?,
        };
        Some(Identity::Application(Application {
            tenant: identity.tenant_id.or_else(|| defaults.tenant.clone())?,
            client_id: identity.client_id.or_else(|| defaults.client_id.clone())?,
            entra,
            cloud,
            proof,
        }))
    }
}

fn of_target(
    target: model::Target,
    override_headers: Vec<HeaderOverride>,
    hold: &Hold,
    auth_errors: config::AuthErrorsRetryable,
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

fn selector(
    client_id: Option<Uuid>,
    object_id: Option<Uuid>,
    resource_id: Option<config::ResourceId>,
) -> Option<Selector> {
    client_id
        .map(Selector::ClientId)
        .or(object_id.map(Selector::ObjectId))
        .or(resource_id.map(Selector::ResourceId))
}

fn certificate(own: &model::Certificate) -> Certificate {
    Certificate {
        path: own.path.0.clone(),
        key: own.key_path.clone().map(|path| path.0),
        password: own.password_file.clone().map(|path| path.0),
        send_chain: own.send_chain.unwrap_or(true),
        algorithm: own.algorithm.clone().map_or(choices::PS256, |it| it.0),
    }
}
