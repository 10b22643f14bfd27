//! Strict reading: every mistake at once, each with its JSON path.

use core::fmt;
use core::ops::ControlFlow;

use deserr::errors::json::value_kinds_description_json;
use deserr::{DeserializeError, ErrorKind, IntoValue, MergeWithError, ValuePointerRef};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::{PluginConfig, cross};

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// Where, as in `targets[0].audience`; empty for the whole text.
    pub path: String,
    /// What is wrong and how to mend it.
    pub message: String,
}

/// Everything that is wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl ConfigErrors {
    /// How many, as a gauge shows it.
    pub fn count(&self) -> u32 {
        u32::try_from(self.0.len()).unwrap_or(u32::MAX)
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, error) in self.0.iter().enumerate() {
            let separator = if n == 0 { "" } else { "; " };
            write!(f, "{separator}{error}")?;
        }
        Ok(())
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let colon = if self.path.is_empty() { "" } else { ": " };
        write!(f, "{}{colon}{}", self.path, self.message)
    }
}

/// Reads a configuration.
///
/// # Errors
/// All mistakes of the text; a syntax error is the only one that hides others.
#[inline(never)]
pub fn read(json: &[u8]) -> Result<PluginConfig, ConfigErrors> {
    let value = unambiguous(json).map_err(|error| {
        ConfigErrors(vec![ConfigError {
            path: String::new(),
            message: format!("not valid JSON: {error}"),
        }])
    })?;
    let across = cross::check(&value);
    match deserr::deserialize::<PluginConfig, Value, ConfigErrors>(value) {
        Ok(config) if across.is_empty() => Ok(config),
        Ok(_) => Err(ConfigErrors(across)),
        Err(ConfigErrors(mut errors)) => {
            errors.extend(across);
            Err(ConfigErrors(errors))
        }
    }
}

impl DeserializeError for ConfigErrors {
    fn error<V: IntoValue>(
        so_far: Option<Self>,
        error: ErrorKind<V>,
        location: ValuePointerRef,
    ) -> ControlFlow<Self, Self> {
        let message = match error {
            ErrorKind::IncorrectValueKind { actual, accepted } => format!(
                "is {}, but must be {}",
                // The value may be long, or a secret of the launcher's file.
                value_kinds_description_json(&[actual.kind()]),
                value_kinds_description_json(accepted)
            ),
            ErrorKind::MissingField { field } => format!("`{field}` is missing"),
            ErrorKind::UnknownKey { key, accepted } => {
                format!("`{key}` is no field here; there are {}", list(accepted))
            }
            ErrorKind::UnknownValue { value, accepted } => {
                format!("`{value}` is unknown; there are {}", list(accepted))
            }
            ErrorKind::BadSequenceLen { expected, .. } => format!("must have {expected} elements"),
            ErrorKind::Unexpected { msg } => msg,
        };
        let mut errors = so_far.unwrap_or_default();
        errors.0.push(ConfigError {
            path: path(location),
            message,
        });
        ControlFlow::Continue(errors)
    }
}

impl MergeWithError<ConfigErrors> for ConfigErrors {
    fn merge(
        so_far: Option<Self>,
        other: ConfigErrors,
        _: ValuePointerRef,
    ) -> ControlFlow<Self, Self> {
        let mut errors = so_far.unwrap_or_default();
        errors.0.extend(other.0);
        ControlFlow::Continue(errors)
    }
}

pub(super) fn list(names: &[&str]) -> String {
    names
        .iter()
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

pub(super) fn path(location: ValuePointerRef) -> String {
    match location {
        ValuePointerRef::Origin => String::new(),
        ValuePointerRef::Key { key, prev } => match path(*prev) {
            parent if parent.is_empty() => key.into(),
            parent => format!("{parent}.{key}"),
        },
        ValuePointerRef::Index { index, prev } => format!("{}[{index}]", path(*prev)),
    }
}

/// JSON in which no object names a field twice: which of the two was meant is anybody's guess.
///
/// # Errors
/// When it is no JSON or names a field twice.
pub fn unambiguous(json: &[u8]) -> serde_json::Result<Value> {
    serde_json::from_slice(json).map(|Unambiguous(value)| value)
}

struct Unambiguous(Value);

impl<'de> Deserialize<'de> for Unambiguous {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UnambiguousVisitor).map(Self)
    }
}

struct UnambiguousVisitor;

impl<'de> Visitor<'de> for UnambiguousVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut elements = Vec::new();
        while let Some(Unambiguous(element)) = access.next_element()? {
            elements.push(element);
        }
        Ok(elements.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some((name, Unambiguous(value))) = access.next_entry::<String, _>()? {
            if fields.contains_key(&name) {
                return Err(A::Error::custom(format_args!("`{name}` is given twice")));
            }
            fields.insert(name, value);
        }
        Ok(fields.into())
    }
}
