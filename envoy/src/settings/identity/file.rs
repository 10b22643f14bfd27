//! Identities in the configuration file. Fields that are left out come from the environment, so the
//! result is complete.

use deserr::{DeserializeError, Deserr, IntoValue, Value, ValuePointerRef};
use entra_auth_settings_input::Place;
use entra_token_core::config::{ConfigErrors, Fields, IdentityType, Selector};
use entra_token_core::identity::CredentialKind;

use super::application::{SERVICE_ACCOUNT_TOKEN, entra_of};
use super::{
    AUTHORITY_HOST, Application, Identity, MetadataService, NamedIdentity, Sidecar, entra_at,
};
use crate::settings::clouds::CloudHint;
use crate::settings::values::{CloudName, EntraUrl, ImdsUrl, TokenFile};
use crate::settings::{Reader, credential_file};

/// What an identity is read with.
pub(in crate::settings) struct Context<'a, 'b> {
    /// Reads what the environment says, and notes its mistakes.
    pub(in crate::settings) reader: &'a mut Reader<'b>,
    /// The identity's index in the file.
    pub(in crate::settings) index: usize,
    /// The cloud that the identity and its targets agree on.
    pub(in crate::settings) cloud: Option<&'a CloudHint>,
}

/// The fields that go with one type or another, in the order in which a message lists them.
const OF_A_TYPE: &[&str] = &[
    "tenantId",
    "clientId",
    "objectId",
    "resourceId",
    "imds",
    "managedIdentity",
    "secretFile",
    "certificate",
    "tokenSidecarSocket",
    "tokenFile",
    "tsiam",
    "cloud",
    "authority",
];

impl NamedIdentity {
    /// Reads an identity.
    ///
    /// # Errors
    /// All mistakes in the file; none where the mistakes are in the environment, which the reader
    /// has noted.
    pub(in crate::settings) fn read(
        value: serde_json::Value,
        context: &mut Context<'_, '_>,
    ) -> Result<Self, ConfigErrors> {
        let list = ValuePointerRef::Origin;
        let list = list.push_key("identities");
        let mut fields = Fields::of(value.into_value(), list.push_index(context.index))?;
        let name = fields.needed("name");
        let kind: Option<IdentityType> = fields.needed("type");
        let identity = kind.and_then(|kind| Identity::read(kind, &mut fields, context));
        let named = name.zip(identity);
        let named = named.map(|(name, identity)| Self { name, identity });
        fields.finish(named, kind.map(IdentityType::name), OF_A_TYPE)
    }
}

impl Identity {
    fn read<V: IntoValue>(
        kind: IdentityType,
        fields: &mut Fields<'_, V>,
        context: &mut Context<'_, '_>,
    ) -> Option<Self> {
        fields.are_of(format!("a {} identity", kind.name()));
        Some(match kind {
            IdentityType::SystemAssigned => {
                let cloud = fields.optional("cloud");
                Self::SystemAssigned {
                    service: fields.or("imds", || context.reader.metadata_service())?,
                    cloud,
                }
            }
            IdentityType::UserAssigned => {
                let (cloud, selector) = (fields.optional("cloud"), Selector::read(fields));
                let service = fields.or("imds", || context.reader.metadata_service());
                Self::UserAssigned {
                    service: service?,
                    selector: selector?,
                    cloud,
                }
            }
            IdentityType::ClientSecret => {
                let secret_file = fields.needed("secretFile");
                Self::ClientSecret {
                    application: Application::read(fields, context)?,
                    secret_file: secret_file?,
                }
            }
            IdentityType::ClientCertificate => {
                let sidecar = Sidecar::read(fields);
                Self::ClientCertificate {
                    application: Application::read(fields, context)?,
                    sidecar: sidecar?,
                }
            }
            IdentityType::WorkloadIdentity => {
                let reader = &mut context.reader;
                let token_file = fields.or("tokenFile", || reader.federated_token(None));
                Self::WorkloadIdentity {
                    application: Application::read_or_of_webhook(fields, context)?,
                    token_file: token_file?,
                }
            }
            IdentityType::ServiceAccountToken => {
                let token_file = fields.or("tokenFile", || context.service_account_token());
                Self::ServiceAccountToken {
                    application: Application::read(fields, context)?,
                    token_file: token_file?,
                }
            }
            IdentityType::ManagedIdentityFederated => {
                let managed_identity = fields.optional("managedIdentity");
                let imds = fields.or("imds", || context.reader.imds_for_federation());
                Self::ManagedIdentityFederated {
                    application: Application::read(fields, context)?,
                    imds: imds?,
                    managed_identity,
                }
            }
            IdentityType::Tsiam => {
                let cloud = fields.optional("cloud");
                Self::Tsiam {
                    tsiam: fields.needed("tsiam")?,
                    cloud,
                }
            }
            IdentityType::TsiamFederated => {
                let tsiam = fields.needed("tsiam");
                Self::TsiamFederated {
                    application: Application::read(fields, context)?,
                    tsiam: tsiam?,
                }
            }
        })
    }
}

