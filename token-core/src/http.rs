//! HTTP requests to token endpoints and their responses, as plain data.

use crate::Secret;

/// The request header whose value Entra returns as `correlation_id`.
pub const CLIENT_REQUEST_ID: &str = "client-request-id";

/// Where a request is sent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// The name of the Envoy cluster.
    pub cluster: String,
    /// The value of `:authority`.
    pub authority: String,
    /// The forward proxy that the cluster uses, `host:port`; for error messages only.
    pub forward_proxy: Option<String>,
}

/// A request for a token or for a credential.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    /// `GET` or `POST`.
    pub method: &'static str,
    /// Path and query, percent-encoded.
    pub path: String,
    /// The headers without pseudo-headers. `Debug` hides the values, which may be secret.
    pub headers: Vec<(&'static str, String)>,
    /// The body. `Debug` hides it, because it may contain a secret or an assertion.
    pub body: Body,
}

impl Request {
    /// A GET request without a body.
    #[must_use]
    pub fn get(path: String, headers: Vec<(&'static str, String)>) -> Self {
        Self {
            method: "GET",
            path,
            headers,
            body: Body::default(),
        }
    }

    /// The value of [`CLIENT_REQUEST_ID`], if the request has one.
    #[must_use]
    pub fn client_request_id(&self) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers
            .find(|(name, _)| *name == CLIENT_REQUEST_ID)
            .map(|(_, value)| value.as_str())
    }
}

impl core::fmt::Debug for Request {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let names = self.headers.iter().map(|(name, _)| name);
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("path", &self.path)
            .field("headers", &names.collect::<Vec<_>>())
            .field("body", &self.body)
            .finish()
    }
}

/// The parts of a response that this crate uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The value of `:status`.
    pub status: u16,
    /// The value of `retry-after`.
    pub retry_after: Option<String>,
    /// The value of [`CERTIFICATE_NOT_AFTER`](crate::identity::CERTIFICATE_NOT_AFTER), which only the
    /// token-sidecar sends.
    pub certificate_not_after: Option<String>,
    /// The whole body. The caller limits its size.
    pub body: Body,
}

/// A body, which may contain a secret or a token. `Debug` shows only its size.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Body(pub Vec<u8>);

impl core::fmt::Debug for Body {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(
            f,
            "{:?} ({} bytes)",
            Secret::new(String::new()),
            self.0.len()
        )
    }
}
