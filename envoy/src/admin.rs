//! A client of Envoy's admin interface on a Unix socket.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use http::header::HOST;
use http::{Request, StatusCode};

use crate::unix_http;

const TIMEOUT: Duration = Duration::from_secs(2);
/// The requested statistics have a few lines.
const MAX_RESPONSE_BYTES: usize = 64 << 10;

/// An admin interface.
#[derive(Debug, Clone)]
pub struct Admin {
    /// The path of the interface's socket.
    pub socket: PathBuf,
}

impl Admin {
    /// Executes a command of Envoy.
    ///
    /// # Errors
    /// If Envoy does not answer with 200 within 2 s.
    pub fn post(&self, path: &str) -> io::Result<()> {
        self.send("POST", path).map(drop)
    }

    /// The statistics whose names match a regular expression.
    ///
    /// # Errors
    /// If Envoy does not answer with 200 within 2 s.
    pub fn stats(&self, filter: &str) -> io::Result<Vec<(String, u64)>> {
        let answer = self.send("GET", &format!("/stats?filter={filter}"))?;
        let stat = |line: &str| {
            let (name, value) = line.split_once(": ")?;
            Some((name.to_owned(), value.trim().parse().ok()?))
        };
        Ok(answer.lines().filter_map(stat).collect())
    }

    fn send(&self, method: &str, path: &str) -> io::Result<String> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, "admin")
            .body(Vec::new())
            .map_err(io::Error::other)?;
        let answer = unix_http::send(&self.socket, request, TIMEOUT, MAX_RESPONSE_BYTES)?;
        if answer.status() == StatusCode::OK {
            Ok(String::from_utf8_lossy(answer.body()).into_owned())
        } else {
            Err(io::Error::other(format!("{path}: {}", answer.status())))
        }
    }
}
