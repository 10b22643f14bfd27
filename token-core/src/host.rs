//! Matches a request's `:authority` with host patterns (RFC 9110 §4.2.3, §7.2).
//!
//! Hosts are compared without case and without a trailing dot. A pattern without a port matches the
//! default ports only: an authority with `:80` or `:443` equals one without a port, and any other port
//! needs a pattern that names it. The pattern `*` without a port matches every request.

use core::fmt;
use core::net::Ipv6Addr;
use core::str::FromStr;
use std::borrow::Cow;
use std::collections::HashMap;

/// `host`, `*.suffix` or `*`, each with an optional port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostPattern {
    kind: Kind,
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Exact(String),
    /// The suffix without `*.`; matches names with at least one more label.
    Suffix(String),
    Any,
}

impl HostPattern {
    /// Whether the pattern is `*`.
    #[must_use]
    pub fn is_any(&self) -> bool {
        self.kind == Kind::Any
    }

    /// Whether the pattern is `*` or covers a whole top-level domain, such as `*.com`.
    #[must_use]
    pub fn is_wide(&self) -> bool {
        match &self.kind {
            Kind::Exact(_) => false,
            Kind::Suffix(suffix) => !suffix.contains('.'),
            Kind::Any => true,
        }
    }

    /// Whether the pattern matches the host, and the port if there is one, in the name of a cluster.
    /// `*` matches no cluster: a target with `*` must name its clusters.
    #[must_use]
    #[inline]
    pub fn matches_cluster(&self, host: &str, port: Option<u16>) -> bool {
        let host = canonical(host);
        let host_matches = match &self.kind {
            Kind::Exact(exact) => *exact == host,
            Kind::Suffix(suffix) => host
                .strip_suffix(suffix.as_str())
                .is_some_and(|rest| rest.len() > 1 && rest.ends_with('.')),
            Kind::Any => false,
        };
        let port_matches = match (port, self.port) {
            (None, _) => true,
            (Some(port), Some(own)) => port == own,
            (Some(port), None) => DEFAULT_PORTS.contains(&port),
        };
        host_matches && port_matches
    }
}

/// The default ports of http and https (RFC 9110 §4.2).
const DEFAULT_PORTS: [u16; 2] = [80, 443];

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Exact(host) => f.write_str(host)?,
            Kind::Suffix(suffix) => write!(f, "*.{suffix}")?,
            Kind::Any => f.write_str("*")?,
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl FromStr for HostPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fix = "give a host as in `abc.metrics.ingest.monitor.azure.com`, `*.example.com` or `*`, with `:port` where it is neither 80 nor 443";
        let (host, port) = split(text).ok_or_else(|| format!("has no valid port; {fix}"))?;
        if host == "*" {
            return Ok(Self {
                kind: Kind::Any,
                port,
            });
        }
        let host = canonical(host);
        let kind = match host.strip_prefix("*.") {
            Some(suffix) if is_host(suffix) => Kind::Suffix(suffix.into()),
            None if is_host(&host) => Kind::Exact(host.into_owned()),
            _ => return Err(format!("is no host; {fix}")),
        };
        Ok(Self { kind, port })
    }
}

/// Splits `host[:port]`. A default port becomes `None`. The result is `None` if the port is invalid.
#[inline]
fn split(authority: &str) -> Option<(&str, Option<u16>)> {
    // The colons of an IPv6 address are in brackets (RFC 3986 §3.2.2).
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port),
        _ => (authority, ""),
    };
    if port.is_empty() {
        return Some((host, None));
    }
    let port: u16 = port.parse().ok().filter(|port| *port != 0)?;
    Some((
        host,
        Some(port).filter(|port| !DEFAULT_PORTS.contains(port)),
    ))
}

/// The longest host name (RFC 1035 §2.3.4, without the first and last length byte). A longer one is
/// rejected early, because it may have thousands of labels to look up.
const MAX_HOST: usize = 253;

