//! The exchange with a token endpoint as plain data. Who carries it out is not known here.

use crate::Secret;

/// Entra gives it back as `correlation_id`.
pub const CLIENT_REQUEST_ID: &str = "client-request-id";

/// Where a call goes: a cluster of Envoy and the `:authority` it is addressed to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// Name of an Envoy cluster.
    pub cluster: String,
    /// Value of `:authority`.
    pub authority: String,
    /// The forward proxy on the way there, `host:port`; only to be named when a call fails.
    pub forward_proxy: Option<String>,
}

/// A request to a token endpoint, or for what must be sent to one.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    /// `GET` or `POST`.
    pub method: &'static str,
    /// Path and query, percent-encoded.
    pub path: String,
    /// Headers beside the pseudo-headers. A value may be a secret: hidden by `Debug`.
    pub headers: Vec<(&'static str, String)>,
    /// A form with a secret or an assertion, or nothing. Hidden by `Debug`.
    pub body: Body,
}

impl Request {
    /// A request without a body.
    #[must_use]
    pub fn get(path: String, headers: Vec<(&'static str, String)>) -> Self {
        Self {
            method: "GET",
            path,
            headers,
            body: Body::default(),
        }
    }

    /// The id by which the endpoint's support finds the request, where it carries one.
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

/// The part of an answer that decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// `:status`.
    pub status: u16,
    /// `retry-after`, as it came.
    pub retry_after: Option<String>,
    /// The whole body, bounded by whoever read it. Hidden by `Debug`.
    pub body: Body,
}

/// A body, which may hold a secret or a token.
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
