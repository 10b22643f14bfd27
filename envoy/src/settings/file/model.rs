//! The configuration file, as types. The JSON Schema under `docs/` is generated from them.

use std::collections::BTreeMap;

use deserr::{
    DeserializeError, Deserr, ErrorKind, IntoValue, Map, Value, ValueKind, ValuePointerRef,
    take_cf_content,
};
use entra_token_core::Audience;
use entra_token_core::config::{
    AuthErrorsRetryable, Hold, IdentityName, Mistakes, Percent, ResourceId, Selector, Tenant, Uuid,
};
use serde::Serialize;

use super::values::{
    Address, Algorithm, AnyFile, CloudName, EntraUrl, ImdsUrl, Name, Port, SecretFile, Socket,
    TargetUrl, TokenFile, TsiamUrl,
};

/// Configuration file of entra-auth-envoy, which ENTRA_AUTH_CONFIG names: who asks for tokens,
/// which target gets which, and which port leads to which target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserr)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[deserr(error = Mistakes, rename_all = camelCase, deny_unknown_fields)]
pub struct File {
    /// Who asks for tokens.
    pub identities: Vec<Identity>,
    /// Where requests go, and with whose token.
    pub targets: Vec<Target>,
    /// The ports of the proxy.
    pub listeners: Vec<Listener>,
    /// What happens to requests while there is no token; a target may differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[deserr(default)]
    pub hold: Option<Hold>,
    /// Which answers 401 and 403 that no fresh token heals become 503 with `Retry-After`; a target
    /// may differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[deserr(default)]
    pub auth_errors_retryable: Option<AuthErrorsRetryable>,
    /// The share of a token's life before its end at which the next one is asked for.
    #[serde(default)]
    #[deserr(default)]
    pub refresh_before_expiry_percent: Percent,
}

/// Who asks for tokens. Which fields go with which `type` says its description.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserr)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[deserr(error = Mistakes, rename_all = camelCase, deny_unknown_fields)]
pub struct Identity {
    /// What targets, metrics and `/status` call it.
    pub name: IdentityName,
    /// How it proves who it is.
    #[serde(rename = "type")]
    #[deserr(rename = "type")]
    pub kind: IdentityType,
    /// Of an application: the id or a domain of its tenant.
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
    /// Where the instance metadata service is. By default as the environment says it
    /// (`AZURE_POD_IDENTITY_AUTHORITY_HOST`, `IDENTITY_ENDPOINT`), else `http://169.254.169.254`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[deserr(default)]
    pub imds: Option<ImdsUrl>,
    /// Which user-assigned identity of the machine speaks for the application; the machine's own
    /// by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[deserr(default)]
    pub managed_identity: Option<Selector>,
    /// File with the application's secret, read anew for each token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[deserr(default)]
    pub secret_file: Option<SecretFile>,
    /// The application's certificate, with which a token-sidecar of the launcher's signs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[deserr(default)]
    pub certificate: Option<Certificate>,
    /// In place of `certificate`: Unix socket of a token-sidecar in another container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[deserr(default)]
    pub token_sidecar_socket: Option<Socket>,
    /// File with the token that the application trusts, read anew for each token. By default that
    /// of workload identity's webhook, or of the pod's service account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[deserr(default)]
    pub token_file: Option<TokenFile>,
    /// tsiam's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[deserr(default)]
    pub tsiam: Option<TsiamUrl>,
    /// `public`, `usgovernment` or `china`. By default that of its targets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[deserr(default)]
    pub cloud: Option<CloudName>,
    /// Of an application: where its Entra is. By default that of the cloud.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[deserr(default)]
    pub authority: Option<EntraUrl>,
}

/// How an identity proves who it is. All may have `cloud`; applications `authority`, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserr)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[deserr(rename_all = camelCase)]
pub enum IdentityType {
    /// The managed identity of the machine itself; where wanted `imds`.
    SystemAssigned,
    /// A managed identity that was given to the machine: one of `clientId`, `objectId`,
    /// `resourceId`, and where wanted `imds`.
    UserAssigned,
    /// An application with a secret: `tenantId`, `clientId`, `secretFile`.
    ClientSecret,
    /// An application with a certificate: `tenantId`, `clientId`, and `certificate` or
    /// `tokenSidecarSocket`.
    ClientCertificate,
    /// An application that trusts the token file of Azure workload identity: `tenantId`,
    /// `clientId`, `tokenFile`, each by default as its webhook has set it (`AZURE_TENANT_ID`,
    /// `AZURE_CLIENT_ID`, `AZURE_FEDERATED_TOKEN_FILE`, and `AZURE_AUTHORITY_HOST` where neither
    /// `cloud` nor `authority` is given).
    WorkloadIdentity,
    /// An application that trusts Kubernetes' service-account tokens: `tenantId`, `clientId`, and
    /// where it is not the pod's own `tokenFile`.
    ServiceAccountToken,
    /// An application that trusts a managed identity of this machine: `tenantId`, `clientId`, and
    /// where wanted `managedIdentity` and `imds`.
    ManagedIdentityFederated,
    /// The token of a token service inside the cluster, for targets that trust its issuer:
    /// `tsiam`.
    Tsiam,
    /// An application that trusts that token service: `tenantId`, `clientId`, `tsiam`.
    TsiamFederated,
}

