//! Two corners of the network: an address where nobody listens at first, and one that nobody may
//! call.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;

use e2e::free_port;

/// An address that refuses connections, until it is opened.
pub(super) struct Refusing(u16);

impl Refusing {
    pub(super) fn new() -> Self {
        Self(free_port())
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.0)
    }

    /// From now on connections go to `server`, as long as this process lives.
    pub(super) fn open_to(&self, server: SocketAddr) -> Result<(), String> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, self.0))
            .map_err(|error| format!("port {} cannot be opened: {error}", self.0))?;
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                thread::spawn(move || join(&client, server));
            }
        });
        Ok(())
    }
}

/// Passes bytes on both ways, until either side ends.
fn join(client: &TcpStream, server: SocketAddr) -> io::Result<()> {
    let server = TcpStream::connect(server)?;
    thread::scope(|scope| {
        scope.spawn(|| pump(client, &server));
        pump(&server, client);
    });
    Ok(())
}

fn pump(mut from: &TcpStream, mut to: &TcpStream) {
    // However it ends, the other side learns of it.
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}

/// A server that takes note of who calls.
pub(super) struct Elsewhere(TcpListener);

impl Elsewhere {
    pub(super) fn new() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        Ok(Self(listener))
    }

    pub(super) fn url(&self) -> io::Result<String> {
        Ok(format!("http://{}/token", self.0.local_addr()?))
    }

    /// An error when somebody has called.
    pub(super) fn was_not_called(&self) -> Result<(), String> {
        match self.0.accept() {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error.to_string()),
            Ok(_) => Err("the address in the answer was called".into()),
        }
    }
}
