//! What can still be told of a configuration that [`super::read`] refuses: which requests it was
//! meant for (docs/decisions/0017-a-first-configuration-that-is-wrong.md).
//!
//! The text is walked as far as it is JSON, and whatever stands where hosts and clusters belong is
//! taken; so a mistake hides no more than itself. Nothing is read of identities or audiences: no
//! token can come of it.

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::ClusterName;
use crate::cluster::AllowedClusters;
use crate::host::{HostPattern, HostTable};

/// The requests that a wrong configuration was meant for.
#[derive(Clone, Debug)]
pub struct Salvage {
    /// In the order of the text.
    pub targets: Vec<SalvagedTarget>,
    /// `:authority` → index into `targets`.
    pub hosts: HostTable<usize>,
}

/// What is still known of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SalvagedTarget {
    /// The first host pattern, as of a target that is right.
    pub name: String,
    /// Requests that go elsewhere were not meant.
    pub clusters: AllowedClusters,
}

/// Reads what can be read. `None` where the filter stands alone (`mode: status` or `service`): it puts
/// tokens on no requests that mistakes could be explained to, and its configuration is better refused.
#[must_use]
#[inline(never)]
pub fn salvage(json: &[u8]) -> Option<Salvage> {
    let mut found = Found::default();
    let mut text = serde_json::Deserializer::from_slice(json);
    // Where the JSON ends early, what came before it counts.
    let _ = Walk(&mut found, Place::Config).deserialize(&mut text);
    if found.stands_alone {
        return None;
    }
    let mut patterns = Vec::new();
    let mut targets = Vec::new();
    for target in &found.targets {
        let clusters = target.clusters();
        // On a listener, a host that is everybody's would answer for what was never meant. In a
        // target's cluster every request is the target's.
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
    stands_alone: bool,
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

/// Where in the configuration a value stands.
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
            // One host in place of a list of them is taken, too.
            Self::Hosts | Self::Clusters => self,
            _ => Self::Elsewhere,
        }
    }
}

/// Takes in what stands at a place.
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
            (Place::Mode, _) => found.stands_alone |= matches!(text, "status" | "service"),
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
            // One target in place of a list of them, where the dash was forgotten.
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

/// The host of a URL, which is what people write most often in place of a host.
fn host_in(text: &str) -> &str {
    match text.split_once("://") {
        Some((_, rest)) => rest.split(['/', '?', '#']).next().unwrap_or_default(),
        None => text,
    }
}
