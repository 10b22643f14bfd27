//! `[scheme://]host[:port][/]` as people write it into a setting. A path, a query or user information is
//! refused and not silently dropped.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::{Problem, quoted};

/// A host: an address, or a DNS name in lower case without the final dot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// A DNS name.
    Name(String),
    /// An address.
    Ip(IpAddr),
}

impl Host {
    /// Whether the host is this machine: `localhost`, `127.0.0.0/8` or `::1`.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match self {
            Self::Name(name) => name == "localhost",
            Self::Ip(address) => address.is_loopback(),
        }
    }
}

/// Without brackets, as in SNI, a subject alternative name or a socket address.
impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Ip(address) => address.fmt(f),
        }
    }
}

/// The schemes that are supported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// `http://`
    Http,
    /// `https://`
    Https,
}

impl Scheme {
    /// The default port of the scheme (RFC 9110 §4.2).
    #[must_use]
    pub fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// A server to connect to, with all defaults filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The protocol.
    pub scheme: Scheme,
    /// The host: for DNS, SNI and the certificate's names.
    pub host: Host,
    /// The port.
    pub port: u16,
}

impl Endpoint {
    /// The URL without a path: `https://host` or `https://host:8443`.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = match self.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        format!("{scheme}://{}", self.authority())
    }

    /// The `Host` header of requests to it, without the scheme's default port (RFC 9110 §7.2).
    #[must_use]
    pub fn authority(&self) -> String {
        if self.port == self.scheme.default_port() {
            self.bracketed_host()
        } else {
            self.host_and_port()
        }
    }

    /// Host and port, also the default one, as CONNECT needs it (RFC 9110 §9.3.6).
    #[must_use]
    pub fn host_and_port(&self) -> String {
        format!("{}:{}", self.bracketed_host(), self.port)
    }

    /// This endpoint, if it has TLS or is this machine: no other machine is sent a token or a credential in clear.
    ///
    /// # Errors
    /// It is another machine without TLS; `value` is what the setting has.
    pub fn encrypted(self, value: &str) -> Result<Self, Problem> {
        if self.scheme == Scheme::Http && !self.host.is_loopback() {
            return Err(Problem::which(
                value,
                "is not encrypted",
                "Use https://; http:// is for loopback hosts only.",
            ));
        }
        Ok(self)
    }

    fn bracketed_host(&self) -> String {
        match &self.host {
            Host::Ip(address) if address.is_ipv6() => format!("[{address}]"),
            host => host.to_string(),
        }
    }
}

/// The parts of a value; what was not written is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    /// The scheme, if one was written.
    pub scheme: Option<Scheme>,
    /// The host.
    pub host: Host,
    /// The port, if one was written.
    pub port: Option<u16>,
}

impl Authority {
    /// Parses a value.
    ///
    /// # Errors
    /// What is wrong with it. User information is not repeated, because it may hold a password.
    pub fn parse(value: &str) -> Result<Self, Problem> {
        if value.contains('@') {
            // Not shown: what stands before the @ may be a password.
            return Err(Problem::new(
                "holds user information (an @)",
                "Remove what stands before the @, and the @.",
            ));
        }
        if value
            .chars()
            .any(|c| c.is_whitespace() || c.is_control() || c == '\u{fffd}')
        {
            return Err(Problem::new(
                format!("is {}, which holds white space", quoted(value)),
                "Remove it; a line end at the end of a mounted value counts, too.",
            ));
        }
        let (scheme, rest) = split_scheme(value)?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if let Some(position) = rest.find(['/', '?', '#', '\\']) {
            return Err(Problem::new(
                format!(
                    "is {}, which goes on after the host with {}",
                    quoted(value),
                    quoted(&rest[position..])
                ),
                "Remove what follows the host and its port.",
            ));
        }
        let (host, port) = split_port(rest, value)?;
        Ok(Self { scheme, host, port })
    }

    /// The endpoint, with this scheme unless one was written, and the scheme's port unless one was.
    #[must_use]
    pub fn endpoint(self, default: Scheme) -> Endpoint {
        let scheme = self.scheme.unwrap_or(default);
        Endpoint {
            scheme,
            host: self.host,
            port: self.port.unwrap_or(scheme.default_port()),
        }
    }
}

