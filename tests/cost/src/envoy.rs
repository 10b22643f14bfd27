//! What the stand-in for Envoy knows: clocks, the messages at hand, shared data, and a count of
//! what the module asks for.

use std::collections::BTreeMap;

/// A header map: names to values.
pub type Headers = BTreeMap<String, String>;

/// Nanoseconds in a second.
const NANOS: u64 = 1_000_000_000;

/// Envoy's side of one VM.
#[derive(Debug)]
pub struct Envoy {
    /// The plugin configuration.
    pub configuration: String,
    /// Of the request at hand.
    pub request_headers: Headers,
    /// Of the answer to it.
    pub response_headers: Headers,
    /// Of the answer to a call that the module made.
    pub call_headers: Headers,
    /// Of the same.
    pub call_body: Vec<u8>,
    /// By path, whose parts a zero byte separates.
    pub properties: BTreeMap<String, Vec<u8>>,
    /// The wall clock in nanoseconds.
    pub wall: u64,
    /// The monotonic clock in nanoseconds.
    pub mono: u64,
    /// Calls of the module to the host, by name.
    pub calls: BTreeMap<String, u64>,
    /// Allocations that the module made because the host had a value to hand over.
    pub allocated_for_host: u64,
    /// What the module has logged.
    pub log: Vec<String>,
    /// Whether an error among it is expected.
    pub may_log_errors: bool,
    /// How many calls to other clusters the module has made.
    pub dispatched: u32,
    /// How many metrics are defined.
    pub metrics: u32,
    /// Where the randomness stands, which is none.
    pub random: u8,
    shared: BTreeMap<Vec<u8>, (Vec<u8>, u32)>,
}

impl Envoy {
    /// At a moment in 2027.
    #[must_use]
    pub fn new(configuration: String) -> Self {
        Self {
            configuration,
            request_headers: Headers::new(),
            response_headers: Headers::new(),
            call_headers: Headers::new(),
            call_body: Vec::new(),
            properties: BTreeMap::new(),
            wall: 1_800_000_000 * NANOS,
            mono: 1_000 * NANOS,
            calls: BTreeMap::new(),
            allocated_for_host: 0,
            log: Vec::new(),
            may_log_errors: false,
            dispatched: 0,
            metrics: 0,
            random: 0,
            shared: BTreeMap::new(),
        }
    }

    /// The wall clock in seconds.
    #[must_use]
    pub fn wall_seconds(&self) -> u64 {
        self.wall / NANOS
    }

    /// Lets a second pass.
    pub fn pass_a_second(&mut self) {
        self.wall += NANOS;
        self.mono += NANOS;
    }

    /// A value of shared data with its version.
    pub(crate) fn shared(&self, key: &[u8]) -> Option<&(Vec<u8>, u32)> {
        self.shared.get(key)
    }

    /// Sets a value of shared data if `expected` is its version, or 0, or there is none yet.
    pub(crate) fn share(&mut self, key: Vec<u8>, value: Vec<u8>, expected: u32) -> bool {
        let version = self.shared.get(&key).map(|(_, version)| *version);
        if version.is_some_and(|version| expected != 0 && expected != version) {
            return false;
        }
        let next = version.unwrap_or_default() + 1;
        self.shared.insert(key, (value, next));
        true
    }
}
