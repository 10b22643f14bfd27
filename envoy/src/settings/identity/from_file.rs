//! The parts of identities in the configuration file. Fields that are left out come from the environment, so
//! the result is complete.

use deserr::{DeserializeError, Deserr, IntoValue, Value, ValuePointerRef};
use entra_auth_settings_input::Place;
use entra_token_core::config::Fields;
use entra_token_core::identity::CredentialKind;

use super::application::{SERVICE_ACCOUNT_TOKEN, entra_of};
use super::{AUTHORITY_HOST, Application, EntraUrl, ImdsUrl, MetadataService, Sidecar, entra_at};
use crate::settings::clouds::CloudHint;
use crate::settings::values::{CloudName, TokenFile};
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

impl Application {
    pub(super) fn read<V: IntoValue>(
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
    pub(super) fn read_or_of_webhook<V: IntoValue>(
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

    pub(super) fn service_account_token(&mut self) -> Option<TokenFile> {
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
    pub(super) fn read<V: IntoValue>(fields: &mut Fields<'_, V>) -> Option<Self> {
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
