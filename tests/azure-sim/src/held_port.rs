//! Ports that stay with this process while nothing listens on them.

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpSocket;

/// A TCP port that is bound and does not listen: connections to it are refused, and the system gives
/// it to nobody who asks for any port, neither to listen on nor to connect from.
///
/// Linux lets a server that knows the number and sets `SO_REUSEADDR`, as most do, listen on it all
/// the same (`inet_csk_bind_conflict`), and refuses that to a second one as long as the first listens.
#[derive(Debug)]
pub struct HeldPort {
    socket: TcpSocket,
}

impl HeldPort {
    /// Takes this port, or any where it is 0.
    ///
    /// # Errors
    /// When somebody listens on it, or has bound it for himself alone.
    pub fn at(address: SocketAddr) -> io::Result<Self> {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4(),
            SocketAddr::V6(_) => TcpSocket::new_v6(),
        }?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        Ok(Self { socket })
    }

    /// What it holds.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}