#[inline]
fn canonical(host: &str) -> Cow<'_, str> {
    let host = host.strip_suffix('.').unwrap_or(host);
    if host.starts_with('[') {
        // An IPv6 address has several text forms (RFC 5952).
        return match ipv6(host) {
            Some(address) => format!("[{address}]").into(),
            None => host.into(),
        };
    }
    if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        host.to_ascii_lowercase().into()
    } else {
        host.into()
    }
}

fn ipv6(bracketed: &str) -> Option<Ipv6Addr> {
    bracketed.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
}

#[inline]
fn is_host(text: &str) -> bool {
    if text.starts_with('[') {
        return ipv6(text).is_some();
    }
    !text.is_empty()
        && text.len() <= MAX_HOST
        && text.split('.').all(|label| {
            !label.is_empty()
                && label.len() <= 63
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        })
}

/// A map from host patterns to values. An exact host takes precedence over a suffix, a longer suffix
/// over a shorter one, and both over `*`.
#[derive(Clone, Debug, Default)]
pub struct HostTable<T> {
    exact: HashMap<String, Ports<T>>,
    suffix: HashMap<String, Ports<T>>,
    any: Ports<T>,
    /// The value of `*` without a port, which matches every request.
    catch_all: Option<T>,
    /// The same, if all other patterns have the same value.
    for_every_request: Option<T>,
}

/// The values of a host by port; rarely more than one.
type Ports<T> = Vec<(Option<u16>, T)>;

impl<T: Copy + PartialEq> HostTable<T> {
    /// Builds the table. If a pattern occurs twice, the first value counts.
    pub fn new(patterns: impl IntoIterator<Item = (HostPattern, T)>) -> Self {
        let mut table = Self {
            exact: HashMap::new(),
            suffix: HashMap::new(),
            any: Vec::new(),
            catch_all: None,
            for_every_request: None,
        };
        for (HostPattern { kind, port }, value) in patterns {
            let ports = match (kind, port) {
                (Kind::Exact(host), _) => table.exact.entry(host).or_default(),
                (Kind::Suffix(suffix), _) => table.suffix.entry(suffix).or_default(),
                (Kind::Any, Some(_)) => &mut table.any,
                (Kind::Any, None) => {
                    table.catch_all.get_or_insert(value);
                    continue;
                }
            };
            ports.push((port, value));
        }
        table.for_every_request = table
            .catch_all
            .filter(|all| table.named().all(|v| v == *all));
        table
    }

    /// The values of all patterns other than `*` without a port.
    fn named(&self) -> impl Iterator<Item = T> {
        let hosts = self.exact.values().chain(self.suffix.values());
        hosts.chain([&self.any]).flatten().map(|(_, value)| *value)
    }

    /// The value for every request, if one pattern is `*` and all patterns have the same value. Then
    /// `:authority` need not be read.
    #[must_use]
    pub fn for_every_request(&self) -> Option<T> {
        self.for_every_request
    }

    /// The value for this `:authority`.
    #[must_use]
    pub fn find(&self, authority: &str) -> Option<T> {
        self.find_named(authority).or(self.catch_all)
    }

    fn find_named(&self, authority: &str) -> Option<T> {
        let (host, port) = split(authority)?;
        if host.len() > MAX_HOST {
            return None;
        }
        let host = canonical(host);
        let on_port = |ports: &Ports<T>| {
            ports
                .iter()
                .find(|(of, _)| *of == port)
                .map(|(_, value)| *value)
        };
        if let Some(found) = self.exact.get(host.as_ref()).and_then(on_port) {
            return Some(found);
        }
        let parents = core::iter::successors(Some(host.as_ref()), |name| {
            name.split_once('.').map(|(_, parent)| parent)
        });
        parents
            .skip(1)
            .take_while(|_| !self.suffix.is_empty())
            .find_map(|parent| self.suffix.get(parent).and_then(on_port))
            .filter(|_| is_host(&host))
            .or_else(|| on_port(&self.any))
    }
}
