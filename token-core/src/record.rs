//! The record of a slot in Envoy's shared data.
//!
//! One record holds both the lease and the token, so that one compare-and-swap covers both: a VM
//! whose lease was taken over cannot publish a token.

use core::fmt::Write;
use core::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::Mono;
use crate::identity::Plan;
use crate::sealed;
use crate::state::State;

const VERSION: u8 = 5;

/// The beginning of every key.
const NAMESPACE: &str = "entra-auth/v1/";

/// The end of the key of a slot's record.
const RECORD: &str = "/record";

/// The key of a slot's record. It contains a hash of every input that determines the token, so that
/// two configurations never read each other's token.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SlotKey(String);

impl SlotKey {
    /// The key of the slot with this plan.
    #[must_use]
    pub fn of(plan: &Plan) -> Self {
        let digest = Sha256::digest(plan.fingerprint().as_bytes());
        let mut key = String::from(NAMESPACE);
        for byte in digest.iter().take(16) {
            // Writing to a String cannot fail.
            let _ = write!(key, "{byte:02x}");
        }
        key.push_str(RECORD);
        Self(key)
    }

    /// The key of the record about the responses of this target, to which the slot's token goes.
    #[must_use]
    pub fn of_target(&self, target: &str) -> String {
        let slot = self.0.strip_suffix(RECORD).unwrap_or(&self.0);
        format!("{slot}/target/{target}")
    }

    /// The key in Envoy's shared data.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Identifies a VM within one Envoy process; random.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnerId(pub u64);

/// The exclusive right to call the endpoint for a slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The holder, or the last holder once the lease has ended.
    pub owner: OwnerId,
    /// When the lease ends; in the past once the call is complete.
    pub until: Mono,
}

impl Lease {
    /// How long other VMs let the last holder go first, so that one VM makes all calls as long as it
    /// lives.
    const AFFINITY: Duration = Duration::from_secs(2);

    /// When `me` may take the lease for a call that is due at `due`. An `urgent` call, for which
    /// requests wait or which retries a failure, does not wait for the last holder to go first.
    #[must_use]
    pub fn opens_to(&self, me: OwnerId, due: Mono, urgent: bool) -> Mono {
        let is_usual = self.owner == me || self.owner == OwnerId::default();
        let head_start = if urgent || is_usual {
            Duration::ZERO
        } else {
            Self::AFFINITY
        };
        self.until.max(due.after(head_start))
    }
}

/// The shared record of a slot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Which VM may call the endpoint.
    pub lease: Lease,
    /// Token, schedule and last failure.
    pub state: State,
}

impl Record {
    /// Encodes the record. If that fails, the result is empty, which [`Record::decode`] reads as absent.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        sealed::encode(VERSION, self)
    }

    /// Decodes a record; `None` if it is of another version or damaged.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        sealed::decode(VERSION, bytes)
    }
}