fn split_scheme(value: &str) -> Result<(Option<Scheme>, &str), Problem> {
    let Some((scheme, rest)) = value.split_once("://") else {
        return Ok((None, value));
    };
    match scheme.to_ascii_lowercase().as_str() {
        "http" => Ok((Some(Scheme::Http), rest)),
        "https" => Ok((Some(Scheme::Https), rest)),
        _ => Err(Problem::new(
            format!("is {}, whose scheme is unknown", quoted(value)),
            "Use http:// or https://, or leave it out.",
        )),
    }
}

fn split_port(rest: &str, value: &str) -> Result<(Host, Option<u16>), Problem> {
    if let Some(bracketed) = rest.strip_prefix('[') {
        let (address, after) = bracketed.split_once(']').ok_or_else(|| {
            Problem::new(
                format!("is {}, whose bracket is never closed", quoted(value)),
                "Write an IPv6 address as [::1] or [::1]:8443.",
            )
        })?;
        let address: Ipv6Addr = address.parse().map_err(|_| no_address(value, "IPv6"))?;
        let port = match after.strip_prefix(':') {
            Some(port) => Some(parse_port(port, value)?),
            None if after.is_empty() => None,
            None => return Err(no_address(value, "IPv6")),
        };
        return Ok((Host::Ip(address.into()), port));
    }
    if rest.matches(':').count() > 1 {
        let address: Ipv6Addr = rest.parse().map_err(|_| no_address(value, "IPv6"))?;
        return Ok((Host::Ip(address.into()), None));
    }
    match rest.split_once(':') {
        Some((host, port)) => Ok((parse_host(host, value)?, Some(parse_port(port, value)?))),
        None => Ok((parse_host(rest, value)?, None)),
    }
}

fn parse_host(host: &str, value: &str) -> Result<Host, Problem> {
    if let Ok(address) = host.parse::<Ipv4Addr>() {
        return Ok(Host::Ip(address.into()));
    }
    let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    if name.is_empty() {
        return Err(Problem::new(
            format!("is {}, which names no host", quoted(value)),
            "Give a host, as abc.example or abc.example:8443.",
        ));
    }
    // RFC 1123 §2.1 with the underscore that Docker and Windows names have; 253: RFC 1035 §2.3.4.
    let label_is_good = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    if name.len() > 253 || !name.split('.').all(label_is_good) {
        return Err(Problem::new(
            format!("is {}, which is no host name", quoted(value)),
            "Use letters, digits, hyphens and dots; write a name in another script in its xn-- form.",
        ));
    }
    // No top-level domain is a number, so such a name is a mistyped address.
    let last_is_number = name
        .rsplit('.')
        .next()
        .is_some_and(|label| label.bytes().all(|b| b.is_ascii_digit()));
    if last_is_number {
        return Err(no_address(value, "IPv4"));
    }
    Ok(Host::Name(name))
}

fn parse_port(port: &str, value: &str) -> Result<u16, Problem> {
    let all_digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    match port.parse() {
        Ok(port) if all_digits && port != 0 => Ok(port),
        _ => Err(Problem::new(
            format!("is {}, whose port is not 1 to 65535", quoted(value)),
            "Correct the port, or leave it out with its colon.",
        )),
    }
}

