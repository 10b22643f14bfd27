//! Local replies of another Envoy on the way to the endpoint, such as a mesh's egress gateway. The
//! local replies of the Envoy that hosts the filter are handled by [`crate::local_reply`].

use crate::http::Response;

/// How the bodies of the router's local replies begin (`source/common/router/router.cc`,
/// `source/common/http/utility.cc`; the same in Envoy 1.36 and 1.40).
const PREFIXES: [&str; 6] = [
    "upstream connect error or disconnect/reset before headers",
    "no healthy upstream",
    "upstream request timeout",
    "upstream max stream duration reached",
    "maintenance mode",
    "envoy overloaded",
];

/// Whether this is a local reply of another Envoy that got no response from the endpoint.
pub(super) fn is_from_other_envoy(response: &Response) -> bool {
    matches!(response.status, 502..=504)
        && PREFIXES
            .iter()
            .any(|prefix| response.body.0.starts_with(prefix.as_bytes()))
}
