//! Mistakes that lie between fields. They are looked for in the JSON itself, so that they are
//! reported even where single fields are wrong too.

use std::collections::HashSet;

use serde_json::Value;

use super::raw::{check_lists, elements, given, text};
use super::{Mistake, identity};
use crate::host::HostPattern;

pub(super) fn check(config: &Value) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    let mut say = |path: String, message: String| mistakes.push(Mistake { path, message });
    check_lists(config, &mut say);
    let list = |field| elements(config, field).unwrap_or_default();
    for (n, identity) in list("identities").iter().enumerate() {
        identity::check(n, identity, &mut say);
    }
    // Who answers for the tokens' state and authorizes nothing may know two targets of one host:
    // in upstream placement each has a filter of its own, which knows it alone.
    let authorizes = text(config, "mode") != Some("status");
    let mut patterns = HashSet::new();
    for (n, target) in list("targets").iter().enumerate() {
        if !authorizes {
            patterns.clear();
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
