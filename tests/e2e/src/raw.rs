//! An HTTP/1.1 client at the level of bytes: what a test writes is what goes over the wire.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

/// Above the launcher's hold limit (10 s), so that its own answer is seen; and far above it, because on
/// a busy machine ten thousand answers take their time.
const TIMEOUT: Duration = Duration::from_secs(90);

/// One connection to a loopback port.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    unread: Vec<u8>,
}

/// The head of an answer.
#[derive(Debug, Clone)]
pub struct Head {
    /// The status code.
    pub status: u16,
    /// The headers in the order and case they came in.
    pub headers: Vec<(String, String)>,
}

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Status and headers.
    pub head: Head,
    /// The body, without its chunked framing.
    pub body: Vec<u8>,
}

/// Sends `request` on a connection of its own and reads the answer.
///
/// # Errors
/// When no whole answer came.
pub fn exchange(port: u16, request: impl AsRef<[u8]>) -> io::Result<Answer> {
    let mut connection = Connection::open(port)?;
    connection.send(request)?;
    connection.answer()
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// When nothing listens there.
    pub fn open(port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        Ok(Self {
            stream,
            unread: Vec::new(),
        })
    }

    /// Writes these bytes.
    ///
    /// # Errors
    /// When the other side has closed.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// Reads one answer (to a request other than HEAD).
    ///
    /// # Errors
    /// When it is broken, or not whole within 90 s.
    pub fn answer(&mut self) -> io::Result<Answer> {
        let head = self.head()?;
        let body = self.body(&head)?;
        Ok(Answer { head, body })
    }

    /// Reads up to the end of an answer's headers.
    ///
    /// # Errors
    /// When they are broken, or not whole within 90 s.
    pub fn head(&mut self) -> io::Result<Head> {
        let end = self.read_past(b"\r\n\r\n")?;
        let bytes: Vec<u8> = self.unread.drain(..end).collect();
        let mut headers = [httparse::EMPTY_HEADER; 128];
        let mut response = httparse::Response::new(&mut headers);
        response.parse(&bytes).map_err(invalid)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(Head {
            status: response.code.unwrap_or_default(),
            headers: response
                .headers
                .iter()
                .map(|header| (header.name.to_owned(), text(header.value)))
                .collect(),
        })
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

    fn body(&mut self, head: &Head) -> io::Result<Vec<u8>> {
        if matches!(head.status, 100..=199 | 204 | 304) {
            return Ok(Vec::new());
        }
        if head.header("transfer-encoding").is_some() {
            return self.chunks();
        }
        if let Some(length) = head.header("content-length") {
            let length = length.parse().map_err(invalid)?;
            return self.take(length);
        }
        while self.read_more()? > 0 {}
        Ok(std::mem::take(&mut self.unread))
    }

    fn chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let end = self.read_past(b"\r\n")?;
            let line = self.take(end)?;
            let size = String::from_utf8_lossy(&line);
            let size = size.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(size, 16).map_err(invalid)?;
            if size == 0 {
                // Trailers end like a head does; most often there are none.
                while self.read_past(b"\r\n")? > 2 {
                    let end = self.read_past(b"\r\n")?;
                    self.take(end)?;
                }
                self.take(2)?;
                return Ok(body);
            }
            body.extend(self.take(size)?);
            self.take(2)?;
        }
    }

    /// Reads until `mark` has come; gives the position behind it.
    fn read_past(&mut self, mark: &[u8]) -> io::Result<usize> {
        loop {
            let found = self
                .unread
                .windows(mark.len())
                .position(|window| window == mark);
            if let Some(at) = found {
                return Ok(at + mark.len());
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
        let mut buffer = [0; 16 * 1024];
        let read = self.stream.read(&mut buffer)?;
        self.unread.extend(buffer.iter().take(read));
        Ok(read)
    }
}

impl Head {
    /// The first header of this name, in any case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

impl Answer {
    /// The body as text; what is not UTF-8 is replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
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
    fn answer_to(bytes: &'static [u8]) -> io::Result<Answer> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        let server = thread::spawn(move || -> io::Result<()> {
            let (mut stream, _) = listener.accept()?;
            let _ = stream.read(&mut [0; 1024])?;
            stream.write_all(bytes)
        });
        let answer = exchange(port, "GET / HTTP/1.1\r\nhost: a\r\n\r\n");
        server.join().unwrap()?;
        answer
    }

    #[test]
    fn a_body_of_known_length_is_read() {
        let answer = answer_to(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").unwrap();
        assert_eq!((answer.head.status, answer.text().as_str()), (200, "hello"));
        assert_eq!(answer.head.headers[0].0, "Content-Length");
    }

    #[test]
    fn a_chunked_body_is_put_together() {
        let answer = answer_to(
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nt: 1\r\n\r\n",
        );
        assert_eq!(answer.unwrap().text(), "abcde");
    }

    #[test]
    fn a_body_without_length_ends_with_the_connection() {
        let answer = answer_to(b"HTTP/1.1 503 No\r\n\r\nuntil the end").unwrap();
        assert_eq!(
            (answer.head.status, answer.text().as_str()),
            (503, "until the end")
        );
    }

    #[test]
    fn a_broken_answer_is_an_error() {
        assert!(answer_to(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort").is_err());
        assert!(answer_to(b"").is_err());
    }
}
