//! Applications: the client credentials grant of Entra's v2 token endpoint.
//!
//! <https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow>

use form_urlencoded::Serializer;

use super::{LocalResource, MetadataService};
use crate::http::{Body, CLIENT_REQUEST_ID, Endpoint, Request};
use crate::{Audience, Secret};

/// RFC 7523 §2.2.
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// How an application gets its token.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Exchange {
    /// Entra, or a stand-in.
    pub endpoint: Endpoint,
    /// The tenant's id or one of its domains.
    pub tenant: String,
    /// The application's (client) id.
    pub client_id: String,
    /// How it proves who it is.
    pub proof: Proof,
}

/// How an application proves who it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Proof {
    /// A password.
    Secret(LocalResource),
    /// A signed statement: of the token-sidecar, of Kubernetes, of another issuer that Entra was
    /// told to trust.
    Assertion(LocalResource),
    /// The token of a managed identity or of tsiam, for the exchange audience of the cloud.
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

    /// The proof is no part of it: whichever proof an application gives, its token is the same.
    pub(super) fn fingerprint(&self) -> Vec<&str> {
        let authority = self.endpoint.authority.as_str();
        vec!["entra", authority, &self.tenant, &self.client_id]
    }
}
