//! Whether a service can be reached: while it is closed, connections are refused, and those that
//! were open have ended.

use std::io;
use std::net::SocketAddr;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::held_port::HeldPort;

/// The system may be short of something for a moment.
const LISTEN_AGAIN: Duration = Duration::from_millis(50);

/// Whether a service, which may have several listeners, is open.
#[derive(Debug)]
pub struct Availability {
    open: watch::Sender<bool>,
    listeners: Mutex<Listeners>,
    /// Told of each change of `listeners`.
    changed: Condvar,
}

/// The listeners of a service.
#[derive(Debug, Default)]
struct Listeners {
    all: usize,
    /// Those of them that listen now.
    listening: usize,
}

impl Default for Availability {
    fn default() -> Self {
        Self {
            open: watch::Sender::new(true),
            listeners: Mutex::default(),
            changed: Condvar::new(),
        }
    }
}

impl Availability {
    /// Opens or closes it, and waits until every listener has begun or has ceased to listen; or until
    /// somebody else has decided otherwise.
    pub fn set_open(&self, open: bool) {
        self.open.send_replace(open);
        let listeners = self.changed.wait_while(self.listeners(), |listeners| {
            let wanted = if open { listeners.all } else { 0 };
            listeners.listening != wanted && *self.open.borrow() == open
        });
        drop(listeners);
    }

    /// Ends when the service is closed.
    pub async fn closed(&self) {
        // The sender lives as long as `self`.
        drop(self.open.subscribe().wait_for(|open| !open).await);
    }

    async fn opened(&self) {
        drop(self.open.subscribe().wait_for(|open| *open).await);
    }

    fn listeners(&self) -> MutexGuard<'_, Listeners> {
        self.listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Listeners)) {
        change(&mut self.listeners());
        self.changed.notify_all();
    }
}

/// A listener that listens while its service is open.
#[derive(Debug)]
pub struct SwitchedListener {
    /// Its port, which nobody else gets while the service is closed.
    _port: HeldPort,
    address: SocketAddr,
    listener: Option<TcpListener>,
}

impl SwitchedListener {
    /// Listens at this address; port 0 takes a free one.
    ///
    /// # Errors
    /// When somebody else listens there.
    pub async fn at(address: SocketAddr, availability: &Availability) -> io::Result<Self> {
        let port = HeldPort::at(address)?;
        let address = port.address()?;
        let listener = TcpListener::bind(address).await?;
        availability.change(|listeners| {
            listeners.all += 1;
            listeners.listening += 1;
        });
        Ok(Self {
            _port: port,
            address,
            listener: Some(listener),
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next connection. While the service is closed nothing listens.
    ///
    /// # Errors
    /// When the system does not give it.
    pub async fn accept(&mut self, availability: &Availability) -> io::Result<TcpStream> {
        loop {
            let Some(listener) = &self.listener else {
                availability.opened().await;
                self.listener = TcpListener::bind(self.address).await.ok();
                match self.listener {
                    Some(_) => availability.change(|listeners| listeners.listening += 1),
                    None => sleep(LISTEN_AGAIN).await,
                }
                continue;
            };
            tokio::select! {
                accepted = listener.accept() => return accepted.map(|(stream, _)| stream),
                () = availability.closed() => {
                    self.listener = None;
                    availability.change(|listeners| listeners.listening -= 1);
                }
            }
        }
    }
}
