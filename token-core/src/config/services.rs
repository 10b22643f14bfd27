//! The services from which an identity gets tokens and credentials, each with its Envoy cluster.

use deserr::Deserr;
use serde::Serialize;

use super::{Authority, ClusterName, UrlPath};
use crate::cloud::{self, Cloud};
use crate::http::Endpoint;
use crate::identity::{LocalResource, ManagedIdentity, MetadataService};

/// The instance metadata service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserr)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[deserr(rename_all = camelCase, deny_unknown_fields)]
pub struct Imds {
    /// Name of the Envoy cluster that leads there; in Istio
    /// `outbound|80||<host of the ServiceEntry>`.
    pub cluster: ClusterName,
    /// What the request is addressed to.
    #[serde(default = "imds_authority")]
    #[deserr(default = imds_authority())]
    pub authority: Authority,
}

/// The service at `IDENTITY_ENDPOINT`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserr)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[deserr(rename_all = camelCase, deny_unknown_fields)]
pub struct AppService {
    /// Name of the Envoy cluster that leads there.
    pub cluster: ClusterName,
    /// What the request is addressed to.
    pub authority: Authority,
    /// The path of `IDENTITY_ENDPOINT`.
    pub path: UrlPath,
    /// Where the value of `IDENTITY_HEADER` is served inside this Envoy.
    pub header: Credential,
}

/// Entra's token endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserr)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[deserr(rename_all = camelCase, deny_unknown_fields)]
pub struct Entra {
    /// Name of the Envoy cluster that leads there, by TLS; in Istio
    /// `outbound|80||login.microsoftonline.com`, with a DestinationRule that has TLS for port 80.
    pub cluster: ClusterName,
    /// What the request is addressed to: `login.microsoftonline.com`, or another cloud's.
    #[serde(default = "entra_authority")]
    #[deserr(default = entra_authority())]
    pub authority: Authority,
    /// The forward proxy, `host:port`, that the cluster leads through where it does: it is named
    /// when a call fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[deserr(default)]
    pub forward_proxy: Option<Authority>,
}

/// Where a secret or an assertion is served inside this Envoy: a file's content, or the
/// token-sidecar.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserr)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[deserr(rename_all = camelCase, deny_unknown_fields)]
pub struct Credential {
    /// Name of the Envoy cluster that leads there: an internal listener or a Unix socket.
    pub cluster: ClusterName,
    /// What the request is addressed to.
    #[serde(default = "localhost")]
    #[deserr(default = localhost())]
    pub authority: Authority,
    /// Path and query, percent-encoded. By default `/`, and for `clientCertificate`
    /// `/assertion?audience=` and the URL of Entra's token endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[deserr(default)]
    pub path: Option<UrlPath>,
}

fn imds_authority() -> Authority {
    Authority::constant("169.254.169.254")
}

fn entra_authority() -> Authority {
    Authority::constant(Cloud::Public.authority())
}

fn localhost() -> Authority {
    Authority::constant("localhost")
}

impl Imds {
    pub(super) fn service(&self, identity: ManagedIdentity) -> MetadataService {
        MetadataService::Imds {
            endpoint: endpoint(&self.cluster, &self.authority, None),
            identity,
        }
    }
}

impl AppService {
    pub(super) fn service(&self, identity: ManagedIdentity) -> MetadataService {
        MetadataService::AppService {
            endpoint: endpoint(&self.cluster, &self.authority, None),
            path: self.path.to_string(),
            key: self.header.local("/"),
            identity,
        }
    }
}

impl Entra {
    pub(super) fn endpoint(&self) -> Endpoint {
        Endpoint {
            authority: cloud::canonical_authority(self.authority.as_str()),
            ..endpoint(&self.cluster, &self.authority, self.forward_proxy.as_ref())
        }
    }
}

impl Credential {
    /// Where it is served, at this path unless another one is configured.
    pub(super) fn local(&self, default_path: &str) -> LocalResource {
        let path = self.path.as_ref().map_or(default_path, UrlPath::as_str);
        LocalResource {
            endpoint: endpoint(&self.cluster, &self.authority, None),
            path: path.into(),
        }
    }
}

pub(super) fn endpoint(
    cluster: &ClusterName,
    authority: &Authority,
    forward_proxy: Option<&Authority>,
) -> Endpoint {
    Endpoint {
        cluster: cluster.to_string(),
        authority: authority.to_string(),
        forward_proxy: forward_proxy.map(ToString::to_string),
    }
}