impl Application {
    fn read<V: IntoValue>(
        fields: &mut Fields<'_, V>,
        context: &mut Context<'_, '_>,
    ) -> Option<Self> {
        let (tenant, client_id) = (fields.needed("tenantId"), fields.needed("clientId"));
        let entra = context.entra(fields, None);
        let (entra, cloud) = entra?;
        Some(Self {
            tenant: tenant?,
            client_id: client_id?,
            cloud,
            entra,
        })
    }

    /// One of which the webhook of workload identity says what the file leaves out.
    fn read_or_of_webhook<V: IntoValue>(
        fields: &mut Fields<'_, V>,
        context: &mut Context<'_, '_>,
    ) -> Option<Self> {
        let reader = &mut context.reader;
        let tenant = fields.or("tenantId", || reader.tenant_of_the_webhook());
        let client_id = fields.or("clientId", || reader.client_id_of_the_webhook());
        let of_webhook = context.reader.variables.value(AUTHORITY_HOST);
        let (entra, cloud) = context.entra(fields, of_webhook)?;
        Some(Self {
            tenant: tenant?,
            client_id: client_id?,
            cloud,
            entra,
        })
    }
}

impl Context<'_, '_> {
    /// The Entra that `authority` names, or `of_webhook` where neither `authority` nor `cloud` is
    /// given, or else that of the cloud; and whose it is.
    fn entra<V: IntoValue>(
        &mut self,
        fields: &mut Fields<'_, V>,
        of_webhook: Option<&str>,
    ) -> Option<(EntraUrl, CloudName)> {
        // What it says is in `self.cloud`.
        let cloud: Option<CloudName> = fields.optional("cloud");
        let authority: Option<EntraUrl> = fields.optional("authority");
        match (authority, of_webhook.filter(|_| cloud.is_none())) {
            (Some(authority), _) => {
                let entra = entra_at(&authority.to_string(), self.cloud);
                self.reader.note(self.place("authority"), entra)
            }
            (None, Some(url)) => self.reader.note(AUTHORITY_HOST, entra_at(url, self.cloud)),
            (None, None) => self.reader.note(self.place("cloud"), entra_of(self.cloud)),
        }
    }

    fn service_account_token(&mut self) -> Option<TokenFile> {
        let kind = CredentialKind::Assertion;
        let file = credential_file::credential(SERVICE_ACCOUNT_TOKEN, kind);
        self.reader
            .note(self.place("tokenFile"), file)
            .map(TokenFile)
    }

    fn place(&self, field: &str) -> Place {
        Place::File(format!("identities[{}].{field}", self.index))
    }
}

impl Sidecar {
    fn read<V: IntoValue>(fields: &mut Fields<'_, V>) -> Option<Self> {
        let group = ["certificate", "tokenSidecarSocket"];
        fields.one_of(&group, |fields, name, value| match name {
            "certificate" => fields.read(name, value).map(Self::Own),
            _ => fields.read(name, value).map(Self::OfOthers),
        })
    }
}

impl<E: DeserializeError> Deserr<E> for MetadataService {
    fn deserialize_from_value<V: IntoValue>(
        value: Value<V>,
        location: ValuePointerRef,
    ) -> Result<Self, E> {
        ImdsUrl::deserialize_from_value(value, location).map(Self::Imds)
    }
}
