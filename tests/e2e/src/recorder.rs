//! A target that keeps every request as it came, byte for byte in what matters, and answers as the
//! test says.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crate::raw::{Connection, Message};

/// What a target does with a connection on which a request has come; an error ends it.
type Answer = dyn Fn(&Message, &mut Connection) -> io::Result<()> + Send + Sync;

/// A plain HTTP/1.1 server on a port of its own, until this process ends.
#[derive(Debug)]
pub struct Recorder {
    port: u16,
    received: Arc<Mutex<Vec<Message>>>,
}

impl Recorder {
    /// The usual answer, with what a proxy may be tempted to touch.
    pub const OK: &[u8] = b"HTTP/1.1 200 OK\r\nServer: recorder/1\r\n\
        Date: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Length: 5\r\n\r\nhello";

    /// One that gives everything the answer [`Recorder::OK`].
    ///
    /// # Panics
    /// When no port is free.
    #[must_use]
    pub fn start() -> Self {
        Self::answering(|_, connection| connection.send(Self::OK))
    }

    /// One that answers as it is told.
    ///
    /// # Panics
    /// When no port is free.
    #[must_use]
    pub fn answering(
        answer: impl Fn(&Message, &mut Connection) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self::at("127.0.0.1:0", answer)
    }

    /// One at this address.
    ///
    /// # Panics
    /// When the address cannot be listened on.
    #[must_use]
    pub fn at(
        address: &str,
        answer: impl Fn(&Message, &mut Connection) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let received = Arc::new(Mutex::new(Vec::new()));
        let answer: Arc<Answer> = Arc::new(answer);
        let recorder = Self {
            port,
            received: Arc::clone(&received),
        };
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (received, answer) = (Arc::clone(&received), Arc::clone(&answer));
                thread::spawn(move || serve(stream, &received, &*answer));
            }
        });
        recorder
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its URL, by its address, in clear: a value of `TARGET_HOST`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Every request so far.
    #[must_use]
    pub fn received(&self) -> Vec<Message> {
        let received = self.received.lock();
        received.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The only request so far.
    ///
    /// # Panics
    /// When there were none or several.
    #[must_use]
    #[track_caller]
    pub fn only_request(&self) -> Message {
        let mut received = self.received();
        assert_eq!(received.len(), 1, "{received:#?}");
        received.remove(0)
    }

    /// The latest request.
    ///
    /// # Panics
    /// When there was none.
    #[must_use]
    #[track_caller]
    pub fn last_request(&self) -> Message {
        self.received().pop().expect("a request has come")
    }
}

fn serve(stream: TcpStream, received: &Mutex<Vec<Message>>, answer: &Answer) {
    let Ok(mut connection) = Connection::new(stream) else {
        return;
    };
    while let Ok(request) = connection.request() {
        received
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(request.clone());
        if answer(&request, &mut connection).is_err() {
            return;
        }
    }
}
