//! A blocking HTTP client for loopback servers. It reads no environment, follows no redirect,
//! and an error status is an answer like any other.

use std::sync::LazyLock;
use std::time::Duration;

use serde::de::DeserializeOwned;
use ureq::Agent;
pub use ureq::http::{HeaderMap, Request};

/// Above the launcher's hold limit (10 s), so that its own answer is seen.
const TIMEOUT: Duration = Duration::from_secs(30);

static AGENT: LazyLock<Agent> = LazyLock::new(|| {
    Agent::config_builder()
        .http_status_as_error(false)
        .allow_non_standard_methods(true)
        .max_redirects(0)
        .proxy(None)
        .timeout_global(Some(TIMEOUT))
        .build()
        .into()
});

/// An answer, read to its end.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// The body as text; what is not UTF-8 is replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// When it is not the JSON that `T` wants; with the body.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, String> {
        serde_json::from_slice(&self.body).map_err(|error| format!("{error}: {}", self.text()))
    }

    /// The header's value, or nothing when it is absent or not text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// Sends a GET.
///
/// # Errors
/// When no whole answer came.
pub fn get(url: &str) -> Result<Response, String> {
    send(
        Request::get(url)
            .body(Vec::new())
            .map_err(|error| error.to_string())?,
    )
}

/// Sends a GET that is given up after so long.
///
/// # Errors
/// When no whole answer came.
pub fn get_within(timeout: Duration, url: &str) -> Result<Response, String> {
    let request = Request::get(url)
        .body(Vec::new())
        .map_err(|error| error.to_string())?;
    send(
        AGENT
            .configure_request(request)
            .timeout_global(Some(timeout))
            .build(),
    )
}

/// Sends a POST.
///
/// # Errors
/// When no whole answer came.
pub fn post(url: &str, body: impl Into<Vec<u8>>) -> Result<Response, String> {
    send(
        Request::post(url)
            .body(body.into())
            .map_err(|error| error.to_string())?,
    )
}

/// Sends any request, built by [`Request::builder`].
///
/// # Errors
/// When no whole answer came.
pub fn send(request: Request<Vec<u8>>) -> Result<Response, String> {
    let target = format!("{} {}", request.method(), request.uri());
    let failed = |error: ureq::Error| format!("{target}: {error}");
    let (head, mut body) = AGENT.run(request).map_err(failed)?.into_parts();
    Ok(Response {
        status: head.status.as_u16(),
        headers: head.headers,
        body: body
            .with_config()
            .limit(u64::MAX)
            .read_to_vec()
            .map_err(failed)?,
    })
}
