//! HTTP/1.1 messages as bytes: sent as written, kept as they came.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// No answer within this is none.
const PATIENCE: Duration = Duration::from_secs(20);

/// A request or a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    /// Request or status line.
    pub(crate) start: String,
    /// Header lines, in order, names as they came.
    pub(crate) headers: Vec<(String, String)>,
    /// The body, chunks joined.
    pub(crate) body: Vec<u8>,
    /// Trailers of a chunked body.
    pub(crate) trailers: Vec<(String, String)>,
}

impl Message {
    /// The values of a header, its name in any case.
    pub(crate) fn values(&self, name: &str) -> Vec<&str> {
        let same = |(other, _): &&(String, String)| other.eq_ignore_ascii_case(name);
        self.headers
            .iter()
            .filter(same)
            .map(|(_, value)| value.as_str())
            .collect()
    }

    /// The one value of a header, if there is any.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        let values = self.values(name);
        assert!(
            values.len() <= 1,
            "{name} stands there {} times",
            values.len()
        );
        values.first().copied()
    }

    /// The names of the headers, in lower case and sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .headers
            .iter()
            .map(|(name, _)| name.to_ascii_lowercase())
            .collect();
        names.sort_unstable();
        names
    }

    /// A response's status.
    pub(crate) fn status(&self) -> u16 {
        let code = self.start.split(' ').nth(1);
        code.and_then(|code| code.parse().ok())
            .unwrap_or_else(|| panic!("no status line: {:?}", self.start))
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }
}

/// A connection on which messages are read one after the other.
pub(crate) struct Connection {
    /// The socket, to write to.
    pub(crate) stream: TcpStream,
    unread: Vec<u8>,
}

impl Connection {
    pub(crate) fn new(stream: TcpStream) -> Self {
        stream
            .set_read_timeout(Some(PATIENCE))
            .expect("a time-out can be set");
        stream.set_nodelay(true).expect("an option can be set");
        Self {
            stream,
            unread: Vec::new(),
        }
    }

    /// A client's connection to this machine.
    pub(crate) fn to(port: u16) -> Self {
        Self::new(TcpStream::connect(("127.0.0.1", port)).expect("somebody listens"))
    }

    /// Sends bytes.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream
            .write_all(bytes)
            .expect("the other side takes it");
    }

    /// Reads more; false at the end.
    fn read_more(&mut self) -> io::Result<bool> {
        let mut buffer = [0; 64 << 10];
        let count = self.stream.read(&mut buffer)?;
        self.unread.extend_from_slice(&buffer[..count]);
        Ok(count > 0)
    }

    /// Exactly so many bytes.
    fn take(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.unread.len() < count {
            if !self.read_more()? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(self.unread.drain(..count).collect())
    }

    /// Up to and without the end of line.
    fn take_line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.unread.windows(2).position(|pair| pair == b"\r\n") {
                let line: Vec<u8> = self.unread.drain(..end + 2).collect();
                return Ok(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            if !self.read_more()? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    fn take_fields(&mut self) -> io::Result<Vec<(String, String)>> {
        let mut fields = Vec::new();
        loop {
            let line = self.take_line()?;
            let Some((name, value)) = line.split_once(':') else {
                return Ok(fields);
            };
            fields.push((name.to_owned(), value.trim().to_owned()));
        }
    }

    /// The next message's head; what follows is its body.
    pub(crate) fn head(&mut self) -> io::Result<Message> {
        Ok(Message {
            start: self.take_line()?,
            headers: self.take_fields()?,
            body: Vec::new(),
            trailers: Vec::new(),
        })
    }

    /// One chunk of a chunked body; empty at its end.
    pub(crate) fn chunk(&mut self) -> io::Result<Vec<u8>> {
        let size = self.take_line()?;
        let size = usize::from_str_radix(&size, 16).map_err(io::Error::other)?;
        let chunk = self.take(size)?;
        if size > 0 {
            self.take_line()?;
        }
        Ok(chunk)
    }

    /// The rest of a message whose head was read.
    pub(crate) fn body(&mut self, message: &mut Message) -> io::Result<()> {
        if message.values("transfer-encoding").contains(&"chunked") {
            loop {
                let chunk = self.chunk()?;
                if chunk.is_empty() {
                    break;
                }
                message.body.extend(chunk);
            }
            message.trailers = self.take_fields()?;
        } else if let Some(length) = message.value("content-length") {
            let length = length.parse().map_err(io::Error::other)?;
            message.body = self.take(length)?;
        } else if message.start.starts_with("HTTP/") {
            while self.read_more()? {}
            message.body = std::mem::take(&mut self.unread);
        }
        Ok(())
    }

    /// The next request.
    pub(crate) fn request(&mut self) -> io::Result<Message> {
        let mut message = self.head()?;
        if message.value("expect").is_none() {
            self.body(&mut message)?;
        }
        Ok(message)
    }

    /// The next response to a request of this method, after any interim ones.
    pub(crate) fn response(&mut self, method: &str) -> Message {
        let mut message = self.head().expect("a response comes");
        while (100..200).contains(&message.status()) {
            message = self.head().expect("a response comes");
        }
        let bodiless = method == "HEAD" || matches!(message.status(), 204 | 304);
        if !bodiless {
            self.body(&mut message).expect("the response comes whole");
        }
        message
    }
}

/// Sends a GET on a new connection and reads the response; none if no byte of it comes in time.
pub(crate) fn exchange_within(patience: Duration, port: u16, request: &[u8]) -> Option<Message> {
    let mut connection = Connection::to(port);
    connection.stream.set_read_timeout(Some(patience)).unwrap();
    connection.send(request);
    match connection.read_more() {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
        // The end of the connection is no response, either: the next read says so.
        _ => Some(connection.response("GET")),
    }
}

/// Sends a request on a new connection and reads the response.
pub(crate) fn exchange(port: u16, request: &[u8]) -> Message {
    let mut connection = Connection::to(port);
    connection.send(request);
    let method = request
        .split(|byte| *byte == b' ')
        .next()
        .unwrap_or_default();
    connection.response(&String::from_utf8_lossy(method))
}

/// Whether a GET gets 200; false also where nobody listens.
pub(crate) fn answers(port: u16, path: &str) -> bool {
    let Ok(stream) = TcpStream::connect(("127.0.0.1", port)) else {
        return false;
    };
    let mut connection = Connection::new(stream);
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    connection.stream.write_all(request.as_bytes()).is_ok()
        && connection.head().is_ok_and(|head| head.status() == 200)
}
