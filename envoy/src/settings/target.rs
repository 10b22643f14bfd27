//! Targets: where requests go, and with whose token. One type holds what the environment or the configuration
//! file says, and is what `render --config` writes.

use std::collections::BTreeMap;

use deserr::{IntoValue, ValuePointerRef};
use entra_auth_settings_input::{Endpoint, Host, Place, Problem, Scheme};
use entra_token_core::Audience;
use entra_token_core::config::raw::text;
use entra_token_core::config::{AuthErrorsRetryable, ConfigErrors, Fields, Hold, IdentityName};
use entra_token_core::host::HostPattern;
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::headers::{self, GivenHeaders, HeaderOverride, HeaderValue, Variable};
use super::values::{TargetUrl, values};
use super::{Reader, addressed_to, audience, target_host};

/// Where requests go, and with whose token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Target {
    /// What listeners and Envoy's metrics call it.
    pub name: TargetName,
    /// Its host, with scheme and port where wanted: https, unless `http://` names a loopback host.
    #[serde(rename = "url", serialize_with = "url")]
    #[cfg_attr(test, schemars(with = "TargetUrl"))]
    pub endpoint: Endpoint,
    /// The same, as the filter recognises it.
    #[serde(skip)]
    pub pattern: HostPattern,
    /// Name of the identity whose token it gets.
    pub identity: IdentityName,
    /// What the token is for, with or without `/.default`. By default that of the service whose
    /// host it is.
    #[cfg_attr(test, schemars(with = "Option<Audience>"))]
    pub audience: Audience,
    /// Whether the proxy is ready only with this target's token. By default a single target is
    /// required, and of several one with a token is enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub required: Option<bool>,
    /// What happens to requests while there is no token.
    #[serde(skip_serializing_if = "is_default")]
    #[cfg_attr(test, schemars(with = "Option<Hold>"))]
    pub hold: Hold,
    /// Which answers 401 and 403 that no fresh token heals become 503 with `Retry-After`.
    #[serde(skip_serializing_if = "is_default")]
    #[cfg_attr(test, schemars(with = "Option<AuthErrorsRetryable>"))]
    pub auth_errors_retryable: AuthErrorsRetryable,
    /// Headers to set on every request; not `Authorization`.
    #[serde(
        rename = "requestHeaders",
        skip_serializing_if = "Vec::is_empty",
        serialize_with = "by_name"
    )]
    #[cfg_attr(test, schemars(with = "Option<BTreeMap<String, HeaderValue>>"))]
    pub override_headers: Vec<HeaderOverride>,
}

fn url<S: Serializer>(endpoint: &Endpoint, serializer: S) -> Result<S::Ok, S::Error> {
    TargetUrl(endpoint.clone()).serialize(serializer)
}

