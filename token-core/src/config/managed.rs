//! Managed identities in a plugin configuration: which identity, and which service issues its tokens.

use deserr::{Deserr, IntoValue, Value, ValuePointerRef};
use serde::Serialize;

use super::Setting;
use super::fields::Fields;
use super::{AppService, ConfigErrors, Imds, ResourceId, Uuid};
use crate::identity::{ManagedIdentity, MetadataService};

/// The service of a machine or platform that gives the tokens of managed identities.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum Platform {
    /// The instance metadata service.
    Imds(Imds),
    /// The service of App Service, Functions or Container Apps.
    AppService(AppService),
}

/// Which user-assigned identity of the machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum Selector {
    /// That with this client (application) id.
    ClientId(Uuid),
    /// That with this object (principal) id.
    ObjectId(Uuid),
    /// That with this Azure resource id.
    ResourceId(ResourceId),
}

impl Platform {
    pub(super) fn read<V: IntoValue>(fields: &mut Fields<'_, V>) -> Option<Self> {
        fields.one_of(&["imds", "appService"], |fields, name, value| match name {
            "imds" => fields.read(name, value).map(Self::Imds),
            _ => fields.read(name, value).map(Self::AppService),
        })
    }

    pub(super) fn service(&self, identity: ManagedIdentity) -> MetadataService {
        match self {
            Self::Imds(imds) => imds.service(identity),
            Self::AppService(app_service) => app_service.service(identity),
        }
    }

    pub(super) fn places(&self, places: &mut Vec<(Setting, &'static str)>) {
        let (service, key) = match self {
            Self::Imds(_) => ("imds", None),
            Self::AppService(_) => ("appService", Some("appService.header")),
        };
        places.push((Setting::MetadataService, service));
        places.extend(key.map(|key| (Setting::Credential, key)));
    }
}

impl Selector {
    /// The selector among the fields of an object.
    pub fn read<V: IntoValue>(fields: &mut Fields<'_, V>) -> Option<Self> {
        let group = ["clientId", "objectId", "resourceId"];
        fields.one_of(&group, |fields, name, id| match name {
            "clientId" => fields.read(name, id).map(Self::ClientId),
            "objectId" => fields.read(name, id).map(Self::ObjectId),
            _ => fields.read(name, id).map(Self::ResourceId),
        })
    }

    /// The field that names it.
    #[must_use]
    pub fn field(&self) -> &'static str {
        match self {
            Self::ClientId(_) => "clientId",
            Self::ObjectId(_) => "objectId",
            Self::ResourceId(_) => "resourceId",
        }
    }
}

impl Deserr<ConfigErrors> for Selector {
    fn deserialize_from_value<V: IntoValue>(
        value: Value<V>,
        location: ValuePointerRef,
    ) -> Result<Self, ConfigErrors> {
        let mut fields = Fields::of(value, location)?;
        let selector = Self::read(&mut fields);
        fields.finish(selector, None, &[])
    }
}

impl From<&Selector> for ManagedIdentity {
    fn from(selector: &Selector) -> Self {
        match selector {
            Selector::ClientId(id) => Self::ClientId(id.to_string()),
            Selector::ObjectId(id) => Self::ObjectId(id.to_string()),
            Selector::ResourceId(id) => Self::ResourceId(id.to_string()),
        }
    }
}
