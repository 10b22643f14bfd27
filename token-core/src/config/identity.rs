//! The identities of a plugin configuration: what each type takes, and where its tokens come from. A service
//! that belongs to one kind of identity is here, too; those that several kinds call are in [`super::services`].

#[cfg(all(test, not(target_family = "wasm")))]
mod tests;

use deserr::{Deserr, IntoValue, Value, ValuePointerRef};
use serde::Serialize;

use super::Setting;
use super::fields::Fields;
use super::services::endpoint;
use super::{
    Application, Authority, ClusterName, ConfigErrors, IdentityName, Imds, Platform, Selector,
    SettingName, UrlPath, WithCredential,
};
use crate::Audience;
use crate::identity::{ManagedIdentity, MetadataService, Proof, Source};

/// Who asks for tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Identity {
    /// What targets, metrics and `/status` call it.
    pub name: IdentityName,
    /// How it proves who it is.
    #[serde(flatten)]
    pub authentication: Authentication,
    /// Whether one of the clusters named here leads to an internal listener of this Envoy: one
    /// that serves a file, or a tunnel to a forward proxy. Envoy's main thread cannot connect to
    /// internal listeners, so workers alone ask for this identity's tokens. Where no instance with
    /// `mode: service` and the same `vm_config` runs beside the filter, a worker does so only from its
    /// first request on.
    #[serde(default, skip_serializing_if = "is_false")]
    pub via_internal_listener: bool,
    /// What messages call the settings that this identity was made from, where a program wrote this
    /// configuration. By default they are called by their places here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub setting_names: Option<Vec<SettingName>>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_false(value: &bool) -> bool {
    !value
}

/// How an identity proves who it is, by its `type`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(
    tag = "type",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub enum Authentication {
    /// The managed identity of the machine itself.
    SystemAssigned {
        /// Who gives its tokens.
        #[serde(flatten)]
        platform: Platform,
    },
    /// A managed identity that was given to the machine.
    UserAssigned {
        /// Who gives its tokens.
        #[serde(flatten)]
        platform: Platform,
        /// Which one.
        #[serde(flatten)]
        selector: Selector,
    },
    /// An application with a secret.
    ClientSecret(WithCredential),
    /// An application with a certificate, by the token-sidecar.
    ClientCertificate(WithCredential),
    /// An application that trusts the token file of Azure workload identity.
    WorkloadIdentity(WithCredential),
    /// An application that trusts Kubernetes' service-account tokens.
    ServiceAccountToken(WithCredential),
    /// An application that trusts a managed identity of this machine.
    ManagedIdentityFederated {
        /// Who it is at Entra.
        #[serde(flatten)]
        application: Application,
        /// The instance metadata service.
        imds: Imds,
        /// Which user-assigned identity of the machine speaks for the application; the machine's
        /// own by default.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        managed_identity: Option<Selector>,
        /// What the assertion is for. By default that of the cloud whose Entra is asked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        exchange_audience: Option<Audience>,
    },
    /// The token of a token service inside the cluster, for targets that trust its issuer.
    Tsiam {
        /// The token service.
        tsiam: Tsiam,
    },
    /// An application that trusts that token service.
    TsiamFederated {
        /// Who it is at Entra.
        #[serde(flatten)]
        application: Application,
        /// The token service.
        tsiam: Tsiam,
        /// What the assertion is for. By default that of the cloud whose Entra is asked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        exchange_audience: Option<Audience>,
    },
}

/// The `type` of an identity alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserr)]
#[deserr(rename_all = camelCase)]
#[expect(missing_docs, reason = "the variants of `Authentication` have them")]
pub enum IdentityType {
    SystemAssigned,
    UserAssigned,
    ClientSecret,
    ClientCertificate,
    WorkloadIdentity,
    ServiceAccountToken,
    ManagedIdentityFederated,
    Tsiam,
    TsiamFederated,
}

