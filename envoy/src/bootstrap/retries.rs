//! The retry policies of the proxy's routes.

use serde_json::{Value, json};

/// The largest body that the router buffers for a retry, in bytes.
pub(super) const MAX_BUFFERED_BODY: u32 = 16 << 20;

/// The conditions under which the target has not processed the request. After a 401 the filter waits for
/// a fresh token before it lets the retry pass.
const UNSEEN: &str = "retriable-status-codes,connect-failure,refused-stream,reset-before-request";

/// For requests of any method. A request that the target may have processed is not retried: RFC 9110
/// §9.2.2 forbids it, and a batch of samples would be stored twice.
pub(super) fn any_method() -> Value {
    policy(UNSEEN)
}

/// For requests with a safe method. They are also retried when the connection ends before a response:
/// usually the target has just closed an idle connection (RFC 9112 §9.3.1).
pub(super) fn safe_methods() -> Value {
    policy(&format!("{UNSEEN},reset"))
}

fn policy(retry_on: &str) -> Value {
    json!({
        "retry_on": retry_on,
        "retriable_status_codes": [401],
        "num_retries": 2,
    })
}
