//! Managed identities, whose tokens come from a metadata service that only the machine, or the pod,
//! can reach.

use core::fmt::Write;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::local::LocalResource;
use crate::http::{Endpoint, Request};
use crate::{Audience, Secret};

/// <https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token>
const IMDS: &str = "/metadata/identity/oauth2/token?api-version=2018-02-01";
/// <https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference>
const APP_SERVICE_VERSION: &str = "api-version=2019-08-01";

/// Everything is percent-encoded except the unreserved characters of RFC 3986 §2.3.
const QUERY_VALUE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A managed identity of the machine.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ManagedIdentity {
    /// The system-assigned identity.
    SystemAssigned,
    /// A user-assigned identity, by its application (client) id.
    ClientId(String),
    /// A user-assigned identity, by its object (principal) id.
    ObjectId(String),
    /// A user-assigned identity, by its Azure resource id.
    ResourceId(String),
}

/// A service that issues tokens of managed identities.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum MetadataService {
    /// The instance metadata service of a virtual machine.
    Imds {
        /// The service's endpoint.
        endpoint: Endpoint,
        /// The identity whose token is requested.
        identity: ManagedIdentity,
    },
    /// The service of App Service, Functions and Container Apps (`IDENTITY_ENDPOINT`).
    AppService {
        /// The service's endpoint.
        endpoint: Endpoint,
        /// The path of `IDENTITY_ENDPOINT`.
        path: String,
        /// Where the value of `IDENTITY_HEADER` is served.
        key: LocalResource,
        /// The identity whose token is requested.
        identity: ManagedIdentity,
    },
    /// A token service inside the cluster, which determines the caller's identity by itself.
    Tsiam {
        /// The service's endpoint.
        endpoint: Endpoint,
        /// The path of the service's address.
        path: String,
    },
}

impl MetadataService {
    /// What messages call the service.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Imds { .. } => "the instance metadata service",
            Self::AppService { .. } => "the identity endpoint",
            Self::Tsiam { .. } => "tsiam",
        }
    }

    /// The identity whose token is requested; `None` if the service itself determines who asks.
    #[must_use]
    pub fn identity(&self) -> Option<&ManagedIdentity> {
        match self {
            Self::Imds { identity, .. } | Self::AppService { identity, .. } => Some(identity),
            Self::Tsiam { .. } => None,
        }
    }

    pub(super) fn endpoint(&self) -> &Endpoint {
        match self {
            Self::Imds { endpoint, .. }
            | Self::AppService { endpoint, .. }
            | Self::Tsiam { endpoint, .. } => endpoint,
        }
    }

    /// Where the service's key is served, if it needs one.
    pub(super) fn key(&self) -> Option<&LocalResource> {
        match self {
            Self::AppService { key, .. } => Some(key),
            Self::Imds { .. } | Self::Tsiam { .. } => None,
        }
    }

    pub(super) fn request(&self, audience: &Audience, key: Option<&Secret>) -> Request {
        let resource = ("resource", audience.resource());
        match self {
            // IMDS requires `Metadata: true`, which a forwarded request does not have by accident.
            Self::Imds { identity, .. } => Request::get(
                with_query(IMDS.into(), [Some(resource), identity.imds_selector()]),
                vec![("metadata", "true".into())],
            ),
            Self::AppService { path, identity, .. } => Request::get(
                with_query(
                    format!("{path}?{APP_SERVICE_VERSION}"),
                    [Some(resource), identity.app_service_selector()],
                ),
                // Proves that the caller can read the app's environment.
                key.map(|key| ("x-identity-header", key.expose().into()))
                    .into_iter()
                    .collect(),
            ),
            Self::Tsiam { path, .. } => Request {
                method: "POST",
                // Any non-empty value; protects against cross-site request forgery.
                headers: vec![("x-tsiam", "1".into()), ("content-length", "0".into())],
                ..Request::get(with_query(path.clone(), [Some(resource), None]), Vec::new())
            },
        }
    }

    pub(super) fn fingerprint(&self) -> Vec<&str> {
        let (kind, path) = match self {
            Self::Imds { .. } => ("imds", None),
            Self::AppService { path, .. } => ("app-service", Some(path)),
            Self::Tsiam { path, .. } => ("tsiam", Some(path)),
        };
        let mut parts = vec![kind, self.endpoint().authority.as_str()];
        parts.extend(path.map(String::as_str));
        if let Some(identity) = self.identity() {
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

    /// App Service uses other names than IMDS for two selectors.
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
