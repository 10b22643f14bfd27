//! Applications of Entra in a plugin configuration.

use deserr::IntoValue;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;

use super::Setting;
use super::fields::Fields;
use super::{Credential, Entra, Tenant, Uuid};
use crate::Audience;
use crate::cloud::Cloud;
use crate::identity::{Exchange, Proof, Source};

/// An application at Entra.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Application {
    /// Its tenant.
    pub tenant_id: Tenant,
    /// Its client id.
    pub client_id: Uuid,
    /// Entra.
    pub entra: Entra,
}

/// An application whose secret or assertion is served inside this Envoy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct WithCredential {
    /// Who it is at Entra.
    #[serde(flatten)]
    pub application: Application,
    /// Where the secret or assertion is served.
    pub credential: Credential,
}

impl Application {
    pub(super) fn read<V: IntoValue>(fields: &mut Fields<'_, V>) -> Option<Self> {
        let (tenant_id, client_id) = (fields.needed("tenantId"), fields.needed("clientId"));
        let entra = fields.needed("entra");
        Some(Self {
            tenant_id: tenant_id?,
            client_id: client_id?,
            entra: entra?,
        })
    }

    pub(super) fn source(&self, proof: Proof) -> Source {
        Source::Entra(Exchange {
            endpoint: self.entra.endpoint(),
            tenant: self.tenant_id.to_string(),
            client_id: self.client_id.to_string(),
            proof,
        })
    }

    pub(super) fn places(&self, places: &mut Vec<(Setting, &'static str)>) {
        places.extend([
            (Setting::ClientId, "clientId"),
            (Setting::TenantId, "tenantId"),
            (Setting::Cloud, "entra.authority"),
            (Setting::Authority, "entra.authority"),
        ]);
        let by_proxy = self.entra.forward_proxy.is_some();
        places.extend(by_proxy.then_some((Setting::ForwardProxy, "entra.forwardProxy")));
    }

    /// The audience of an assertion that proves to Entra who asks.
    pub(super) fn exchange_audience(&self, configured: Option<&Audience>) -> Audience {
        configured.cloned().unwrap_or_else(|| {
            let cloud = Cloud::of_authority(&self.entra.endpoint().authority);
            Audience::constant(cloud.unwrap_or(Cloud::Public).exchange_audience())
        })
    }

    /// Where the token-sidecar serves an assertion for this application, below its address.
    pub(super) fn assertion_path(&self) -> String {
        let entra = self.entra.endpoint().authority;
        let url = format!("https://{entra}{}", Exchange::path(self.tenant_id.as_str()));
        let audience = utf8_percent_encode(&url, NON_ALPHANUMERIC);
        format!("/assertion?audience={audience}")
    }
}

impl WithCredential {
    pub(super) fn read<V: IntoValue>(fields: &mut Fields<'_, V>) -> Option<Self> {
        let (application, credential) = (Application::read(fields), fields.needed("credential"));
        Some(Self {
            application: application?,
            credential: credential?,
        })
    }
}
