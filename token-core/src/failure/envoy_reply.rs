//! Envoy's own answers to a call, which come as any other answer: a status and a text.

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

/// Whether Envoy answered by itself, because it has no answer of the endpoint's. Its own answers
/// are 502, 503 or 504, and never ask for another try at a certain time.
pub(super) fn is_envoys_own(response: &Response) -> bool {
    matches!(response.status, 502..=504)
        && response.retry_after.is_none()
        && BEGINNINGS
            .iter()
            .any(|beginning| response.body.0.starts_with(beginning.as_bytes()))
}
