//! Envoy's admin interface, as the launcher uses it: on a Unix socket, a question at a time.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use http::header::HOST;
use http::{Request, StatusCode};

use crate::unix_http;

const TIMEOUT: Duration = Duration::from_secs(2);
/// What is asked for has a few lines.
const LONGEST_ANSWER: usize = 64 << 10;

/// Where it is.
#[derive(Debug, Clone)]
pub struct Admin {
    /// Its socket.
    pub socket: PathBuf,
}

impl Admin {
    /// Has Envoy do something.
    ///
    /// # Errors
    /// When it does not answer, or not with 200.
    pub fn post(&self, path: &str) -> io::Result<()> {
        self.ask("POST", path).map(drop)
    }

    /// The statistics whose names match a regular expression, as lines of `name: value`.
    ///
    /// # Errors
    /// When it does not answer, or not with 200.
    pub fn stats(&self, filter: &str) -> io::Result<Vec<(String, u64)>> {
        let answer = self.ask("GET", &format!("/stats?filter={filter}"))?;
        let stat = |line: &str| {
            let (name, value) = line.split_once(": ")?;
            Some((name.to_owned(), value.trim().parse().ok()?))
        };
        Ok(answer.lines().filter_map(stat).collect())
    }

    fn ask(&self, method: &str, path: &str) -> io::Result<String> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, "admin")
            .body(Vec::new())
            .map_err(io::Error::other)?;
        let answer = unix_http::send(&self.socket, request, TIMEOUT, LONGEST_ANSWER)?;
        if answer.status() == StatusCode::OK {
            Ok(String::from_utf8_lossy(answer.body()).into_owned())
        } else {
            Err(io::Error::other(format!("{path}: {}", answer.status())))
        }
    }
}
