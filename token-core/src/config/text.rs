//! Values that are written as text or as a bounded number, each parsed when it is read.

use core::fmt;
use core::str::FromStr;
use core::time::Duration;

use deserr::{
    DeserializeError, Deserr, ErrorKind, IntoValue, Value, ValuePointerRef, take_cf_content,
};
use serde::{Serialize, Serializer};

use crate::Audience;
use crate::host::HostPattern;

/// Makes a type that parses from text (with an error that is the end of a sentence) one that
/// deserr reads, serde writes and JSON Schema describes.
macro_rules! text_value {
    ($($type:ty => $schema:tt),+ $(,)?) => {$(
        impl<E: DeserializeError> Deserr<E> for $type {
            fn deserialize_from_value<V: IntoValue>(
                value: Value<V>,
                location: ValuePointerRef,
            ) -> Result<Self, E> {
                let text = String::deserialize_from_value(value, location)?;
                text.parse().map_err(|why| {
                    let msg = format!("{text:?} {why}");
                    take_cf_content(E::error::<V>(None, ErrorKind::Unexpected { msg }, location))
                })
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        #[cfg(any(test, feature = "schema"))]
        impl schemars::JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!($schema)
            }
        }
    )+};
}

text_value! {
    HostPattern => { "type": "string", "minLength": 1 },
    Audience => { "type": "string", "minLength": 1 },
    IdentityName => { "type": "string", "pattern": "^[A-Za-z0-9_.-]{1,64}$" },
    ClusterName => { "type": "string", "minLength": 1 },
    Authority => { "type": "string", "minLength": 1 },
    Tenant => { "type": "string", "minLength": 1 },
    UrlPath => { "type": "string", "pattern": "^/" },
    Uuid => { "type": "string", "format": "uuid" },
    ResourceId => { "type": "string", "pattern": "^/subscriptions/" },
    SettingLabel => { "type": "string", "pattern": "^[!-~][ -~]{0,127}$" },
    HoldTimeout => { "type": "string", "examples": ["10s", "500ms"] },
    TokenRequestTimeout => { "type": "string", "examples": ["30s", "1m"] },
}

macro_rules! text_newtype {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub struct $name(String);

        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_newtype! {
    /// Name of an identity; also a metric label.
    IdentityName
}
text_newtype! {
    /// Name of an Envoy cluster.
    ClusterName
}
text_newtype! {
    /// Host and optional port that a request is addressed to.
    Authority
}
text_newtype! {
    /// A tenant's id, or one of its domains.
    Tenant
}
text_newtype! {
    /// Path and query of a URL.
    UrlPath
}
text_newtype! {
    /// A client or object id.
    Uuid
}
text_newtype! {
    /// An Azure resource id.
    ResourceId
}
text_newtype! {
    /// What people call a setting.
    SettingLabel
}

impl FromStr for IdentityName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fits = (1..=64).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
        fits.then(|| Self(text.into())).ok_or_else(|| {
            "is no identity name; use up to 64 letters, digits, `_`, `.` and `-`".into()
        })
    }
}

impl FromStr for SettingLabel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_printable = |b: u8| b == b' ' || b.is_ascii_graphic();
        let fits = (1..=128).contains(&text.len())
            && !text.starts_with(' ')
            && text.bytes().all(is_printable);
        fits.then(|| Self(text.into()))
            .ok_or_else(|| "is no name to show; use up to 128 characters of ASCII".into())
    }
}

impl FromStr for ClusterName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
        fits.then(|| Self(text.into()))
            .ok_or_else(|| "is no name of an Envoy cluster; it may hold no spaces".into())
    }
}

impl Authority {
    /// One that stands in this program.
    pub(super) fn constant(text: &'static str) -> Self {
        Self(text.into())
    }
}

impl UrlPath {
    /// One that stands in this program.
    pub(super) fn constant(text: &'static str) -> Self {
        Self(text.into())
    }
}

impl FromStr for Tenant {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_domain = || {
            text.contains('.')
                && text.split('.').all(|label| {
                    !label.is_empty()
                        && label
                            .bytes()
                            .all(|b| b.is_ascii_alphanumeric() || b == b'-')
                })
        };
        if text.parse::<Uuid>().is_ok() || is_domain() {
            return Ok(Self(text.to_ascii_lowercase()));
        }
        Err("is no tenant; give its id, as in `00000000-0000-0000-0000-000000000000`, or one of its domains".into())
    }
}

impl FromStr for UrlPath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fits = text.starts_with('/') && text.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
        fits.then(|| Self(text.into()))
            .ok_or_else(|| "is no path; give one as in `/token`, percent-encoded".into())
    }
}

