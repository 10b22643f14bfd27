//! Field values that are text or numbers. Each is parsed by the function that parses the corresponding
//! environment variable.

use std::path::{Path, PathBuf};

use deserr::{
    DeserializeError, Deserr, ErrorKind, IntoValue, Value, ValuePointerRef, take_cf_content,
};
use entra_auth_settings_input::choices::AssertionAlgorithm;
use entra_auth_settings_input::{Endpoint, Problem};
use entra_token_core::cloud::Cloud;
use entra_token_core::identity::CredentialKind;
use serde::Serialize;

use super::{ListeningAddress, addressed_to, choices, credential_file, target_host};

/// Makes types of values that have been read, with how one is read, how it is written, and its
/// JSON Schema.
macro_rules! values {
    ($($(#[$attribute:meta])* $name:ident($inner:ty): $read:expr, $show:expr, $schema:tt;)+) => {$(
        $(#[$attribute])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name(pub $inner);

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                let show: fn(&$inner) -> String = $show;
                f.write_str(&show(&self.0))
            }
        }

        impl<E: ::deserr::DeserializeError> ::deserr::Deserr<E> for $name {
            fn deserialize_from_value<V: ::deserr::IntoValue>(
                value: ::deserr::Value<V>,
                location: ::deserr::ValuePointerRef,
            ) -> Result<Self, E> {
                type Read = fn(&str) -> Result<$inner, ::entra_auth_settings_input::Problem>;
                let read: Read = $read;
                $crate::settings::values::read(value, location, read).map(Self)
            }
        }

        impl ::serde::Serialize for $name {
            fn serialize<S: ::serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        #[cfg(test)]
        impl ::schemars::JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> ::std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut ::schemars::SchemaGenerator) -> ::schemars::Schema {
                ::schemars::json_schema!($schema)
            }
        }
    )+};
}
/// For values that are defined beside the function that parses them.
pub(super) use values;

/// Reads text by a function for a variable.
pub(super) fn read<T, E: DeserializeError, V: IntoValue>(
    value: Value<V>,
    location: ValuePointerRef,
    parse: impl FnOnce(&str) -> Result<T, Problem>,
) -> Result<T, E> {
    let text = String::deserialize_from_value(value, location)?;
    parse(&text).map_err(|problem| wrong::<E, V>(&problem, location))
}

fn wrong<E: DeserializeError, V: IntoValue>(problem: &Problem, location: ValuePointerRef) -> E {
    let msg = problem.to_string();
    let msg = msg.strip_suffix('.').unwrap_or(&msg).to_owned();
    take_cf_content(E::error::<V>(None, ErrorKind::Unexpected { msg }, location))
}

values! {
    /// A file with a secret.
    SecretFile(PathBuf): |text| credential_file::credential(text, CredentialKind::Secret),
        |path| shown(path), { "type": "string", "minLength": 1 };
    /// A file with a token.
    TokenFile(PathBuf): |text| credential_file::credential(text, CredentialKind::Assertion),
        |path| shown(path), { "type": "string", "minLength": 1 };
    /// A file that somebody else reads.
    AnyFile(PathBuf): credential_file::any,
        |path| shown(path), { "type": "string", "minLength": 1 };
    /// A Unix socket.
    Socket(PathBuf): credential_file::socket,
        |path| shown(path), { "type": "string", "minLength": 1 };
    /// A cloud.
    CloudName(Cloud): |text| text.parse().map_err(|why: String| Problem::of_value(text, &why)),
        |cloud| cloud.to_string(), { "type": "string", "minLength": 1 };
    /// Where a target is.
    TargetUrl(Endpoint): target, |endpoint| endpoint.url(), { "type": "string", "minLength": 1 };
    /// The addresses on which a port is open.
    Address(ListeningAddress): ListeningAddress::parse, |address| address.to_string(),
        { "type": "string", "minLength": 1 };
    /// How assertions are signed.
    #[derive(Default)]
    Algorithm(AssertionAlgorithm): AssertionAlgorithm::parse,
        |algorithm| algorithm.name().to_owned(), { "type": "string", "enum": ["PS256", "RS256"] };
}

impl Algorithm {
    pub(super) fn is_default(&self) -> bool {
        self.0 == AssertionAlgorithm::default()
    }
}

fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Unlike aad-auth-proxy's variable the file has nobody whose `http://` must be forgiven.
fn target(text: &str) -> Result<Endpoint, Problem> {
    match target_host::parse(text)? {
        (endpoint, None) => {
            addressed_to::<entra_token_core::host::HostPattern>(&endpoint)?;
            Ok(endpoint)
        }
        (_, Some(warning)) => Err(Problem::new(warning, "Write it with https://.")),
    }
}

/// A port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Port(pub u16);

impl<E: DeserializeError> Deserr<E> for Port {
    fn deserialize_from_value<V: IntoValue>(
        value: Value<V>,
        location: ValuePointerRef,
    ) -> Result<Self, E> {
        let number = u64::deserialize_from_value(value, location)?;
        choices::port(&number.to_string())
            .map(Self)
            .map_err(|problem| wrong::<E, V>(&problem, location))
    }
}

#[cfg(test)]
impl schemars::JsonSchema for Port {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Port".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "integer", "minimum": 1, "maximum": 65535 })
    }
}
