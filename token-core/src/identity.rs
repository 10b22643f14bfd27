//! Who asks for a token, and the request that asks.
//!
//! IMDS: <https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token>

use core::fmt::Write;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::Audience;
use crate::http::{Endpoint, Request};

const IMDS_PATH: &str = "/metadata/identity/oauth2/token?api-version=2018-02-01";

/// RFC 3986 §2.3: everything but unreserved characters is encoded.
const QUERY_VALUE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Which of a machine's managed identities is meant. IMDS takes at most one selector.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ManagedIdentity {
    /// The machine's own.
    SystemAssigned,
    /// A user-assigned one, by its application (client) id.
    ClientId(String),
    /// A user-assigned one, by its object (principal) id.
    ObjectId(String),
    /// A user-assigned one, by its Azure resource id.
    ResourceId(String),
}

impl ManagedIdentity {
    fn selector(&self) -> Option<(&'static str, &str)> {
        match self {
            Self::SystemAssigned => None,
            Self::ClientId(id) => Some(("client_id", id)),
            Self::ObjectId(id) => Some(("object_id", id)),
            Self::ResourceId(id) => Some(("msi_res_id", id)),
        }
    }
}

/// How a slot gets its token: one call to the instance metadata service.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Plan {
    /// Where the metadata service is.
    pub endpoint: Endpoint,
    /// Whose token it is.
    pub identity: ManagedIdentity,
    /// What it is for.
    pub audience: Audience,
}

impl Plan {
    /// The request. `Metadata: true` proves to IMDS that it was not forwarded by accident.
    #[must_use]
    pub fn request(&self) -> Request {
        let mut path = String::from(IMDS_PATH);
        let mut parameter = |name: &str, value: &str| {
            // Writing to a String cannot fail.
            let _ = write!(path, "&{name}={}", utf8_percent_encode(value, QUERY_VALUE));
        };
        parameter("resource", self.audience.resource());
        if let Some((name, value)) = self.identity.selector() {
            parameter(name, value);
        }
        Request {
            method: "GET",
            path,
            headers: vec![("metadata", "true".into())],
        }
    }

    /// Every input that changes what the token is, in one unambiguous text; the slot's key is
    /// made from it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let (selector, id) = self.identity.selector().unwrap_or(("system", ""));
        // Newlines cannot occur in any part.
        format!(
            "imds\n{}\n{selector}\n{id}\n{}",
            self.endpoint.authority, self.audience
        )
    }
}
