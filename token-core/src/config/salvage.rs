//! Finds out which requests a configuration is for, although [`super::read`] refuses it
//! (docs/decisions/0017-a-first-configuration-that-is-wrong.md).
//!
//! This reads the text as far as it is JSON, and takes every valid host and cluster name that it finds in the
//! right place. So a mistake hides nothing but itself. Identities and audiences are not read: a salvaged
//! configuration never leads to a token.

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::ClusterName;
use crate::cluster::AllowedClusters;
use crate::host::{HostPattern, HostTable};

/// The requests that a wrong configuration is for.
#[derive(Clone, Debug)]
pub struct Salvage {
    /// The targets, in the order of the text.
    pub targets: Vec<SalvagedTarget>,
    /// `:authority` → index into `targets`.
    pub hosts: HostTable<usize>,
}

/// What is still known of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SalvagedTarget {
    /// The first host pattern, as for a correct target.
    pub name: String,
    /// Requests to other clusters are not for this target.
    pub clusters: AllowedClusters,
}

/// Reads what can be read. `None` for `mode: status` and `mode: service`: such a filter puts no tokens on
/// requests, so there is no request that could be told of the mistakes, and Envoy should refuse the
/// configuration.
#[must_use]
#[inline(never)]
pub fn salvage(json: &[u8]) -> Option<Salvage> {
    let mut found = Found::default();
    let mut text = serde_json::Deserializer::from_slice(json);
    // If the JSON ends early, the part before the end counts.
    let _ = Walk(&mut found, Place::Config).deserialize(&mut text);
    if found.has_no_targets {
        return None;
    }
    let mut patterns = Vec::new();
    let mut targets = Vec::new();
    for target in &found.targets {
        let clusters = target.clusters();
        // On a listener, a wide pattern such as `*` would also answer requests of other targets. In a target's
        // cluster all requests belong to the target.
        let is_bound = found.is_upstream || matches!(clusters, AllowedClusters::Named(_));
        let hosts = target
            .hosts
            .iter()
            .filter(|host| is_bound || !host.is_wide());
        let hosts: Vec<_> = hosts.cloned().collect();
        let Some(first) = hosts.first() else {
            continue;
        };
        let index = targets.len();
        targets.push(SalvagedTarget {
            name: first.to_string(),
            clusters,
        });
        patterns.extend(hosts.into_iter().map(|host| (host, index)));
    }
    Some(Salvage {
        targets,
        hosts: HostTable::new(patterns),
    })
}

#[derive(Debug, Default)]
struct Found {
    targets: Vec<FoundTarget>,
    has_no_targets: bool,
    is_upstream: bool,
}

#[derive(Debug, Default)]
struct FoundTarget {
    hosts: Vec<HostPattern>,
    clusters: Vec<ClusterName>,
}

impl FoundTarget {
    fn clusters(&self) -> AllowedClusters {
        let names = || self.clusters.iter().map(ClusterName::as_str);
        if self.clusters.is_empty() {
            AllowedClusters::OfHosts(self.hosts.clone())
        } else if names().any(|name| name == "*") {
            AllowedClusters::Any
        } else {
            AllowedClusters::Named(names().map(str::to_owned).collect())
        }
    }
}

/// The place of a value in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Config,
    Mode,
    Placement,
    Targets,
    Target,
    Hosts,
    Clusters,
    Elsewhere,
}

impl Place {
    fn field(self, name: &str) -> Self {
        match (self, name) {
            (Self::Config, "mode") => Self::Mode,
            (Self::Config, "placement") => Self::Placement,
            (Self::Config, "targets") => Self::Targets,
            (Self::Target, "hosts") => Self::Hosts,
            (Self::Target, "clusters") => Self::Clusters,
            _ => Self::Elsewhere,
        }
    }

    fn element(self) -> Self {
        match self {
            Self::Targets => Self::Target,
            // A single host instead of a list of hosts is accepted here.
            Self::Hosts | Self::Clusters => self,
            _ => Self::Elsewhere,
        }
    }
}

/// Visits the value at a place.
struct Walk<'a>(&'a mut Found, Place);

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.1 {
            Place::Elsewhere => deserializer.deserialize_ignored_any(IgnoredAny).map(drop),
            _ => deserializer.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        let Self(found, place) = self;
        match (place, found.targets.last_mut()) {
            (Place::Mode, _) => found.has_no_targets |= matches!(text, "status" | "service"),
            (Place::Placement, _) => found.is_upstream |= text == "upstream",
            (Place::Hosts, Some(target)) => {
                target.hosts.extend(host_in(text).parse::<HostPattern>());
            }
            (Place::Clusters, Some(target)) => {
                target.clusters.extend(text.parse::<ClusterName>());
            }
            _ => {}
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<(), A::Error> {
        let place = self.1.element();
        while access.next_element_seed(Walk(self.0, place))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<(), A::Error> {
        let place = match self.1 {
            // A single target instead of a list: in YAML, the dash was forgotten.
            Place::Targets => Place::Target,
            place => place,
        };
        if place == Place::Target {
            self.0.targets.push(FoundTarget::default());
        }
        while let Some(name) = access.next_key::<String>()? {
            access.next_value_seed(Walk(self.0, place.field(&name)))?;
        }
        Ok(())
    }
}

/// The host of a URL: the most common mistake is a URL instead of a host.
fn host_in(text: &str) -> &str {
    match text.split_once("://") {
        Some((_, rest)) => rest.split(['/', '?', '#']).next().unwrap_or_default(),
        None => text,
    }
}
