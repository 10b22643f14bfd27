//! Resources that Envoy itself or the token-sidecar serves.

use crate::http::{Endpoint, Request};

/// A secret or an assertion that Envoy serves from a file, or an assertion that the token-sidecar
/// signs on request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LocalResource {
    /// Where it is served.
    pub endpoint: Endpoint,
    /// Path and query, percent-encoded.
    pub path: String,
}

impl LocalResource {
    pub(super) fn request(&self) -> Request {
        Request::get(self.path.clone(), Vec::new())
    }
}