/// A certificate and how assertions are signed with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserr)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[deserr(rename_all = camelCase, deny_unknown_fields)]
pub struct Certificate {
    /// File with the certificate, and with its key or without: PEM or PFX.
    pub path: AnyFile,
    /// PEM file with the key, where that is in a file of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[deserr(default)]
    pub key_path: Option<AnyFile>,
    /// File with the password of the key or of the PFX.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[deserr(default)]
    pub password_file: Option<AnyFile>,
    /// Whether assertions carry the chain, for trust by subject name and issuer; yes by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[deserr(default)]
    pub send_chain: Option<bool>,
    /// `PS256` or `RS256`; the first by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[deserr(default)]
    pub algorithm: Option<Algorithm>,
}

/// Where requests go, and with whose token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserr)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[deserr(rename_all = camelCase, deny_unknown_fields)]
pub struct Target {
    /// What listeners and Envoy's metrics call it.
    pub name: Name,
    /// Its host, with scheme and port where wanted: https, unless `http://` names a loopback host.
    pub url: TargetUrl,
    /// Name of the identity whose token it gets.
    pub identity: IdentityName,
    /// What the token is for, with or without `/.default`. By default that of the service whose
    /// host it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[deserr(default)]
    pub audience: Option<Audience>,
    /// Whether the proxy is ready only with this target's token. By default a single target is
    /// required, and of several one with a token is enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[deserr(default)]
    pub required: Option<bool>,
    /// What happens to requests while there is no token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[deserr(default)]
    pub hold: Option<Hold>,
    /// Which answers 401 and 403 that no fresh token heals become 503 with `Retry-After`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[deserr(default)]
    pub auth_errors_retryable: Option<AuthErrorsRetryable>,
    /// Headers to set on every request; not `Authorization`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[deserr(default)]
    pub request_headers: Option<RequestHeaders>,
}

/// Headers by their names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct RequestHeaders(pub BTreeMap<String, HeaderValue>);

/// As deserr's own for a map should be: that one (0.6.4) forgets the mistakes in values.
impl<E: DeserializeError> Deserr<E> for RequestHeaders {
    fn deserialize_from_value<V: IntoValue>(
        value: Value<V>,
        location: ValuePointerRef,
    ) -> Result<Self, E> {
        let Value::Map(map) = value else {
            let accepted = &[ValueKind::Map];
            let error = ErrorKind::IncorrectValueKind {
                actual: value,
                accepted,
            };
            return Err(take_cf_content(E::error(None, error, location)));
        };
        let mut headers = BTreeMap::new();
        let mut wrong = None;
        for (name, value) in map.into_iter() {
            let location = location.push_key(&name);
            match HeaderValue::deserialize_from_value(value.into_value(), location) {
                Ok(value) => {
                    headers.insert(name, value);
                }
                Err(error) => wrong = Some(take_cf_content(E::merge(wrong, error, location))),
            }
        }
        wrong.map_or(Ok(Self(headers)), Err)
    }
}

/// The value of a header: text, or a variable of the environment that has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum HeaderValue {
    /// The value itself.
    Text(String),
    /// Where it is, for a value that is secret.
    From(Variable),
}

/// A variable of the environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserr)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[deserr(rename_all = camelCase, deny_unknown_fields)]
pub struct Variable {
    /// Its name.
    pub from_environment: String,
}

impl<E: DeserializeError> Deserr<E> for HeaderValue {
    fn deserialize_from_value<V: IntoValue>(
        value: Value<V>,
        location: ValuePointerRef,
    ) -> Result<Self, E> {
        match value {
            Value::Map(_) => Variable::deserialize_from_value(value, location).map(Self::From),
            Value::String(text) => Ok(Self::Text(text)),
            // It may be a secret, and is not shown.
            _ => {
                let msg =
                    "is neither text nor `fromEnvironment` with the name of a variable".into();
                let error = ErrorKind::Unexpected { msg };
                Err(take_cf_content(E::error::<V>(None, error, location)))
            }
        }
    }
}

/// A port of the proxy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserr)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[deserr(rename_all = camelCase, deny_unknown_fields)]
pub struct Listener {
    /// The port.
    pub port: Port,
    /// The address on which it is open, as `127.0.0.1` or `::1`; all of the machine's by default.
    /// Whoever reaches the port sends with the identities of its targets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[deserr(default)]
    pub address: Option<Address>,
    /// Name of the target that every request of this port is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[deserr(default)]
    pub target: Option<Name>,
    /// In place of `target`: names of those of which a request is for the one whose host its `Host`
    /// names. A request with another `Host` is answered 421.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[deserr(default)]
    pub targets: Option<Vec<Name>>,
}
