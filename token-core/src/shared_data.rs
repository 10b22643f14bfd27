//! The interface of Envoy's shared data, a map with compare-and-swap for single keys, and records in it to which
//! all VMs add.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::sealed;

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

/// A record to which all VMs of the process add.
pub trait SharedRecord: Default + Serialize + DeserializeOwned {
    /// The version of its form. A record of another version is read as absent.
    const VERSION: u8;

    /// The bytes for shared data.
    #[must_use]
    fn encode(&self) -> Vec<u8> {
        sealed::encode(Self::VERSION, self)
    }

    /// Reads the bytes from shared data; `None` when they are of another version or damaged.
    #[must_use]
    fn decode(bytes: &[u8]) -> Option<Self> {
        sealed::decode(Self::VERSION, bytes)
    }
}

/// How often a record is written again when another VM writes it at the same moment.
const WRITE_ATTEMPTS: usize = 8;

/// The record of this key; the default one if there is none.
pub fn get<R: SharedRecord>(shared: &impl SharedData, key: &str) -> R {
    read(shared, key).0
}

/// Changes a record and writes it. Returns what `change` has returned, or `None` if other VMs were faster each
/// time.
pub fn update<R: SharedRecord, T>(
    shared: &impl SharedData,
    key: &str,
    change: impl Fn(&mut R) -> T,
) -> Option<T> {
    for _ in 0..WRITE_ATTEMPTS {
        let (mut record, cas) = read::<R>(shared, key);
        let result = change(&mut record);
        if shared.write(key, &record.encode(), cas) {
            return Some(result);
        }
    }
    None
}

fn read<R: SharedRecord>(shared: &impl SharedData, key: &str) -> (R, Option<Cas>) {
    match shared.read(key) {
        Some((bytes, cas)) => (R::decode(&bytes).unwrap_or_default(), Some(cas)),
        None => (R::default(), None),
    }
}