/// The values may be secret, so they stay in the environment.
fn by_name<S: Serializer>(headers: &[HeaderOverride], serializer: S) -> Result<S::Ok, S::Error> {
    let by_name: BTreeMap<&str, HeaderValue> = headers
        .iter()
        .map(|header| {
            let from_environment = header.variable.clone();
            let value = HeaderValue::From(Variable { from_environment });
            (header.name.as_str(), value)
        })
        .collect();
    by_name.serialize(serializer)
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// What a target of the file is read with.
pub(super) struct Context<'a, 'b> {
    /// Reads what the environment says, and notes its mistakes.
    pub(super) reader: &'a mut Reader<'b>,
    /// The target's index in the file.
    pub(super) index: usize,
    /// What the file says for all targets.
    pub(super) hold: &'a Hold,
    /// Likewise.
    pub(super) auth_errors_retryable: AuthErrorsRetryable,
    /// How many headers the targets before it have.
    pub(super) headers_before: usize,
}

impl Target {
    /// Reads a target of the file.
    ///
    /// # Errors
    /// All mistakes of fields. Those that involve others are noted by the reader.
    pub(super) fn read(value: Value, context: &mut Context<'_, '_>) -> Result<Self, ConfigErrors> {
        // A host may be known although the whole URL is wrong.
        let host = text(&value, "url").and_then(|url| target_host::parse(url).ok());
        let host = host.map(|(endpoint, _)| endpoint.host);
        let list = ValuePointerRef::Origin;
        let list = list.push_key("targets");
        let mut fields = Fields::of(value.into_value(), list.push_index(context.index))?;
        let name = fields.needed("name");
        let url: Option<TargetUrl> = fields.needed("url");
        let identity = fields.needed("identity");
        let audience = fields.or("audience", || context.audience_of(host.as_ref()?));
        let required = fields.optional("required");
        let hold = fields.optional("hold");
        let auth_errors_retryable = fields.optional("authErrorsRetryable");
        let headers = fields.optional("requestHeaders");
        let override_headers = context.headers(headers.unwrap_or_default(), &mut fields);
        let place = context.place(".url");
        let endpoint = url.map(|url| url.0);
        let pattern = endpoint
            .as_ref()
            .and_then(|endpoint| context.reader.note(place, addressed_to(endpoint)));
        let target = match (name, endpoint, pattern, identity, audience) {
            (Some(name), Some(endpoint), Some(pattern), Some(identity), Some(audience)) => {
                Some(Self {
                    name,
                    endpoint,
                    pattern,
                    identity,
                    audience,
                    required,
                    hold: hold.unwrap_or_else(|| context.hold.clone()),
                    auth_errors_retryable: auth_errors_retryable
                        .unwrap_or(context.auth_errors_retryable),
                    override_headers,
                })
            }
            _ => None,
        };
        fields.finish(target, None, &[])
    }
}

impl Context<'_, '_> {
    fn place(&self, field: &str) -> Place {
        Place::File(format!("targets[{}]{field}", self.index))
    }

    /// The audience of the service whose host it is.
    fn audience_of(&mut self, host: &Host) -> Option<Audience> {
        let audience = audience::of_target(host).map_err(|_| {
            let wrong = format!("{host} is no host whose audience is known; give its `audience`");
            Problem::new(wrong, "")
        });
        self.reader.note(self.place(""), audience)
    }

    /// The headers, after every mistake in one of them has been noted.
    fn headers<V: IntoValue>(
        &mut self,
        given: GivenHeaders,
        fields: &mut Fields<'_, V>,
    ) -> Vec<HeaderOverride> {
        let mut headers = Vec::new();
        for (name, value) in given.0 {
            match value {
                Ok(value) => {
                    let header = self.header(&name, value, &headers);
                    let place = format!(".requestHeaders.{}", headers::beginning(&name));
                    headers.extend(self.reader.note(self.place(&place), header));
                }
                Err(found) => fields.note(found),
            }
        }
        headers
    }

    fn header(
        &self,
        name: &str,
        value: HeaderValue,
        before: &[HeaderOverride],
    ) -> Result<HeaderOverride, Problem> {
        let value = value.in_environment(self.reader.variables)?;
        let header = headers::header(name, &value, self.headers_before + before.len())?;
        match before.iter().any(|other| other.name == header.name) {
            false => Ok(header),
            true => Err(headers::twice(name)),
        }
    }
}

/// The `Host`s by which requests to a port mean this endpoint. A target at its scheme's own port
/// may be written with a default port, or with that of the listener, which a client has there for
/// which the target's name leads to this proxy.
#[must_use]
pub fn hosts(endpoint: &Endpoint, listening_port: u16) -> Vec<String> {
    let authority = endpoint.authority();
    if endpoint.port != endpoint.scheme.default_port() {
        return vec![authority];
    }
    let mut ports = vec![
        Scheme::Http.default_port(),
        Scheme::Https.default_port(),
        listening_port,
    ];
    ports.sort_unstable();
    ports.dedup();
    let with_port = ports.into_iter().map(|port| format!("{authority}:{port}"));
    std::iter::once(authority.clone())
        .chain(with_port)
        .collect()
}

values! {
    /// Name of a target.
    TargetName(String): parse_name, |name| name.clone(),
        { "type": "string", "pattern": "^[A-Za-z0-9_.-]{1,64}$" };
}

/// Names are as those of identities, which are labels of metrics, too.
fn parse_name(text: &str) -> Result<String, Problem> {
    let name: Result<IdentityName, _> = text.parse();
    match name {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err(Problem::of_value(
            text,
            "is no name of a target; use up to 64 letters, digits, `_`, `.` and `-`",
        )),
    }
}

impl TargetName {
    /// The one that the environment names.
    #[must_use]
    pub fn only() -> Self {
        Self("target".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::target_host;

    #[test]
    fn a_target_at_a_default_port_is_meant_with_it_without_it_and_with_the_listeners() {
        let of = |value| hosts(&target_host::parse(value).unwrap().0, 8082);
        assert_eq!(
            of("https://abc.example"),
            [
                "abc.example",
                "abc.example:80",
                "abc.example:443",
                "abc.example:8082"
            ]
        );
        assert_eq!(of("https://abc.example:8443"), ["abc.example:8443"]);
        assert_eq!(of("http://[::1]")[..2], ["[::1]", "[::1]:80"]);
    }
}
