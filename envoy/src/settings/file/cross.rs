//! Checks that involve several objects of the file, among them an identity's cloud and the clouds of its
//! targets. They read the JSON itself, so that they report their mistakes even if
//! single fields are wrong.

use std::collections::{HashMap, HashSet};

use entra_auth_settings_input::{ConfigError, Endpoint, Place, Problem};
use entra_token_core::Audience;
use entra_token_core::cloud::Cloud;
use entra_token_core::config::raw::{check_lists, elements, given, names, text};
use serde_json::Value;

use super::listening_address;
use crate::settings::ListeningAddress;
use crate::settings::clouds::{self, CloudHint};
use crate::settings::target::hosts;
use crate::settings::target_host;

/// The result of the checks.
pub(super) struct CrossChecked {
    /// The cloud of each identity, as far as it is known.
    pub(super) clouds: Vec<Option<CloudHint>>,
    pub(super) mistakes: Vec<ConfigError>,
    pub(super) warnings: Vec<String>,
}

pub(super) fn check(file: &Value) -> CrossChecked {
    let list = |field| elements(file, field).unwrap_or_default();
    let (identities, targets) = (list("identities"), list("targets"));
    let mut found = Vec::new();
    let mut say = |path: String, message: String| found.push((path, message));
    check_lists(file, &mut say);
    names(targets, "targets", "target", &mut say);
    listeners(file, &mut say);
    let mut checked = CrossChecked {
        clouds: Vec::new(),
        mistakes: found.into_iter().map(mistake).collect(),
        warnings: unused(file),
    };
    for (n, identity) in identities.iter().enumerate() {
        let cloud = cloud(n, identity, targets);
        let cloud = cloud.map_err(|mistake| checked.mistakes.push(mistake));
        checked.clouds.push(cloud.ok().flatten());
    }
    checked
}

pub(super) fn mistake((path, message): (String, String)) -> ConfigError {
    Problem::new(message, "").of(Place::File(path))
}

fn endpoint(target: &Value) -> Option<Endpoint> {
    let (endpoint, _) = target_host::parse(text(target, "url")?).ok()?;
    Some(endpoint)
}

fn audience(target: &Value) -> Option<Audience> {
    text(target, "audience")?.parse().ok()
}

/// The cloud that an identity and its targets agree on.
fn cloud(n: usize, identity: &Value, targets: &[Value]) -> Result<Option<CloudHint>, ConfigError> {
    let mut said = Vec::new();
    let mut says = |path: String, cloud: Option<Cloud>| {
        let place = Place::File(path);
        said.extend(cloud.map(|cloud| CloudHint { place, cloud }));
    };
    let own = text(identity, "cloud").and_then(|name| name.parse().ok());
    says(format!("identities[{n}].cloud"), own);
    let name = text(identity, "name");
    for (t, target) in targets.iter().enumerate() {
        if name.is_none() || text(target, "identity") != name {
            continue;
        }
        let of_audience =
            audience(target).and_then(|audience| clouds::cloud_of_audience(audience.resource()));
        says(format!("targets[{t}].audience"), of_audience);
        let of_host = endpoint(target).and_then(|endpoint| clouds::cloud_of_host(&endpoint.host));
        says(format!("targets[{t}].url"), of_host);
    }
    clouds::agreed(&said)
}

fn listeners(file: &Value, say: &mut impl FnMut(String, String)) {
    let list = elements(file, "listeners");
    if list.is_some_and(<[Value]>::is_empty) {
        say("listeners".into(), "is empty; give at least one".into());
    }
    let targets = elements(file, "targets").unwrap_or_default();
    let by_name: HashMap<&str, &Value> = targets
        .iter()
        .filter_map(|target| Some((text(target, "name")?, target)))
        .collect();
    let mut taken: Vec<(ListeningAddress, u64)> = Vec::new();
    for (n, listener) in list.unwrap_or_default().iter().enumerate() {
        let place = format!("listeners[{n}]");
        let port = listener.get("port").and_then(Value::as_u64);
        if let Some((address, port)) = listening_address(listener).zip(port) {
            let is_taken =
                |(other, its): &(ListeningAddress, u64)| *its == port && address.overlaps(*other);
            if taken.iter().any(is_taken) {
                say(
                    format!("{place}.port"),
                    "another listener has this port".into(),
                );
            }
            taken.push((address, port));
        }
        let port = port.and_then(|port| u16::try_from(port).ok());
        // A listener with both fields is a mistake, and its routing is unknown.
        let many = elements(listener, "targets").filter(|_| given(listener, "target").is_none());
        if many.is_some_and(<[Value]>::is_empty) {
            say(
                format!("{place}.targets"),
                "is empty; give at least one".into(),
            );
        }
        let mut by_host: HashMap<String, &str> = HashMap::new();
        for (place, name) in targets_of(&place, listener) {
            let target = by_name.get(name).and_then(|target| endpoint(target));
            let by = target.zip(port).filter(|_| many.is_some());
            let hosts = by.map(|(endpoint, port)| hosts(&endpoint, port));
            for host in hosts.unwrap_or_default() {
                if let Some(other) = by_host.insert(host.clone(), name) {
                    let message = if other == name {
                        format!("`{name}` is named twice; remove one")
                    } else {
                        format!(
                            "the host {host} means `{other}`, too; give the two different listeners"
                        )
                    };
                    say(place, message);
                    break;
                }
            }
        }
    }
}

/// The targets that a listener names, each with the place of the name in the file.
fn targets_of<'a>(place: &str, listener: &'a Value) -> Vec<(String, &'a str)> {
    let one = text(listener, "target").map(|name| (format!("{place}.target"), name));
    let many = elements(listener, "targets").unwrap_or_default();
    let many = many.iter().enumerate().filter_map(|(t, name)| {
        let name = name.as_str()?;
        Some((format!("{place}.targets[{t}]"), name))
    });
    one.into_iter().chain(many).collect()
}

/// Warnings about identities and targets that nothing uses: they do no harm, but are hardly intended.
fn unused(file: &Value) -> Vec<String> {
    let list = |field| elements(file, field).unwrap_or_default();
    let (identities, targets) = (list("identities"), list("targets"));
    let listened: HashSet<&str> = list("listeners")
        .iter()
        .flat_map(|listener| targets_of("", listener))
        .map(|(_, name)| name)
        .collect();
    let used_identities: HashSet<&str> = targets
        .iter()
        .filter_map(|it| text(it, "identity"))
        .collect();
    let mut warnings = Vec::new();
    let mut warn = |kind: &str, values: &[Value], used: &HashSet<&str>, what: &str| {
        let names = values.iter().filter_map(|value| text(value, "name"));
        for name in names.filter(|name| !used.contains(name)) {
            warnings.push(format!("the {kind} `{name}` is not used: {what}"));
        }
    };
    warn(
        "identity",
        identities,
        &used_identities,
        "no target gets its token",
    );
    warn("target", targets, &listened, "no listener leads to it");
    warnings
}
