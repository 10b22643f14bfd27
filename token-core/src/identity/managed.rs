//! Managed identities: the services of a machine or platform that give tokens away without a
//! proof, because only the machine reaches them.

use core::fmt::Write;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::LocalResource;
use crate::http::{Endpoint, Request};
use crate::{Audience, Secret};

/// <https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token>
const IMDS: &str = "/metadata/identity/oauth2/token?api-version=2018-02-01";
/// <https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference>
const APP_SERVICE_VERSION: &str = "api-version=2019-08-01";

/// RFC 3986 §2.3: everything but unreserved characters is encoded.
const QUERY_VALUE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Which of a machine's managed identities is meant. A service takes at most one selector.
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

/// A service that gives out the tokens of managed identities.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum MetadataService {
    /// The instance metadata service of a virtual machine.
    Imds {
        /// Where it is.
        endpoint: Endpoint,
        /// Whose token is wanted.
        identity: ManagedIdentity,
    },
    /// The one of App Service, Functions and Container Apps (`IDENTITY_ENDPOINT`).
    AppService {
        /// Where it is.
        endpoint: Endpoint,
        /// The path of `IDENTITY_ENDPOINT`.
        path: String,
        /// Where the value of `IDENTITY_HEADER` is served.
        key: LocalResource,
        /// Whose token is wanted.
        identity: ManagedIdentity,
    },
    /// A token service inside the cluster, which knows by itself who asks.
    Tsiam {
        /// Where it is.
        endpoint: Endpoint,
        /// The path of its address.
        path: String,
    },
}

impl MetadataService {
    pub(super) fn endpoint(&self) -> &Endpoint {
        match self {
            Self::Imds { endpoint, .. }
            | Self::AppService { endpoint, .. }
            | Self::Tsiam { endpoint, .. } => endpoint,
        }
    }

    /// Where the key is served that the service asks for.
    pub(super) fn key(&self) -> Option<&LocalResource> {
        match self {
            Self::AppService { key, .. } => Some(key),
            Self::Imds { .. } | Self::Tsiam { .. } => None,
        }
    }

    pub(super) fn request(&self, audience: &Audience, key: Option<&Secret>) -> Request {
        let resource = ("resource", audience.resource());
        match self {
            // `Metadata: true` proves that the request was not forwarded by accident.
            Self::Imds { identity, .. } => Request::get(
                with_query(IMDS.into(), [Some(resource), identity.imds_selector()]),
                vec![("metadata", "true".into())],
            ),
            Self::AppService { path, identity, .. } => Request::get(
                with_query(
                    format!("{path}?{APP_SERVICE_VERSION}"),
                    [Some(resource), identity.app_service_selector()],
                ),
                // Proves that whoever asks can read the environment of the app.
                key.map(|key| ("x-identity-header", key.expose().into()))
                    .into_iter()
                    .collect(),
            ),
            Self::Tsiam { path, .. } => Request {
                method: "POST",
                // Any non-empty value; against requests forged across sites.
                headers: vec![("x-tsiam", "1".into()), ("content-length", "0".into())],
                ..Request::get(with_query(path.clone(), [Some(resource), None]), Vec::new())
            },
        }
    }

    pub(super) fn fingerprint(&self) -> Vec<&str> {
        let (kind, path, identity) = match self {
            Self::Imds { identity, .. } => ("imds", None, Some(identity)),
            Self::AppService { path, identity, .. } => ("app-service", Some(path), Some(identity)),
            Self::Tsiam { path, .. } => ("tsiam", Some(path), None),
        };
        let mut parts = vec![kind, self.endpoint().authority.as_str()];
        parts.extend(path.map(String::as_str));
        if let Some(identity) = identity {
            let (selector, id) = identity.imds_selector().unwrap_or(("system", ""));
            parts.extend([selector, id]);
        }
        parts
    }
}

impl ManagedIdentity {
    fn imds_selector(&self) -> Option<(&'static str, &str)> {
        match self {
            Self::SystemAssigned => None,
            Self::ClientId(id) => Some(("client_id", id)),
            Self::ObjectId(id) => Some(("object_id", id)),
            Self::ResourceId(id) => Some(("msi_res_id", id)),
        }
    }

    /// App Service has names of its own for two of them.
    fn app_service_selector(&self) -> Option<(&'static str, &str)> {
        match self {
            Self::ObjectId(id) => Some(("principal_id", id)),
            Self::ResourceId(id) => Some(("mi_res_id", id)),
            other => other.imds_selector(),
        }
    }
}

fn with_query(mut path: String, parameters: [Option<(&str, &str)>; 2]) -> String {
    for (name, value) in parameters.into_iter().flatten() {
        let separator = if path.contains('?') { '&' } else { '?' };
        let value = utf8_percent_encode(value, QUERY_VALUE);
        // Writing to a String cannot fail.
        let _ = write!(path, "{separator}{name}={value}");
    }
    path
}
