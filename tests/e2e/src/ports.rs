//! Ports for servers that a test starts.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener};
use std::sync::{Mutex, PoisonError};

use azure_sim::HeldPort;
use rustix::process::{Resource, getrlimit, setrlimit};

/// A port on which nothing listens, given out once and to nobody else: this process holds it as long
/// as it lives, see [`HeldPort`]. Before a server listens on it, and after its end, it refuses
/// connections.
///
/// # Panics
/// When none is left.
#[must_use]
pub fn free_port() -> u16 {
    static HELD: Mutex<Vec<HeldPort>> = Mutex::new(Vec::new());
    let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
    if held.is_empty() {
        raise_open_files();
    }
    let (port, number) = hold().unwrap_or_else(|error| panic!("no free port: {error}"));
    held.push(port);
    number
}

/// For IPv6 and IPv4 where there are both, as the launcher's listeners are.
fn hold() -> io::Result<(HeldPort, u16)> {
    let any = |address: IpAddr| HeldPort::at((address, 0).into());
    let port = any(Ipv6Addr::UNSPECIFIED.into()).or_else(|_| any(Ipv4Addr::UNSPECIFIED.into()))?;
    let number = port.address()?.port();
    Ok((port, number))
}

/// A test program may hold hundreds of ports, and the usual limit is 1,024 files. Without success it
/// does with those.
fn raise_open_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
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
    use std::net::TcpStream;

    use super::*;

    #[test]
    fn no_port_is_given_out_twice() {
        let mut ports: Vec<u16> = (0..200).map(|_| free_port()).collect();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 200);
    }

    #[test]
    fn a_port_refuses_connections_before_and_after_a_server_listens_on_it() {
        let port = free_port();
        for address in [Ipv4Addr::LOCALHOST, Ipv4Addr::UNSPECIFIED] {
            let refused = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
            let server = TcpListener::bind((address, port)).unwrap();
            assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok());
            drop(server);
        }
        let refused = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    }

    #[test]
    fn a_port_in_use_is_not_free() {
        for address in [Ipv4Addr::LOCALHOST, Ipv4Addr::UNSPECIFIED] {
            let listener = TcpListener::bind((address, 0)).unwrap();
            assert!(!is_free(listener.local_addr().unwrap().port()));
        }
        assert!(is_free(free_port()));
    }
}
