//! The configuration file, as types. The JSON Schema under `docs/` is generated from them.

use std::collections::BTreeMap;

use deserr::{
    DeserializeError, Deserr, ErrorKind, IntoValue, Map, Value, ValueKind, ValuePointerRef,
    take_cf_content,
};
use entra_token_core::Audience;
use entra_token_core::config::{
    AuthErrorsRetryable, ConfigErrors, Fields, Hold, IdentityName, Percent,
};
use serde::Serialize;

use crate::settings::Reader;
use crate::settings::clouds::CloudHint;
use crate::settings::identity::{Context, NamedIdentity};
use crate::settings::values::{Address, Name, Port, TargetUrl};

/// Configuration file of entra-auth-envoy, which ENTRA_AUTH_CONFIG names: who asks for tokens,
/// which target gets which, and which port leads to which target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct File {
    /// Who asks for tokens.
    pub identities: Vec<NamedIdentity>,
    /// Where requests go, and with whose token.
    pub targets: Vec<Target>,
    /// The ports of the proxy.
    pub listeners: Vec<Listener>,
    /// What happens to requests while there is no token; a target may differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
    /// Which answers 401 and 403 that no fresh token heals become 503 with `Retry-After`; a target
    /// may differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_errors_retryable: Option<AuthErrorsRetryable>,
    /// The share of a token's life before its end at which the next one is asked for.
    #[serde(default)]
    pub refresh_before_expiry_percent: Percent,
}

impl File {
    /// Reads the file; `clouds` are those of its identities.
    ///
    /// # Errors
    /// All mistakes of fields. Those of the environment are noted by the reader.
    pub(super) fn read(
        file: serde_json::Value,
        clouds: &[Option<CloudHint>],
        reader: &mut Reader<'_>,
    ) -> Result<Self, ConfigErrors> {
        let mut fields = Fields::of(file.into_value(), ValuePointerRef::Origin)?;
        let identities: Option<Vec<serde_json::Value>> = fields.needed("identities");
        let (targets, listeners) = (fields.needed("targets"), fields.needed("listeners"));
        let hold = fields.optional("hold");
        let auth_errors_retryable = fields.optional("authErrorsRetryable");
        let refresh_before_expiry_percent = fields.optional("refreshBeforeExpiryPercent");
        let identities = identities.and_then(|list| {
            let read = list.into_iter().enumerate().map(|(index, identity)| {
                let cloud = clouds.get(index).and_then(Option::as_ref);
                let mut context = Context {
                    reader: &mut *reader,
                    index,
                    cloud,
                };
                let read = NamedIdentity::read(identity, &mut context);
                read.map_err(|mistakes| fields.note(mistakes)).ok()
            });
            // All are read, so that all mistakes are noted.
            read.collect::<Vec<_>>().into_iter().collect()
        });
        let file =
            (identities.zip(targets).zip(listeners)).map(|((identities, targets), listeners)| {
                Self {
                    identities,
                    targets,
                    listeners,
                    hold,
                    auth_errors_retryable,
                    refresh_before_expiry_percent: refresh_before_expiry_percent
                        .unwrap_or_default(),
                }
            });
        fields.finish(file, None, &[])
    }
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
