//! The identities of a plugin configuration: which fields each type takes stands in one table.

use deserr::Deserr;
use serde::Serialize;
use serde_json::Value;

use super::raw::{Fields, check_fields, fields, given, one_of};
use super::{Authority, ClusterName, IdentityName, ResourceId, SettingName, Tenant, UrlPath, Uuid};
use crate::Audience;

/// Who asks for tokens. Which fields go with which `type` says its description.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserr)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[deserr(rename_all = camelCase, deny_unknown_fields)]
pub struct Identity {
    /// What targets, metrics and `/status` call it.
    pub name: IdentityName,
    /// How it proves who it is.
    #[serde(rename = "type")]
    #[deserr(rename = "type")]
    pub kind: IdentityType,
    /// Of an application: its tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[deserr(default)]
    pub tenant_id: Option<Tenant>,
    /// Of an application or a user-assigned identity: its client id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[deserr(default)]
    pub client_id: Option<Uuid>,
    /// `userAssigned`: its object (principal) id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[deserr(default)]
    pub object_id: Option<Uuid>,
    /// `userAssigned`: its Azure resource id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[deserr(default)]
    pub resource_id: Option<ResourceId>,
    /// The instance metadata service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[deserr(default)]
    pub imds: Option<Imds>,
    /// In place of `imds`: the service of App Service, Functions or Container Apps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[deserr(default)]
    pub app_service: Option<AppService>,
    /// `managedIdentityFederated`: which user-assigned identity of the machine speaks for the
    /// application; the machine's own by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[deserr(default)]
    pub managed_identity: Option<Selector>,
    /// `managedIdentityFederated` and `tsiamFederated`: what the assertion is for. By default
    /// that of the cloud whose Entra is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[deserr(default)]
    pub exchange_audience: Option<Audience>,
    /// Of an application: Entra.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[deserr(default)]
    pub entra: Option<Entra>,
    /// Of an application: where its secret or assertion is served inside this Envoy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[deserr(default)]
    pub credential: Option<Credential>,
    /// `tsiam` and `tsiamFederated`: the token service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[deserr(default)]
    pub tsiam: Option<Tsiam>,
    /// Whether one of the clusters named here leads to an internal listener of this Envoy: one
    /// that serves a file, or a tunnel to a forward proxy. Envoy's main thread cannot connect to
    /// internal listeners, so workers alone ask for this identity's tokens. Where no instance with
    /// `mode: service` and the same `vm_config` runs beside the filter, a worker does so only from its
    /// first request on.
    #[serde(default, skip_serializing_if = "is_false")]
    #[deserr(default)]
    pub via_internal_listener: bool,
    /// What messages call the settings that this identity was made from, where a program wrote this
    /// configuration. By default they are called by their places here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[deserr(default)]
    pub setting_names: Option<Vec<SettingName>>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_false(value: &bool) -> bool {
    !value
}

/// How an identity proves who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserr)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[deserr(rename_all = camelCase)]
pub enum IdentityType {
    /// The managed identity of the machine itself: `imds` or `appService`.
    SystemAssigned,
    /// A managed identity that was given to the machine: `imds` or `appService`, and one of
    /// `clientId`, `objectId`, `resourceId`.
    UserAssigned,
    /// An application with a secret: `tenantId`, `clientId`, `entra`, `credential`.
    ClientSecret,
    /// An application with a certificate, by the token-sidecar: `tenantId`, `clientId`, `entra`,
    /// `credential`.
    ClientCertificate,
    /// An application that trusts the token file of Azure workload identity: `tenantId`,
    /// `clientId`, `entra`, `credential`.
    WorkloadIdentity,
    /// An application that trusts Kubernetes' service-account tokens: `tenantId`, `clientId`,
    /// `entra`, `credential`.
    ServiceAccountToken,
    /// An application that trusts a managed identity of this machine: `tenantId`, `clientId`,
    /// `entra`, `imds`, and where wanted `managedIdentity` and `exchangeAudience`.
    ManagedIdentityFederated,
    /// The token of a token service inside the cluster, for targets that trust its issuer:
    /// `tsiam`.
    Tsiam,
    /// An application that trusts that token service: `tenantId`, `clientId`, `entra`, `tsiam`,
    /// and where wanted `exchangeAudience`.
    TsiamFederated,
}

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

/// Which user-assigned identity of the machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserr)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[deserr(rename_all = camelCase, deny_unknown_fields)]
pub struct Selector {
    /// Its client id. Exactly one of the three selectors is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[deserr(default)]
    pub client_id: Option<Uuid>,
    /// Its object (principal) id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[deserr(default)]
    pub object_id: Option<Uuid>,
    /// Its Azure resource id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[deserr(default)]
    pub resource_id: Option<ResourceId>,
}

/// A token service inside the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserr)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[deserr(rename_all = camelCase, deny_unknown_fields)]
pub struct Tsiam {
    /// Name of the Envoy cluster that leads there.
    pub cluster: ClusterName,
    /// What the request is addressed to.
    pub authority: Authority,
    /// The path that gives tokens.
    #[serde(default = "tsiam_path")]
    #[deserr(default = tsiam_path())]
    pub path: UrlPath,
    /// The forward proxy, `host:port`, that the cluster leads through where it does: it is named
    /// when a call fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[deserr(default)]
    pub forward_proxy: Option<Authority>,
}

fn imds_authority() -> Authority {
    Authority::constant("169.254.169.254")
}

fn entra_authority() -> Authority {
    Authority::constant(crate::cloud::Cloud::Public.authority())
}

fn localhost() -> Authority {
    Authority::constant("localhost")
}

fn tsiam_path() -> UrlPath {
    UrlPath::constant("/token")
}

const SERVICES: &[&str] = &["imds", "appService"];
const SELECTORS: &[&str] = &["clientId", "objectId", "resourceId"];
const APPLICATION: &[&[&str]] = &[&["tenantId"], &["clientId"], &["entra"], &["credential"]];

const FIELDS: &[Fields] = &[
    fields("systemAssigned", &[SERVICES], &[]),
    fields("userAssigned", &[SERVICES, SELECTORS], &[]),
    fields("clientSecret", APPLICATION, &[]),
    fields("clientCertificate", APPLICATION, &[]),
    fields("workloadIdentity", APPLICATION, &[]),
    fields("serviceAccountToken", APPLICATION, &[]),
    fields(
        "managedIdentityFederated",
        &[&["tenantId"], &["clientId"], &["entra"], &["imds"]],
        &["managedIdentity", "exchangeAudience"],
    ),
    fields("tsiam", &[&["tsiam"]], &[]),
    fields(
        "tsiamFederated",
        &[&["tenantId"], &["clientId"], &["entra"], &["tsiam"]],
        &["exchangeAudience"],
    ),
];

/// Fields that are missing, that are too many, or that do not go with the type.
pub(super) fn check(n: usize, identity: &Value, say: &mut impl FnMut(String, String)) {
    let place = format!("identities[{n}]");
    if let Some(managed) = given(identity, "managedIdentity") {
        let place = format!("{place}.managedIdentity");
        one_of(&place, "it", managed, SELECTORS, say);
    }
    check_fields(&place, identity, FIELDS, say);
}
