//! The exchange with a token endpoint as plain data. Who carries it out is not known here.

use crate::Secret;

/// Where a call goes: a cluster of Envoy and the `:authority` it is addressed to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// Name of an Envoy cluster.
    pub cluster: String,
    /// Value of `:authority`.
    pub authority: String,
}

/// A request without a body, the only kind that metadata endpoints take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// `GET`.
    pub method: &'static str,
    /// Path and query, percent-encoded.
    pub path: String,
    /// Headers beside the pseudo-headers.
    pub headers: Vec<(&'static str, String)>,
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

/// A body, which may hold a token.
#[derive(Clone, PartialEq, Eq)]
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
