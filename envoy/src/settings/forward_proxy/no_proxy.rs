//! `NO_PROXY`: the hosts that are reached directly. The forms of an entry and what they match are
//! those of Go (<https://pkg.go.dev/golang.org/x/net/http/httpproxy>):
//!
//! - `*`: every host;
//! - `example.com`, `example.com.`: that name and those below it; `.example.com`, `*.example.com`: only those below;
//! - `192.0.2.1`, `2001:db8::1`: that address; `192.0.2.0/24`: those of that network;
//! - all but a network may end in `:port`, and are then for that port only.

use std::net::IpAddr;

use entra_auth_settings_input::{Host, quoted};

/// The hosts that a proxy is not for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct NoProxy(Vec<Entry>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Entry {
    Everything,
    Network {
        address: IpAddr,
        prefix: u32,
    },
    Address {
        address: IpAddr,
        port: Option<u16>,
    },
    Domain {
        /// Without a leading dot.
        name: String,
        /// Whether the name itself is meant, too.
        itself: bool,
        port: Option<u16>,
    },
}

impl NoProxy {
    /// Reads a list; also gives the entries that cannot match anything, as they may be shown.
    pub(super) fn parse(value: &str) -> (Self, Vec<String>) {
        let mut ignored = Vec::new();
        let entries = value
            .split(',')
            .map(str::trim)
            .filter(|entry| !entry.is_empty())
            .filter_map(|entry| {
                let read = Entry::parse(&entry.to_ascii_lowercase());
                if read.is_none() {
                    ignored.push(quoted(entry));
                }
                read
            })
            .collect();
        (Self(entries), ignored)
    }

    /// Whether this host is one of them.
    pub(super) fn covers(&self, host: &Host, port: u16) -> bool {
        self.0.iter().any(|entry| entry.covers(host, port))
    }
}

impl Entry {
    fn parse(entry: &str) -> Option<Self> {
        if entry == "*" {
            return Some(Self::Everything);
        }
        if let Some((address, prefix)) = entry.split_once('/') {
            let address: IpAddr = address.parse().ok()?;
            let prefix = prefix.parse().ok().filter(|bits| *bits <= width(address))?;
            return Some(Self::Network { address, prefix });
        }
        let (host, port) = split_port(entry)?;
        // The root's, which a name has anyway (RFC 1034 §3.1).
        let host = host.strip_suffix('.').unwrap_or(host);
        if let Ok(address) = host.parse::<IpAddr>() {
            let address = address.to_canonical();
            return Some(Self::Address { address, port });
        }
        let below = host.strip_prefix("*.").or_else(|| host.strip_prefix('.'));
        let name = below.unwrap_or(host);
        let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        let is_label = |label: &str| !label.is_empty() && label.bytes().all(good);
        name.split('.').all(is_label).then(|| Self::Domain {
            name: name.to_owned(),
            itself: below.is_none(),
            port,
        })
    }

    fn covers(&self, host: &Host, port: u16) -> bool {
        let is_port = |only: Option<u16>| only.is_none_or(|only| only == port);
        match (self, host) {
            (Self::Everything, _) => true,
            (Self::Network { address, prefix }, Host::Ip(host)) => {
                in_network(host.to_canonical(), *address, *prefix)
            }
            (Self::Address { address, port }, Host::Ip(host)) => {
                *address == host.to_canonical() && is_port(*port)
            }
            (Self::Domain { name, itself, port }, Host::Name(host)) => {
                let matches = match host.strip_suffix(name.as_str()) {
                    Some("") => *itself,
                    Some(labels) => labels.ends_with('.'),
                    None => false,
                };
                matches && is_port(*port)
            }
            _ => false,
        }
    }
}

/// `host`, `host:port`, `[address]`, `[address]:port` or an IPv6 address.
fn split_port(entry: &str) -> Option<(&str, Option<u16>)> {
    if let Some(bracketed) = entry.strip_prefix('[') {
        let (address, after) = bracketed.split_once(']')?;
        return match after.strip_prefix(':') {
            Some(port) => Some((address, Some(port.parse().ok()?))),
            None => after.is_empty().then_some((address, None)),
        };
    }
    match entry.split_once(':') {
        Some((host, port)) if !port.contains(':') => Some((host, Some(port.parse().ok()?))),
        _ => Some((entry, None)),
    }
}

/// Of an address, in bits.
fn width(address: IpAddr) -> u32 {
    match address {
        IpAddr::V4(_) => u32::BITS,
        IpAddr::V6(_) => u128::BITS,
    }
}

