//! What another Envoy answers that stands on the way to the endpoint, such as a mesh's egress gateway.
//! The answers of the Envoy that we run in are told apart before: see [`crate::local_reply`].

use crate::http::Response;

/// How the texts begin that Envoy's router answers with when it has no answer to pass on
/// (`source/common/router/router.cc`, `source/common/http/utility.cc`; the same in 1.36 and 1.40).
const BEGINNINGS: [&str; 6] = [
    "upstream connect error or disconnect/reset before headers",
    "no healthy upstream",
    "upstream request timeout",
    "upstream max stream duration reached",
    "maintenance mode",
    "envoy overloaded",
];

/// Whether another Envoy answered because it has no answer of the endpoint's.
pub(super) fn is_of_another(response: &Response) -> bool {
    matches!(response.status, 502..=504)
        && BEGINNINGS
            .iter()
            .any(|beginning| response.body.0.starts_with(beginning.as_bytes()))
}
