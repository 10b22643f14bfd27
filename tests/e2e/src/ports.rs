//! Ports for servers that a test starts.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

/// Below Linux' and macOS' ranges for outgoing connections, which could take a port between
/// our look at it and the server's bind.
const FIRST: u16 = 20_000;
const COUNT: u16 = 10_000;

/// A loopback port that nothing listens on, given out once in this process.
///
/// # Panics
/// When none is left.
#[must_use]
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Test processes that run side by side start at different places.
    let start = u16::try_from(std::process::id() % u32::from(COUNT)).unwrap_or(0);
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + (start + step % COUNT) % COUNT;
        if is_free(port) {
            return port;
        }
    }
    panic!("no free port in {FIRST}..{}", FIRST + COUNT);
}

/// Can a server listen on this port now, on IPv4 and (where there is one) IPv6?
#[must_use]
pub fn is_free(port: u16) -> bool {
    let in_use = |address: IpAddr| match TcpListener::bind((address, port)) {
        Ok(_) => false,
        Err(error) => address.is_ipv4() || error.kind() == ErrorKind::AddrInUse,
    };
    // One after the other: a socket for IPv6 may take the port for IPv4 too.
    !in_use(Ipv4Addr::UNSPECIFIED.into()) && !in_use(Ipv6Addr::UNSPECIFIED.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_port_is_given_out_twice() {
        let mut ports: Vec<u16> = (0..200).map(|_| free_port()).collect();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 200);
    }

    #[test]
    fn a_port_in_use_is_not_free() {
        for address in [Ipv4Addr::LOCALHOST, Ipv4Addr::UNSPECIFIED] {
            let listener = TcpListener::bind((address, 0)).unwrap();
            assert!(!is_free(listener.local_addr().unwrap().port()));
        }
    }
}
