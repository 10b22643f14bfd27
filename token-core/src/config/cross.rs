//! Mistakes that involve several fields. They are searched for in the JSON itself, so they are reported
//! even if single fields are invalid.

use std::collections::HashSet;

use serde_json::Value;

use super::ConfigError;
use super::raw::{check_lists, elements, given, text};
use crate::host::HostPattern;

pub(super) fn check(config: &Value) -> Vec<ConfigError> {
    let mut errors = Vec::new();
    let mut say = |path: String, message: String| errors.push(ConfigError { path, message });
    // An instance that counts exports has no identities and no targets.
    if text(config, "mode") == Some("exports") {
        return errors;
    }
    check_lists(config, &mut say);
    let list = |field| elements(config, field).unwrap_or_default();
    // Who answers for the tokens' state and authorizes nothing may know two targets of one host:
    // in upstream placement each has a filter of its own, which knows it alone.
    let authorizes = !matches!(text(config, "mode"), Some("status" | "service"));
    // Upstream a filter is bound to one cluster already.
    let is_bound = !authorizes || text(config, "placement") == Some("upstream");
    let mut patterns = HashSet::new();
    for (n, target) in list("targets").iter().enumerate() {
        if !authorizes {
            patterns.clear();
        }
        hosts(n, target, is_bound, &mut patterns, &mut say);
    }
    errors
}

fn hosts(
    n: usize,
    target: &Value,
    is_bound: bool,
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
        let text = pattern.to_string();
        if let Some(why) = too_wide(&pattern, target, is_bound) {
            say(path.clone(), format!("`{text}` means every host{why}"));
        }
        if !patterns.insert(pattern) {
            say(
                path,
                format!("`{text}` is given twice; one host has one target"),
            );
        }
    }
}

/// What a token that every host gets would need, or must not have.
fn too_wide(pattern: &HostPattern, target: &Value, is_bound: bool) -> Option<String> {
    let of_what = if pattern.is_any() {
        ""
    } else {
        " of a top-level domain"
    };
    let clusters = elements(target, "clusters").unwrap_or_default();
    let advice = if !pattern.is_wide() {
        return None;
    } else if given(target, "clusters").is_none() {
        "say in `clusters` which clusters may carry the token"
    } else if !is_bound && clusters.iter().any(|cluster| cluster == "*") {
        "with `*` in `clusters` the token would go anywhere; name the clusters that may carry it"
    } else {
        return None;
    };
    Some(format!("{of_what}; {advice}"))
}
