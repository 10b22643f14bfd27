//! Applications, which use the client credentials grant of Entra's v2 token endpoint.
//!
//! <https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow>

use form_urlencoded::Serializer;

use super::local::LocalResource;
use super::managed::MetadataService;
use crate::http::{Body, CLIENT_REQUEST_ID, Endpoint, Request};
use crate::{Audience, Secret};

/// RFC 7523 §2.2.
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A client credentials grant (RFC 6749 §4.4).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Exchange {
    /// The token endpoint's host.
    pub endpoint: Endpoint,
    /// The tenant's id or one of its domain names.
    pub tenant: String,
    /// The application's (client) id.
    pub client_id: String,
    /// How the application authenticates.
    pub proof: Proof,
}

/// How an application authenticates (RFC 6749 §2.3, RFC 7523 §2.2).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Proof {
    /// A client secret.
    Secret(LocalResource),
    /// A client assertion, signed by the token-sidecar, by Kubernetes or by another issuer that a
    /// federated credential names.
    Assertion(LocalResource),
    /// The token of a managed identity or of tsiam, for the cloud's exchange audience, which serves
    /// as the client assertion.
    ManagedIdentity(MetadataService, Audience),
}

impl Exchange {
    /// The path of the token endpoint of a tenant.
    #[must_use]
    pub fn path(tenant: &str) -> String {
        format!("/{tenant}/oauth2/v2.0/token")
    }

    pub(super) fn request(
        &self,
        audience: &Audience,
        credential: Option<&Secret>,
        trace: String,
    ) -> Request {
        let credential = credential.map(Secret::expose).unwrap_or_default();
        let mut form = Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials")
            .append_pair("client_id", &self.client_id)
            .append_pair("scope", &audience.scope());
        match &self.proof {
            Proof::Secret(_) => form.append_pair("client_secret", credential),
            Proof::Assertion(_) | Proof::ManagedIdentity(..) => form
                .append_pair("client_assertion_type", JWT_BEARER)
                .append_pair("client_assertion", credential),
        };
        Request {
            method: "POST",
            path: Self::path(&self.tenant),
            headers: vec![
                ("content-type", "application/x-www-form-urlencoded".into()),
                ("accept", "application/json".into()),
                (CLIENT_REQUEST_ID, trace),
                ("return-client-request-id", "true".into()),
            ],
            body: Body(form.finish().into_bytes()),
        }
    }

    /// Without the proof: an application's token does not depend on how it authenticates.
    pub(super) fn fingerprint(&self) -> Vec<&str> {
        let authority = self.endpoint.authority.as_str();
        vec!["entra", authority, &self.tenant, &self.client_id]
    }
}
