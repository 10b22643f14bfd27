//! What the filter still does when it panics.
//!
//! A panic becomes a trap; afterwards Envoy runs nothing in this VM and never ends the requests parked
//! here. The panic hook runs before the trap, when host calls still work, and answers them. Envoy sends these
//! answers after the trap. Downstream they pass back through the filter that has just failed, so the client
//! gets a bare 503.

use std::panic::{self, PanicHookInfo};

use crate::{host, local_slot};

/// Seconds after which a client may send again: by then Envoy has loaded the VM anew.
const RETRY_AFTER: &str = "2";

/// Constant: what an answer is made of otherwise may be what the panic has left broken.
const ANSWER: &[u8] =
    br#"{"error":{"code":"internal","message":"the proxy failed while the request waited for a token"}}"#;

/// Has every panic from now on answer the parked requests.
pub(crate) fn prepare() {
    panic::set_hook(Box::new(respond));
}

fn respond(panic: &PanicHookInfo<'_>) {
    log::error!("this is a bug, please report it: {panic}");
    local_slot::dismiss_parked(|context| {
        // A client that has left took its context along; should the answer fail, Envoy's own
        // time-outs end the request.
        let _ = host::set_effective_context(context).and_then(|()| {
            let headers = [
                ("content-type", "application/json"),
                ("retry-after", RETRY_AFTER),
            ];
            host::respond(503, host::NO_TOKEN, &headers, ANSWER)
        });
    });
}
