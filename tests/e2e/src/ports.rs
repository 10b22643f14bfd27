//! Ports for servers that a test starts.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener};
use std::sync::{Mutex, PoisonError};
use std::{env, process};

use rustix::process::getuid;

/// Below Linux' and macOS' ranges for outgoing connections, which could take a port between
/// our look at it and the server's bind.
const FIRST: u16 = 20_000;
/// Test processes that run side by side take ports by the block, each behind a file lock: between
/// a look at a port and its server's bind seconds may pass.
const BLOCK: u16 = 50;
const BLOCKS: u16 = 200;

/// The blocks of this process, and what is left of the last one.
struct Taken {
    locks: Vec<File>,
    next: u16,
    left: u16,
}

/// A loopback port that nothing listens on, given out once among the processes that ask here.
///
/// # Panics
/// When none is left.
#[must_use]
pub fn free_port() -> u16 {
    static TAKEN: Mutex<Taken> = Mutex::new(Taken {
        locks: Vec::new(),
        next: 0,
        left: 0,
    });
    let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        if taken.left == 0 {
            let (lock, first) = free_block();
            taken.locks.push(lock);
            (taken.next, taken.left) = (first, BLOCK);
        }
        let port = taken.next;
        taken.next += 1;
        taken.left -= 1;
        if is_free(port) {
            return port;
        }
    }
}

/// A block that no other process has: its lock, which ends with the process, and first port.
fn free_block() -> (File, u16) {
    let user = getuid().as_raw();
    let folder = env::temp_dir().join(format!("entra-auth-e2e-ports-{user}"));
    fs::create_dir_all(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    // Ports of a process that has just ended may linger: others begin elsewhere.
    let start = u16::try_from(process::id() % u32::from(BLOCKS)).unwrap_or(0);
    for step in 0..BLOCKS {
        let block = (start + step) % BLOCKS;
        let path = folder.join(block.to_string());
        let lock =
            File::create(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        if lock.try_lock().is_ok() {
            return (lock, FIRST + block * BLOCK);
        }
    }
    panic!("no free port in {FIRST}..{}", FIRST + BLOCKS * BLOCK);
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