impl FromStr for Authority {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse::<HostPattern>() {
            Ok(pattern) if !text.contains('*') && !pattern.is_any() => Ok(Self(text.into())),
            _ => Err("is no host; give one as in `169.254.169.254` or `host:port`".into()),
        }
    }
}

impl FromStr for Uuid {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let groups = [8, 4, 4, 4, 12];
        let fits = text.split('-').count() == groups.len()
            && text.split('-').zip(groups).all(|(group, len)| {
                group.len() == len && group.bytes().all(|b| b.is_ascii_hexdigit())
            });
        fits.then(|| Self(text.to_ascii_lowercase()))
            .ok_or_else(|| {
                "is no UUID; give one as in `00000000-0000-0000-0000-000000000000`".into()
            })
    }
}

impl FromStr for ResourceId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let identity = "/providers/microsoft.managedidentity/userassignedidentities/";
        let lower = text.to_ascii_lowercase();
        let fits = lower.starts_with("/subscriptions/")
            && lower.contains(identity)
            && text.bytes().all(|b| b.is_ascii_graphic());
        fits.then(|| Self(text.into())).ok_or_else(|| {
            "is no resource id of a user-assigned identity; give one as in `/subscriptions/…/resourceGroups/…/providers/Microsoft.ManagedIdentity/userAssignedIdentities/…`".into()
        })
    }
}

macro_rules! duration_newtype {
    (
        $(#[$doc:meta])* $name:ident, $from:expr, $to:expr, default $default:expr, $range:literal,
        as in $examples:literal
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name(Duration);

        impl $name {
            /// The time itself.
            #[must_use]
            pub fn get(self) -> Duration {
                self.0
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self($default)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                humantime::format_duration(self.0).fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match humantime::parse_duration(text) {
                    Ok(time) if ($from..=$to).contains(&time) => Ok(Self(time)),
                    Ok(_) => Err(concat!("is out of range; give ", $range).into()),
                    Err(_) => Err(concat!("is no duration; give one as in ", $examples).into()),
                }
            }
        }
    };
}

duration_newtype! {
    /// How long a request may wait for a token, 1 ms to 5 min.
    HoldTimeout, Duration::from_millis(1), Duration::from_secs(300),
    default Duration::from_secs(10), "`1ms` to `5m`",
    as in "`10s` or `500ms`"
}
duration_newtype! {
    /// How long the answer to a call for a token may take, 1 s to 5 min.
    TokenRequestTimeout, Duration::from_secs(1), Duration::from_secs(300),
    default Duration::from_secs(30), "`1s` to `5m`",
    as in "`30s` or `1m30s`"
}

/// A share of a token's life, 1 to 99.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Percent(u8);

impl Percent {
    /// The share in percent.
    #[must_use]
    pub fn get(self) -> u8 {
        self.0
    }
}

impl Default for Percent {
    fn default() -> Self {
        Self(10)
    }
}

impl TryFrom<u64> for Percent {
    type Error = String;

    fn try_from(number: u64) -> Result<Self, Self::Error> {
        u8::try_from(number)
            .ok()
            .filter(|percent| (1..=99).contains(percent))
            .map(Self)
            .ok_or_else(|| format!("{number} is out of range; give 1 to 99"))
    }
}

impl<E: DeserializeError> Deserr<E> for Percent {
    fn deserialize_from_value<V: IntoValue>(
        value: Value<V>,
        location: ValuePointerRef,
    ) -> Result<Self, E> {
        Self::try_from(u64::deserialize_from_value(value, location)?).map_err(|msg| {
            take_cf_content(E::error::<V>(None, ErrorKind::Unexpected { msg }, location))
        })
    }
}

#[cfg(any(test, feature = "schema"))]
impl schemars::JsonSchema for Percent {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Percent".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "integer", "minimum": 1, "maximum": 99 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every value that a message offers as an example or as a bound is one that is taken.
    #[test]
    fn what_the_errors_of_durations_offer_is_accepted() {
        fn offered<T: FromStr<Err = String>>(wrong: &[&str]) {
            for wrong in wrong {
                let error = T::from_str(wrong).err().unwrap();
                let offers: Vec<_> = error.split('`').skip(1).step_by(2).collect();
                assert_eq!(offers.len(), 2, "{error}");
                for offer in offers {
                    assert!(T::from_str(offer).is_ok(), "{offer}: {error}");
                }
            }
        }
        offered::<HoldTimeout>(&["soon", "", "10", "0s", "6m"]);
        offered::<TokenRequestTimeout>(&["soon", "", "30", "500ms", "6m"]);
    }
}
