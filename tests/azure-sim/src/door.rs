//! Whether a service can be reached: behind a closed door connections are refused, and those that
//! were open have ended.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::sleep;

/// Another program may have taken the port for a moment.
const LISTEN_AGAIN: Duration = Duration::from_millis(50);

/// The door of a service: is it open?
#[derive(Debug)]
pub(crate) struct Door(watch::Sender<bool>);

impl Default for Door {
    fn default() -> Self {
        Self(watch::Sender::new(true))
    }
}

impl Door {
    pub(crate) fn set_open(&self, open: bool) {
        self.0.send_replace(open);
    }

    /// Ends when the door is closed.
    pub(crate) async fn closed(&self) {
        // The sender lives as long as `self`.
        drop(self.0.subscribe().wait_for(|open| !open).await);
    }

    async fn opened(&self) {
        drop(self.0.subscribe().wait_for(|open| *open).await);
    }
}

/// A listener that listens while a door is open.
pub(crate) struct Entrance {
    address: SocketAddr,
    listener: Option<TcpListener>,
}

impl Entrance {
    pub(crate) async fn at(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        Ok(Self {
            address: listener.local_addr()?,
            listener: Some(listener),
        })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next connection. While the door is closed nothing listens.
    pub(crate) async fn accept(&mut self, door: &Door) -> io::Result<TcpStream> {
        loop {
            let Some(listener) = &self.listener else {
                door.opened().await;
                self.listener = TcpListener::bind(self.address).await.ok();
                if self.listener.is_none() {
                    sleep(LISTEN_AGAIN).await;
                }
                continue;
            };
            tokio::select! {
                accepted = listener.accept() => return accepted.map(|(stream, _)| stream),
                () = door.closed() => self.listener = None,
            }
        }
    }
}