fn no_address(value: &str, kind: &str) -> Problem {
    Problem::new(
        format!("is {}, which is no {kind} address", quoted(value)),
        "Write an address as 192.0.2.1 or [2001:db8::1], with :port after it if need be.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(value: &str) -> (Option<Scheme>, String, Option<u16>) {
        let authority = Authority::parse(value).unwrap();
        (authority.scheme, authority.host.to_string(), authority.port)
    }

    #[test]
    fn every_way_to_write_a_host_is_understood() {
        let http = Some(Scheme::Http);
        let https = Some(Scheme::Https);
        let cases = [
            ("abc.example.com", None, "abc.example.com", None),
            ("abc.example.com.", None, "abc.example.com", None),
            ("abc.example.com/", None, "abc.example.com", None),
            ("ABC.Example.COM:8443", None, "abc.example.com", Some(8443)),
            ("HTTP://Abc.example", http, "abc.example", None),
            ("https://abc.example:444/", https, "abc.example", Some(444)),
            ("localhost", None, "localhost", None),
            ("my_host-1", None, "my_host-1", None),
            ("xn--bcher-kva.example", None, "xn--bcher-kva.example", None),
            ("192.0.2.1", None, "192.0.2.1", None),
            ("http://192.0.2.1:1/", http, "192.0.2.1", Some(1)),
            ("[2001:DB8::1]", None, "2001:db8::1", None),
            ("[::1]:8443", None, "::1", Some(8443)),
            ("https://[::1]/", https, "::1", None),
            ("::1", None, "::1", None),
            ("2001:db8::1", None, "2001:db8::1", None),
        ];
        for (value, scheme, host, port) in cases {
            assert_eq!(parsed(value), (scheme, host.to_owned(), port), "{value}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused_with_the_reason() {
        let long_label = format!("{}.example", "a".repeat(64));
        let long_name = vec!["abcdefghi"; 26].join(".");
        let cases = [
            ("", "names no host"),
            (".", "names no host"),
            ("https://", "names no host"),
            (":443", "names no host"),
            ("abc.example/api", "goes on after the host with \"/api\""),
            ("abc.example//", "goes on after the host with \"/\""),
            ("abc.example?x=1", "goes on after the host"),
            ("abc.example#x", "goes on after the host"),
            ("abc\\example", "goes on after the host"),
            ("abc.example ", "holds white space"),
            (" abc.example", "holds white space"),
            ("abc example", "holds white space"),
            ("abc.example\n", "holds white space"),
            ("abc.example\0", "holds white space"),
            ("ftp://abc.example", "whose scheme is unknown"),
            ("unix:///run/x", "whose scheme is unknown"),
            ("abc.example:", "whose port is not 1 to 65535"),
            ("abc.example:0", "whose port is not 1 to 65535"),
            ("abc.example:65536", "whose port is not 1 to 65535"),
            ("abc.example:+80", "whose port is not 1 to 65535"),
            ("abc.example:http", "whose port is not 1 to 65535"),
            ("[::1]:", "whose port is not 1 to 65535"),
            ("[::1", "whose bracket is never closed"),
            ("[::1]8443", "is no IPv6 address"),
            ("[::g]", "is no IPv6 address"),
            ("[127.0.0.1]", "is no IPv6 address"),
            ("[fe80::1%eth0]", "is no IPv6 address"),
            ("a:b:c", "is no IPv6 address"),
            ("300.1.1.1", "is no IPv4 address"),
            ("1.2.3", "is no IPv4 address"),
            ("-abc.example", "is no host name"),
            ("abc..example", "is no host name"),
            ("*.example", "is no host name"),
            ("<workspace-endpoint-hostname>", "is no host name"),
            ("bücher.example", "is no host name"),
            (long_label.as_str(), "is no host name"),
            (long_name.as_str(), "is no host name"),
        ];
        for (value, reason) in cases {
            let problem = Authority::parse(value).unwrap_err();
            assert!(problem.wrong.contains(reason), "{value:?}: {problem:?}");
            assert!(!problem.fix.is_empty());
        }
    }

    #[test]
    fn a_password_in_a_host_is_not_repeated() {
        let problem = Authority::parse("https://user:secret@abc.example").unwrap_err();
        assert!(problem.wrong.contains("user information"));
        assert!(!format!("{problem:?}").contains("secret"));
    }

    #[test]
    fn only_this_machine_is_reached_in_clear() {
        let encrypted = |value: &str| {
            let endpoint = Authority::parse(value).unwrap().endpoint(Scheme::Https);
            endpoint.encrypted(value)
        };
        for (value, url) in [
            ("abc.example", "https://abc.example"),
            ("https://abc.example:8443", "https://abc.example:8443"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://localhost", "http://localhost"),
            ("http://[::1]", "http://[::1]"),
        ] {
            assert_eq!(encrypted(value).map(|it| it.url()), Ok(url.to_owned()));
        }
        for value in ["http://abc.example", "http://192.0.2.1"] {
            let problem = encrypted(value).unwrap_err();
            let expected = format!("is \"{value}\", which is not encrypted. Use https://");
            assert!(problem.to_string().starts_with(&expected), "{problem}");
        }
    }

    #[test]
    fn only_this_machine_is_loopback() {
        for value in ["localhost", "127.0.0.1", "127.9.9.9", "[::1]"] {
            assert!(Authority::parse(value).unwrap().host.is_loopback());
        }
        for value in ["localhost.example", "128.0.0.1", "[::2]", "0.0.0.0"] {
            assert!(!Authority::parse(value).unwrap().host.is_loopback());
        }
    }
}
