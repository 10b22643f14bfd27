//! A target that keeps every request as it came, byte for byte in what matters, and answers as the
//! test says.

use std::io::{self, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use super::files;
use super::proxy::TOKEN;
use super::wire::{Connection, Message};

/// What a target does with a connection on which a request has come; an error ends it.
type Answer = dyn Fn(&Message, &mut Connection) -> io::Result<()> + Send + Sync;

/// A plain HTTP/1.1 server on a port of its own.
pub(crate) struct Recorder {
    /// Its port.
    pub(crate) port: u16,
    received: Arc<Mutex<Vec<Message>>>,
}

impl Recorder {
    /// One that answers everything with a small 200.
    pub(crate) fn new() -> Self {
        Self::answering(|_, connection| connection.stream.write_all(OK))
    }

    /// One that answers as it is told.
    pub(crate) fn answering(
        answer: impl Fn(&Message, &mut Connection) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self::at("127.0.0.1:0", answer)
    }

    /// One at this address.
    pub(crate) fn at(
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
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (received, answer) = (Arc::clone(&received), Arc::clone(&answer));
                std::thread::spawn(move || serve(stream, &received, &*answer));
            }
        });
        recorder
    }

    /// A metadata service that always gives the same token.
    pub(crate) fn metadata_service(token: &str) -> Self {
        let reply = serde_json::json!({
            "access_token": token,
            "expires_in": "86399",
            "token_type": "Bearer",
            "resource": "https://monitor.azure.com",
        })
        .to_string();
        Self::answering(move |_, connection| {
            let length = reply.len();
            write!(
                connection.stream,
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\
                 Content-Length: {length}\r\n\r\n{reply}"
            )
        })
    }

    /// Every request so far.
    pub(crate) fn received(&self) -> Vec<Message> {
        self.received
            .lock()
            .expect("no test thread panicked")
            .clone()
    }

    /// The only request so far.
    pub(crate) fn only_request(&self) -> Message {
        let mut received = self.received();
        assert_eq!(received.len(), 1, "{received:#?}");
        received.remove(0)
    }

    /// The latest request.
    pub(crate) fn last_request(&self) -> Message {
        self.received().pop().expect("a request has come")
    }
}

/// The usual answer, with what a proxy may be tempted to touch.
pub(crate) const OK: &[u8] = b"HTTP/1.1 200 OK\r\nServer: recorder/1\r\n\
    Date: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Length: 5\r\n\r\nhello";

fn serve(stream: TcpStream, received: &Mutex<Vec<Message>>, answer: &Answer) {
    let mut connection = Connection::new(stream);
    while let Ok(request) = connection.request() {
        received
            .lock()
            .expect("no test thread panicked")
            .push(request.clone());
        if answer(&request, &mut connection).is_err() {
            return;
        }
    }
}

/// Checks that a request carries the token and nothing else for authorization; and gives the names
/// of its other headers.
pub(crate) fn names_beside_the_token(request: &Message) -> Vec<String> {
    let expected = files::filter_is_real().then(|| format!("Bearer {TOKEN}"));
    assert_eq!(request.value("authorization"), expected.as_deref());
    let mut names = request.names();
    names.retain(|name| name != "authorization");
    names
}
