//! The responses that the filter sends in the target's place.

use entra_token_core::status::{IDENTITY_REFUSED, Unavailable, json};
use proxy_wasm::types::Action;

use crate::host;

/// 401 in the target's place, where Envoy would send the request again: the target has refused this token,
/// and there is no newer one.
#[cold]
pub(crate) fn send_identity_refused() -> Action {
    let headers = [
        ("content-type", "application/json"),
        // RFC 9110 §15.5.2 wants one, RFC 6750 §3.1 has the word.
        ("www-authenticate", "Bearer error=\"invalid_token\""),
    ];
    // Should this fail, the request stays paused and Envoy's own time-outs end it.
    let _ = host::respond(
        401,
        host::REFUSED_TOKEN,
        &headers,
        IDENTITY_REFUSED.as_bytes(),
    );
    Action::Pause
}

/// 503 with `Retry-After`, so that clients keep what they send and try again.
pub(crate) fn send_unavailable(answer: &Unavailable) -> Action {
    let retry_after = answer.retry_after.to_string();
    let headers = [
        ("content-type", "application/json"),
        ("retry-after", retry_after.as_str()),
    ];
    // Should this fail, the request stays paused and Envoy's own time-outs end it.
    let _ = host::respond(503, host::NO_TOKEN, &headers, &json(answer));
    Action::Pause
}
