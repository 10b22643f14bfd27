//! `LISTENING_ADDRESS`, `STATUS_ADDRESS` and `address` of a listener in the file: on which of the
//! machine's addresses a port is open. Everybody who can reach the proxy port sends with the proxy's
//! identity, so it should be a loopback address if the client is on the same host.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use entra_auth_settings_input::{Problem, quoted};

/// The addresses on which a port is open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ListeningAddress {
    /// All of the machine's, IPv4 and, where it has IPv6, IPv6.
    #[default]
    All,
    /// This one; `0.0.0.0` stands for all of IPv4 alone.
    Only(IpAddr),
}

impl ListeningAddress {
    /// Reads an address, with or without the brackets of a URL. `::` means all addresses, as it
    /// does to most programs.
    ///
    /// # Errors
    /// Where it is no address of one machine.
    pub fn parse(value: &str) -> Result<Self, Problem> {
        const FIX: &str = "Give an IPv4 or IPv6 address of this machine, as 127.0.0.1 or ::1, \
                           or leave it out for all addresses.";
        let bracketed = value
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        let address = match bracketed {
            Some(inner) => inner.parse::<Ipv6Addr>().map(IpAddr::from),
            None => value.parse::<IpAddr>(),
        };
        let Ok(address) = address else {
            let wrong = match value.parse::<SocketAddr>() {
                Ok(_) => "which has a port",
                Err(_) => "which is no IP address",
            };
            return Err(Problem::new(format!("is {}, {wrong}", quoted(value)), FIX));
        };
        // `::ffff:127.0.0.1` is 127.0.0.1 (RFC 4291 §2.5.5.2).
        let address = address.to_canonical();
        if address.is_multicast() || address == IpAddr::V4(Ipv4Addr::BROADCAST) {
            let wrong = format!("is {}, which stands for many machines", quoted(value));
            return Err(Problem::new(wrong, FIX));
        }
        Ok(match address {
            IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Self::All,
            address => Self::Only(address),
        })
    }

    /// Whether both cannot be had with one port.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        match (self, other) {
            (Self::All, _) | (_, Self::All) => true,
            (Self::Only(a), Self::Only(b)) => {
                let one_is_all = a.is_unspecified() || b.is_unspecified();
                a == b || one_is_all && a.is_ipv4() == b.is_ipv4()
            }
        }
    }

    /// What a socket is bound to.
    #[must_use]
    pub fn bound_to(self, ipv6: bool) -> IpAddr {
        match self {
            Self::All if ipv6 => Ipv6Addr::UNSPECIFIED.into(),
            Self::All => Ipv4Addr::UNSPECIFIED.into(),
            Self::Only(address) => address,
        }
    }

    /// Where this machine itself reaches the port.
    #[must_use]
    pub fn from_inside(self) -> IpAddr {
        match self {
            Self::Only(address) if !address.is_unspecified() => address,
            _ => Ipv4Addr::LOCALHOST.into(),
        }
    }

    /// The port with the address, where it is not open on all: for people.
    #[must_use]
    pub fn with_port(self, port: u16) -> String {
        match self {
            Self::All => format!("port {port}"),
            Self::Only(address) => SocketAddr::new(address, port).to_string(),
        }
    }
}

/// As it is read; `::` for all.
impl fmt::Display for ListeningAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bound_to(true).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(value: &str) -> ListeningAddress {
        ListeningAddress::parse(value).unwrap_or_else(|wrong| panic!("{value}: {wrong}"))
    }

    #[test]
    fn an_address_of_either_family_is_read_and_written_back() {
        for (value, shown) in [
            ("127.0.0.1", "127.0.0.1"),
            ("0.0.0.0", "0.0.0.0"),
            ("::1", "::1"),
            ("[::1]", "::1"),
            ("0:0:0:0:0:0:0:1", "::1"),
            ("2001:DB8::1", "2001:db8::1"),
            ("::ffff:127.0.0.1", "127.0.0.1"),
            ("::", "::"),
            ("[::]", "::"),
        ] {
            assert_eq!(parsed(value).to_string(), shown, "{value}");
            assert_eq!(parsed(shown), parsed(value), "{value}");
        }
        assert_eq!(parsed("::"), ListeningAddress::All);
        assert_ne!(parsed("0.0.0.0"), ListeningAddress::All);
    }

    #[test]
    fn what_is_no_address_of_one_machine_is_refused() {
        for (value, reason) in [
            ("localhost", "no IP address"),
            ("*", "no IP address"),
            ("127.1", "no IP address"),
            ("127.0.0.1 ", "no IP address"),
            ("127.0.0.0/8", "no IP address"),
            ("[127.0.0.1]", "no IP address"),
            ("fe80::1%eth0", "no IP address"),
            ("127.0.0.1:8081", "has a port"),
            ("[::1]:8081", "has a port"),
            ("224.0.0.1", "many machines"),
            ("ff02::1", "many machines"),
            ("255.255.255.255", "many machines"),
        ] {
            let problem = ListeningAddress::parse(value).unwrap_err();
            assert!(problem.wrong.contains(reason), "{value}: {problem}");
            assert!(problem.fix.contains("127.0.0.1"), "{problem}");
        }
    }

    #[test]
    fn one_port_is_had_twice_only_on_addresses_that_do_not_overlap() {
        for (a, b, overlap) in [
            ("127.0.0.1", "127.0.0.1", true),
            ("127.0.0.1", "::1", false),
            ("127.0.0.1", "127.0.0.2", false),
            ("0.0.0.0", "127.0.0.1", true),
            ("0.0.0.0", "::1", false),
            ("::", "127.0.0.1", true),
            ("::", "::1", true),
            ("::", "0.0.0.0", true),
        ] {
            assert_eq!(parsed(a).overlaps(parsed(b)), overlap, "{a} {b}");
            assert_eq!(parsed(b).overlaps(parsed(a)), overlap, "{b} {a}");
        }
    }
}
