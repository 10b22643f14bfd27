//! The interface of Envoy's shared data: a map with compare-and-swap for single keys.

/// The version of a value in shared data, as the host returned it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cas(pub u32);

/// Envoy's shared data, or a stand-in for it.
pub trait SharedData {
    /// The value and its version; `None` when there is none.
    fn read(&self, key: &str) -> Option<(Vec<u8>, Cas)>;

    /// Writes the value if it still has the version `expected`, or if it does not exist and `expected` is
    /// `None`. Returns whether it was written.
    fn write(&self, key: &str, value: &[u8], expected: Option<Cas>) -> bool;
}
