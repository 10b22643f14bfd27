//! Checks of untyped JSON, so that mistakes across objects are reported even if single fields are invalid.
//! The launcher uses them for its file, too.

use std::collections::HashSet;

use serde_json::Value;

use super::ConfigError;

/// A field that is there; null is as good as absent.
#[must_use]
pub fn given<'a>(value: &'a Value, field: &str) -> Option<&'a Value> {
    value.get(field).filter(|value| !value.is_null())
}

/// A field that is a list.
#[must_use]
pub fn elements<'a>(value: &'a Value, field: &str) -> Option<&'a [Value]> {
    value.get(field)?.as_array().map(Vec::as_slice)
}

/// A field that is text.
#[must_use]
pub fn text<'a>(value: &'a Value, field: &str) -> Option<&'a str> {
    value.get(field)?.as_str()
}

/// The names in a list; says so where one is there twice.
pub fn names<'a>(
    list: &'a [Value],
    place: &str,
    kind: &str,
    say: &mut impl FnMut(String, String),
) -> HashSet<&'a str> {
    let mut names = HashSet::new();
    for (n, element) in list.iter().enumerate() {
        if text(element, "name").is_some_and(|name| !names.insert(name)) {
            let place = format!("{place}[{n}].name");
            say(place, format!("another {kind} has this name"));
        }
    }
    names
}

/// Says so where a list is empty, and where a target names an identity that is not there.
pub fn check_lists(config: &Value, say: &mut impl FnMut(String, String)) {
    let list = |field| elements(config, field);
    for field in ["identities", "targets"] {
        if list(field).is_some_and(<[Value]>::is_empty) {
            say(field.into(), "is empty; give at least one".into());
        }
    }
    let identities = list("identities").unwrap_or_default();
    let names = names(identities, "identities", "identity", say);
    for (n, target) in list("targets").unwrap_or_default().iter().enumerate() {
        if let Some(name) = text(target, "identity").filter(|name| !names.contains(name)) {
            let ConfigError { path, message } = undefined_identity(n, name);
            say(path, message);
        }
    }
}

/// The mistake of the `n`th target, which names an identity that is not there.
pub(super) fn undefined_identity(n: usize, name: &str) -> ConfigError {
    ConfigError {
        path: format!("targets[{n}].identity"),
        message: format!("there is no identity `{name}`; define it under `identities`"),
    }
}
