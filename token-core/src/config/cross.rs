//! Mistakes that lie between fields. They are looked for in the JSON itself, so that they are
//! reported even where single fields are wrong too.

use std::collections::HashSet;

use serde_json::Value;

use super::{Mistake, identity};
use crate::host::HostPattern;

pub(super) fn check(config: &Value) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    let mut say = |path: String, message: String| mistakes.push(Mistake { path, message });
    let identities = elements(config, "identities");
    let targets = elements(config, "targets");
    for (field, list) in [("identities", identities), ("targets", targets)] {
        if list.is_some_and(<[Value]>::is_empty) {
            say(field.into(), "is empty; give at least one".into());
        }
    }

    let mut names = HashSet::new();
    for (n, identity) in identities.unwrap_or_default().iter().enumerate() {
        let name = text(identity, "name");
        if name.is_some_and(|name| !names.insert(name)) {
            say(
                format!("identities[{n}].name"),
                "another identity has this name".into(),
            );
        }
        identity::check(n, identity, &mut say);
    }

    let mut patterns = HashSet::new();
    for (n, target) in targets.unwrap_or_default().iter().enumerate() {
        if let Some(name) = text(target, "identity").filter(|name| !names.contains(name)) {
            say(
                format!("targets[{n}].identity"),
                format!("there is no identity `{name}`; define it under `identities`"),
            );
        }
        hosts(n, target, &mut patterns, &mut say);
    }
    mistakes
}

fn hosts(
    n: usize,
    target: &Value,
    patterns: &mut HashSet<HostPattern>,
    say: &mut impl FnMut(String, String),
) {
    for list in ["hosts", "clusters"] {
        if elements(target, list).is_some_and(<[Value]>::is_empty) {
            let path = format!("targets[{n}].{list}");
            say(path, "is empty; give at least one".into());
        }
    }
    let hosts = elements(target, "hosts").unwrap_or_default();
    for (h, host) in hosts.iter().enumerate() {
        // What is no pattern is reported by its own type.
        let Some(pattern) = host
            .as_str()
            .and_then(|host| host.parse::<HostPattern>().ok())
        else {
            continue;
        };
        let path = format!("targets[{n}].hosts[{h}]");
        if pattern.is_any() && given(target, "clusters").is_none() {
            say(
                path.clone(),
                "`*` means every host; say in `clusters` which clusters may carry the token".into(),
            );
        }
        let text = pattern.to_string();
        if !patterns.insert(pattern) {
            say(
                path,
                format!("`{text}` is given twice; one host has one target"),
            );
        }
    }
}

/// A field that is there; null is as good as absent.
pub(super) fn given<'a>(value: &'a Value, field: &str) -> Option<&'a Value> {
    value.get(field).filter(|value| !value.is_null())
}

fn elements<'a>(value: &'a Value, field: &str) -> Option<&'a [Value]> {
    value.get(field)?.as_array().map(Vec::as_slice)
}

pub(super) fn text<'a>(value: &'a Value, field: &str) -> Option<&'a str> {
    value.get(field)?.as_str()
}