/// Whether the first bits are the same, in addresses of one family.
fn in_network(host: IpAddr, network: IpAddr, prefix: u32) -> bool {
    let bits = |address: IpAddr| match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    };
    let different = bits(host) ^ bits(network);
    let rest = width(network) - prefix;
    host.is_ipv4() == network.is_ipv4() && different.checked_shr(rest).unwrap_or(0) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use entra_auth_settings_input::Authority;

    fn covers(list: &str, host: &str, port: u16) -> bool {
        let host = Authority::parse(host).unwrap().host;
        NoProxy::parse(list).0.covers(&host, port)
    }

    /// The cases of Go's own test (`TestUseProxy`, golang.org/x/net/http/httpproxy), turned round:
    /// Go's say whether the proxy is used. Those of this machine are in the tests of the module
    /// above.
    const CASES_OF_GO: [(&str, bool); 23] = [
        ("[::2]", false),
        ("192.168.1.1", true),
        ("192.168.1.2", false),
        ("192.168.1.3", true),
        ("192.168.1.4", false),
        ("10.0.0.2", true),
        ("[2001:db8::52:0:1]", true),
        ("[2001:db8::52:0:2]", false),
        ("[2001:db8::52:0:3]", true),
        ("[2002:db8:a::123]", true),
        ("[fe80::424b:c8be:1643:a1b6]", false),
        ("barbaz.net", false),
        ("www.barbaz.net", true),
        ("foobar.com", true),
        ("www.foobar.com", true),
        ("foofoobar.com", false),
        ("baz.com", false),
        ("localhost.net", false),
        ("local.localhost", false),
        ("barbarbaz.net", false),
        ("wildcard.io", false),
        ("nested.wildcard.io", true),
        ("awildcard.io", false),
    ];

    const LIST_OF_GO: &str = "foobar.com, .barbaz.net, *.wildcard.io, 192.168.1.1, \
        192.168.1.2:81, 192.168.1.3:80, 10.0.0.0/30, 2001:db8::52:0:1, [2001:db8::52:0:2]:443, \
        [2001:db8::52:0:3]:80, 2002:db8:a::45/64";

    #[test]
    fn hosts_are_matched_as_go_matches_them() {
        for (host, covered) in CASES_OF_GO {
            assert_eq!(covers(LIST_OF_GO, host, 80), covered, "{host}");
            assert!(covers("*", host, 80), "{host}");
            assert!(covers("x.example, *", host, 80), "{host}");
        }
        assert_eq!(NoProxy::parse(LIST_OF_GO).1, [""; 0]);
    }

    #[test]
    fn what_the_cases_of_go_leave_out_is_matched_too() {
        let cases = [
            ("EXAMPLE.com", "Example.COM", 443, true),
            ("example.com:443", "example.com", 443, true),
            ("example.com:443", "a.example.com", 443, true),
            ("example.com:443", "example.com", 8443, false),
            (".example.com:443", "a.example.com", 443, true),
            (".example.com:443", "example.com", 443, false),
            ("ample.com", "example.com", 443, false),
            ("example.com.", "example.com", 443, true),
            ("example.com.", "a.example.com.", 443, true),
            ("EXAMPLE.com.:443", "example.com", 443, true),
            (".example.com.", "a.example.com", 443, true),
            (".example.com.", "example.com", 443, false),
            ("*.example.com.", "a.example.com", 443, true),
            ("192.0.2.1.", "192.0.2.1", 443, true),
            ("com", "example.com", 443, true),
            ("[2001:db8::1]", "[2001:db8::1]", 443, true),
            ("192.0.2.1", "[::ffff:192.0.2.1]", 443, true),
            ("192.0.2.0/24", "192.0.2.255", 443, true),
            ("192.0.2.0/24", "192.0.3.0", 443, false),
            ("192.0.2.77/24", "192.0.2.1", 443, true),
            ("0.0.0.0/0", "192.0.2.1", 443, true),
            ("0.0.0.0/0", "[2001:db8::1]", 443, false),
            ("::/0", "[2001:db8::1]", 443, true),
            ("::/0", "192.0.2.1", 443, false),
            ("192.0.2.1/32", "192.0.2.1", 443, true),
            ("192.0.2.1/32", "192.0.2.0", 443, false),
            ("0.0.0.0/0", "example.com", 443, false),
            (",, ,example.com,", "example.com", 443, true),
            ("", "example.com", 443, false),
        ];
        for (list, host, port, covered) in cases {
            assert_eq!(covers(list, host, port), covered, "{list} {host}:{port}");
        }
    }

    #[test]
    fn an_entry_that_can_match_nothing_is_told() {
        let wrong = [
            ":1",
            "10.0.0.0/33",
            "10.0.0/8",
            "10.0.0.0/",
            "https://example.com",
            "example.com:http",
            "example.com:65536",
            "a*.example.com",
            "a b",
            "bücher.example",
            "[::1",
            "[::1]x",
            ".",
            "*.",
            "..",
            "example.com..",
            "a..example.com",
            "..example.com",
        ];
        let (read, ignored) = NoProxy::parse(&wrong.join(","));
        assert_eq!(read, NoProxy::default());
        assert_eq!(ignored, wrong.map(|entry| format!("{entry:?}")));
    }
}