impl IdentityType {
    /// As `type` says it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::SystemAssigned => "systemAssigned",
            Self::UserAssigned => "userAssigned",
            Self::ClientSecret => "clientSecret",
            Self::ClientCertificate => "clientCertificate",
            Self::WorkloadIdentity => "workloadIdentity",
            Self::ServiceAccountToken => "serviceAccountToken",
            Self::ManagedIdentityFederated => "managedIdentityFederated",
            Self::Tsiam => "tsiam",
            Self::TsiamFederated => "tsiamFederated",
        }
    }

    /// Whether Entra gives the tokens, to an application.
    pub(crate) fn is_application(self) -> bool {
        !matches!(
            self,
            Self::SystemAssigned | Self::UserAssigned | Self::Tsiam
        )
    }

    /// Whether the token-sidecar signs for it with a certificate.
    #[must_use]
    pub fn has_certificate(self) -> bool {
        self == Self::ClientCertificate
    }

    /// Whether an application proves who it is by the token of another service.
    pub(crate) fn proof_is_token(self) -> bool {
        matches!(self, Self::ManagedIdentityFederated | Self::TsiamFederated)
    }

    /// Whether a service beside Entra is called by TLS.
    pub(crate) fn has_service_with_tls(self) -> bool {
        matches!(self, Self::Tsiam | Self::TsiamFederated)
    }
}

/// The fields that go with one type or another, in the order in which a message lists them.
const OF_A_TYPE: &[&str] = &[
    "tenantId",
    "clientId",
    "objectId",
    "resourceId",
    "imds",
    "appService",
    "managedIdentity",
    "exchangeAudience",
    "entra",
    "credential",
    "tsiam",
];

impl Deserr<ConfigErrors> for Identity {
    fn deserialize_from_value<V: IntoValue>(
        value: Value<V>,
        location: ValuePointerRef,
    ) -> Result<Self, ConfigErrors> {
        let mut fields = Fields::of(value, location)?;
        let name = fields.needed("name");
        let kind: Option<IdentityType> = fields.needed("type");
        let via_internal_listener = fields.optional("viaInternalListener");
        let setting_names = fields.optional("settingNames");
        let authentication = kind.and_then(|kind| Authentication::read(kind, &mut fields));
        let identity = name.zip(authentication).map(|(name, authentication)| Self {
            name,
            authentication,
            via_internal_listener: via_internal_listener.unwrap_or_default(),
            setting_names,
        });
        fields.finish(identity, kind.map(IdentityType::name), OF_A_TYPE)
    }
}

impl Authentication {
    fn read<V: IntoValue>(kind: IdentityType, fields: &mut Fields<'_, V>) -> Option<Self> {
        fields.are_of(format!("a {} identity", kind.name()));
        Some(match kind {
            IdentityType::SystemAssigned => Self::SystemAssigned {
                platform: Platform::read(fields)?,
            },
            IdentityType::UserAssigned => {
                let (platform, selector) = (Platform::read(fields), Selector::read(fields));
                Self::UserAssigned {
                    platform: platform?,
                    selector: selector?,
                }
            }
            IdentityType::ClientSecret => Self::ClientSecret(WithCredential::read(fields)?),
            IdentityType::ClientCertificate => {
                Self::ClientCertificate(WithCredential::read(fields)?)
            }
            IdentityType::WorkloadIdentity => Self::WorkloadIdentity(WithCredential::read(fields)?),
            IdentityType::ServiceAccountToken => {
                Self::ServiceAccountToken(WithCredential::read(fields)?)
            }
            IdentityType::ManagedIdentityFederated => {
                let (application, imds) = (Application::read(fields), fields.needed("imds"));
                let managed_identity = fields.optional("managedIdentity");
                let exchange_audience = fields.optional("exchangeAudience");
                Self::ManagedIdentityFederated {
                    application: application?,
                    imds: imds?,
                    managed_identity,
                    exchange_audience,
                }
            }
            IdentityType::Tsiam => Self::Tsiam {
                tsiam: fields.needed("tsiam")?,
            },
            IdentityType::TsiamFederated => {
                let (application, tsiam) = (Application::read(fields), fields.needed("tsiam"));
                let exchange_audience = fields.optional("exchangeAudience");
                Self::TsiamFederated {
                    application: application?,
                    tsiam: tsiam?,
                    exchange_audience,
                }
            }
        })
    }

    /// The value of `type`.
    #[must_use]
    pub fn kind(&self) -> IdentityType {
        match self {
            Self::SystemAssigned { .. } => IdentityType::SystemAssigned,
            Self::UserAssigned { .. } => IdentityType::UserAssigned,
            Self::ClientSecret(_) => IdentityType::ClientSecret,
            Self::ClientCertificate(_) => IdentityType::ClientCertificate,
            Self::WorkloadIdentity(_) => IdentityType::WorkloadIdentity,
            Self::ServiceAccountToken(_) => IdentityType::ServiceAccountToken,
            Self::ManagedIdentityFederated { .. } => IdentityType::ManagedIdentityFederated,
            Self::Tsiam { .. } => IdentityType::Tsiam,
            Self::TsiamFederated { .. } => IdentityType::TsiamFederated,
        }
    }

