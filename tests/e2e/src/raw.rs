//! HTTP/1.1 messages at the level of bytes: a client, and the reading half of a server. What a test
//! writes is what goes over the wire, and what comes is kept as it came.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

/// Above the launcher's hold limit (10 s), so that its own answer is seen; and far above it, because on
/// a busy machine ten thousand answers take their time.
const TIMEOUT: Duration = Duration::from_secs(90);

/// A request or a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The request line or the status line.
    pub start: String,
    /// The headers in the order and case they came in.
    pub headers: Vec<(String, String)>,
    /// The body, without its chunked framing; empty where only the head was read.
    pub body: Vec<u8>,
    /// The trailers of a chunked body.
    pub trailers: Vec<(String, String)>,
}

/// One connection, on which messages are read one after the other.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    unread: Vec<u8>,
}

/// Sends `request` on a connection of its own and reads the answer.
///
/// # Errors
/// When no whole answer came.
pub fn exchange(port: u16, request: impl AsRef<[u8]>) -> io::Result<Message> {
    let request = request.as_ref();
    let mut connection = Connection::open(port)?;
    connection.send(request)?;
    let method = request.split(|byte| *byte == b' ').next();
    connection.answer_to(&String::from_utf8_lossy(method.unwrap_or_default()))
}

/// Like [`exchange`] for a GET that is given up after so long; nothing when no byte came until then.
///
/// # Errors
/// When the answer is broken.
pub fn exchange_within(
    timeout: Duration,
    port: u16,
    request: impl AsRef<[u8]>,
) -> io::Result<Option<Message>> {
    let mut connection = Connection::open(port)?;
    connection.stream.set_read_timeout(Some(timeout))?;
    connection.send(request)?;
    match connection.read_more() {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        _ => connection.answer().map(Some),
    }
}

impl Connection {
    /// Connects to a port of this machine.
    ///
    /// # Errors
    /// When nothing listens there.
    pub fn open(port: u16) -> io::Result<Self> {
        Self::new(TcpStream::connect((Ipv4Addr::LOCALHOST, port))?)
    }

