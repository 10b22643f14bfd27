//! What the proxy's routes send again by themselves, so that the client does not see the failure.

use serde_json::{Value, json};

/// How much of a body the router keeps to send it again.
pub(super) const KEPT_BODY_BYTES: u32 = 16 << 20;

/// After a 401 our filter waits for a fresh token before it lets the next try go; in the other cases
/// the target has not seen the request.
const UNSEEN: &str = "retriable-status-codes,connect-failure,refused-stream,reset-before-request";

/// Requests of any method. One that may have reached the target is not repeated: RFC 9110 §9.2.2
/// forbids it, and a batch of samples would be stored twice.
pub(super) fn of_all() -> Value {
    policy(UNSEEN)
}

/// Requests that may reach the target twice. They are repeated when the connection ends before an
/// answer, too: most often the target has just closed an idle one (RFC 9112 §9.3.1).
pub(super) fn of_safe_methods() -> Value {
    policy(&format!("{UNSEEN},reset"))
}

fn policy(retry_on: &str) -> Value {
    json!({
        "retry_on": retry_on,
        "retriable_status_codes": [401],
        "num_retries": 2,
    })
}