    /// Where the tokens come from.
    pub(super) fn source(&self) -> Source {
        match self {
            Self::SystemAssigned { platform } => {
                Source::Managed(platform.service(ManagedIdentity::SystemAssigned))
            }
            Self::UserAssigned { platform, selector } => {
                Source::Managed(platform.service(selector.into()))
            }
            Self::Tsiam { tsiam } => Source::Managed(tsiam.service()),
            Self::ClientSecret(it) => {
                let secret = it.credential.local("/");
                it.application.source(Proof::Secret(secret))
            }
            Self::ClientCertificate(it) => {
                let assertion = it.credential.local(&it.application.assertion_path());
                it.application.source(Proof::Assertion(assertion))
            }
            Self::WorkloadIdentity(it) | Self::ServiceAccountToken(it) => {
                let assertion = it.credential.local("/");
                it.application.source(Proof::Assertion(assertion))
            }
            Self::ManagedIdentityFederated {
                application,
                imds,
                managed_identity,
                exchange_audience,
            } => {
                let who = managed_identity.as_ref();
                let who = who.map_or(ManagedIdentity::SystemAssigned, Into::into);
                let audience = application.exchange_audience(exchange_audience.as_ref());
                application.source(Proof::ManagedIdentity(imds.service(who), audience))
            }
            Self::TsiamFederated {
                application,
                tsiam,
                exchange_audience,
            } => {
                let audience = application.exchange_audience(exchange_audience.as_ref());
                application.source(Proof::ManagedIdentity(tsiam.service(), audience))
            }
        }
    }

    /// The settings that this identity has, each with its field.
    pub(super) fn places(&self) -> Vec<(Setting, &'static str)> {
        let mut places = vec![(Setting::IdentityType, "type")];
        match self {
            Self::SystemAssigned { platform } => platform.places(&mut places),
            Self::UserAssigned { platform, selector } => {
                places.push((Setting::ClientId, selector.field()));
                places.push((Setting::ManagedIdentity, selector.field()));
                platform.places(&mut places);
            }
            Self::ClientSecret(it)
            | Self::ClientCertificate(it)
            | Self::WorkloadIdentity(it)
            | Self::ServiceAccountToken(it) => {
                it.application.places(&mut places);
                places.push((Setting::Credential, "credential"));
            }
            Self::ManagedIdentityFederated {
                application,
                managed_identity,
                ..
            } => {
                application.places(&mut places);
                let is_given = managed_identity.is_some();
                places.extend(is_given.then_some((Setting::ManagedIdentity, "managedIdentity")));
                places.push((Setting::MetadataService, "imds"));
            }
            Self::Tsiam { tsiam } => tsiam.places(&mut places),
            Self::TsiamFederated {
                application, tsiam, ..
            } => {
                application.places(&mut places);
                tsiam.places(&mut places);
            }
        }
        places
    }
}

/// A token service inside the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserr)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[deserr(rename_all = camelCase, deny_unknown_fields)]
pub struct Tsiam {
    /// Name of the Envoy cluster that leads there.
    pub cluster: ClusterName,
    /// What the request is addressed to.
    pub authority: Authority,
    /// The path that gives tokens.
    #[serde(default = "tsiam_path")]
    #[deserr(default = tsiam_path())]
    pub path: UrlPath,
    /// The forward proxy, `host:port`, that the cluster leads through where it does: it is named
    /// when a call fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[deserr(default)]
    pub forward_proxy: Option<Authority>,
}

fn tsiam_path() -> UrlPath {
    UrlPath::constant("/token")
}

impl Tsiam {
    pub(super) fn service(&self) -> MetadataService {
        MetadataService::Tsiam {
            endpoint: endpoint(&self.cluster, &self.authority, self.forward_proxy.as_ref()),
            path: self.path.to_string(),
        }
    }

    pub(super) fn places(&self, places: &mut Vec<(Setting, &'static str)>) {
        places.push((Setting::MetadataService, "tsiam"));
        let by_proxy = self.forward_proxy.is_some();
        places.extend(by_proxy.then_some((Setting::ForwardProxy, "tsiam.forwardProxy")));
    }
}
