//! What a request of one kind costs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Envoy's callbacks for one request without trailers, in the order in which it makes them.
pub const CALLBACKS: [&str; 8] = [
    "proxy_on_context_create",
    "proxy_on_request_headers",
    "proxy_on_request_body",
    "proxy_on_response_headers",
    "proxy_on_response_body",
    "proxy_on_log",
    "proxy_on_done",
    "proxy_on_delete",
];

/// What one request costs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cost {
    /// Instructions by callback; those that the module does not export are not there.
    pub instructions: BTreeMap<String, u64>,
    /// Calls to the host by name.
    pub host_calls: BTreeMap<String, u64>,
    /// Unknown where the module does not count them.
    pub allocations: Option<Allocations>,
}

/// How often memory is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Allocations {
    /// By the module for itself.
    pub own: u64,
    /// For values that the host hands over.
    pub for_host: u64,
}

impl Cost {
    /// The instructions of all callbacks.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.instructions.values().sum()
    }
}

/// Costs by kind of request.
pub type Costs = BTreeMap<String, Cost>;