    /// On a socket that is connected; either side's.
    ///
    /// # Errors
    /// When the system refuses the socket's options.
    pub fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        Ok(Self {
            stream,
            unread: Vec::new(),
        })
    }

    /// The socket.
    #[must_use]
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Writes these bytes.
    ///
    /// # Errors
    /// When the other side has closed.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// Reads one answer to a request other than HEAD, after any interim ones.
    ///
    /// # Errors
    /// When it is broken, or not whole within 90 s.
    pub fn answer(&mut self) -> io::Result<Message> {
        self.answer_to("GET")
    }

    /// Reads one answer to a request of this method, after any interim ones.
    ///
    /// # Errors
    /// When it is broken, or not whole within 90 s.
    pub fn answer_to(&mut self, method: &str) -> io::Result<Message> {
        let mut answer = self.head()?;
        while (100..200).contains(&answer.parse_status()?) {
            answer = self.head()?;
        }
        // RFC 9112 §6.3: these have no body, whatever their headers say.
        if method != "HEAD" && !matches!(answer.parse_status()?, 204 | 304) {
            self.body(&mut answer)?;
        }
        Ok(answer)
    }

    /// Reads one request; where the client waits for `100 Continue`, without its body.
    ///
    /// # Errors
    /// When it is broken, or not whole within 90 s.
    pub fn request(&mut self) -> io::Result<Message> {
        let mut request = self.head()?;
        if request.header("expect").is_none() {
            self.body(&mut request)?;
        }
        Ok(request)
    }

    /// Reads up to the end of a message's headers.
    ///
    /// # Errors
    /// When they are broken, or not whole within 90 s.
    pub fn head(&mut self) -> io::Result<Message> {
        Ok(Message {
            start: self.line()?,
            headers: self.fields()?,
            body: Vec::new(),
            trailers: Vec::new(),
        })
    }

    /// Reads the body, and the trailers, of a message whose head was read.
    ///
    /// # Errors
    /// When it is broken, or nothing comes within 90 s.
    pub fn body(&mut self, message: &mut Message) -> io::Result<()> {
        if message.header("transfer-encoding").is_some() {
            loop {
                let chunk = self.chunk()?;
                if chunk.is_empty() {
                    break;
                }
                message.body.extend(chunk);
            }
            message.trailers = self.fields()?;
        } else if let Some(length) = message.header("content-length") {
            message.body = self.take(length.parse().map_err(invalid)?)?;
        } else if message.start.starts_with("HTTP/") {
            while self.read_more()? > 0 {}
            message.body = std::mem::take(&mut self.unread);
        }
        Ok(())
    }

    /// Reads one chunk of a chunked body; an empty one is its end, after which the trailers come.
    ///
    /// # Errors
    /// When it is broken, or not whole within 90 s.
    pub fn chunk(&mut self) -> io::Result<Vec<u8>> {
        let line = self.line()?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let chunk = self.take(usize::from_str_radix(size, 16).map_err(invalid)?)?;
        if !chunk.is_empty() {
            self.take(2)?;
        }
        Ok(chunk)
    }

    /// Reads the next bytes of a body as they come; nothing when the other side has closed.
    ///
    /// # Errors
    /// When nothing comes within 90 s.
    pub fn next_bytes(&mut self) -> io::Result<Vec<u8>> {
        if self.unread.is_empty() {
            self.read_more()?;
        }
        Ok(std::mem::take(&mut self.unread))
    }

    /// Reads header lines up to the empty one.
    fn fields(&mut self) -> io::Result<Vec<(String, String)>> {
        let mut fields = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok(fields);
            }
            let (name, value) = line
                .split_once(':')
                .ok_or_else(|| invalid(format!("no header: {line}")))?;
            fields.push((name.to_owned(), value.trim().to_owned()));
        }
    }

    /// Reads a line; gives it without its end.
    fn line(&mut self) -> io::Result<String> {
        loop {
            let end = self.unread.windows(2).position(|pair| pair == b"\r\n");
            if let Some(end) = end {
                let line: Vec<u8> = self.unread.drain(..end + 2).take(end).collect();
                return Ok(String::from_utf8_lossy(&line).into_owned());
            }
            if self.read_more()? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
    }

    fn take(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.unread.len() < length {
            if self.read_more()? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(self.unread.drain(..length).collect())
    }

    fn read_more(&mut self) -> io::Result<usize> {
        let mut buffer = [0; 64 * 1024];
        let read = self.stream.read(&mut buffer)?;
        self.unread.extend(buffer.iter().take(read));
        Ok(read)
    }
}

impl Message {
    /// An answer's status code.
    ///
    /// # Panics
    /// When it has none, as a request.
    #[must_use]
    #[track_caller]
    pub fn status(&self) -> u16 {
        self.parse_status()
            .unwrap_or_else(|error| panic!("{error}"))
    }

    fn parse_status(&self) -> io::Result<u16> {
        let code = self.start.split(' ').nth(1);
        code.and_then(|code| code.parse().ok())
            .ok_or_else(|| invalid(format!("no status line: {:?}", self.start)))
    }

    /// The value of a header, its name in any case.
    ///
    /// # Panics
    /// When there are several.
    #[must_use]
    #[track_caller]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self
            .headers
            .iter()
            .filter(|(found, _)| found.eq_ignore_ascii_case(name));
        let value = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "several headers {name}: {self:?}");
        value
    }

    /// The names of the headers, in lower case and sorted.
    #[must_use]
    pub fn header_names(&self) -> Vec<String> {
        let names = self.headers.iter().map(|(name, _)| name);
        let mut names: Vec<_> = names.map(|name| name.to_ascii_lowercase()).collect();
        names.sort_unstable();
        names
    }

    /// The body as text; what is not UTF-8 is replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// Answers one request with these bytes.
    fn answer_to(bytes: &'static [u8]) -> io::Result<Message> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        let server = thread::spawn(move || -> io::Result<()> {
            let mut connection = Connection::new(listener.accept()?.0)?;
            let request = connection.request()?;
            assert_eq!(request.start, "GET / HTTP/1.1");
            connection.send(bytes)
        });
        let answer = exchange(port, "GET / HTTP/1.1\r\nhost: a\r\n\r\n");
        server.join().unwrap()?;
        answer
    }

    #[test]
    fn a_body_of_known_length_is_read() {
        let answer = answer_to(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").unwrap();
        assert_eq!((answer.status(), answer.text().as_str()), (200, "hello"));
        assert_eq!(answer.headers[0].0, "Content-Length");
        assert_eq!(answer.header("content-length"), Some("5"));
    }

    #[test]
    fn a_chunked_body_is_put_together() {
        let answer = answer_to(
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nt: 1\r\n\r\n",
        )
        .unwrap();
        assert_eq!(answer.text(), "abcde");
        assert_eq!(answer.trailers, [("t".to_owned(), "1".to_owned())]);
    }

    #[test]
    fn a_body_without_length_ends_with_the_connection() {
        let answer = answer_to(b"HTTP/1.1 503 No\r\n\r\nuntil the end").unwrap();
        assert_eq!(
            (answer.status(), answer.text().as_str()),
            (503, "until the end")
        );
    }

    #[test]
    fn an_interim_answer_is_passed_over() {
        let bytes = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n";
        assert_eq!(answer_to(bytes).unwrap().status(), 204);
    }

    #[test]
    fn a_broken_answer_is_an_error() {
        for bytes in [
            &b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort"[..],
            b"HTTP/1.1 200 OK\r\nno header\r\n\r\n",
            b"nonsense\r\n\r\n",
            b"",
        ] {
            assert!(answer_to(bytes).is_err(), "{bytes:?}");
        }
    }
}
