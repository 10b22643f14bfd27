//! What the VMs of one Envoy process share about a slot: one record, one key, one
//! compare-and-swap for both the lease and the token, so that a context whose lease was taken
//! over cannot publish.

use core::fmt::Write;
use core::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::Mono;
use crate::identity::Plan;
use crate::sealed;
use crate::state::State;

const VERSION: u8 = 4;

/// The beginning of every key.
const NAMESPACE: &str = "entra-auth/v1/";

/// The end of the key of a slot's record.
const RECORD: &str = "/record";
/// Names a slot's record. The hash covers every input that changes what the token is, so two
/// configurations never read each other's token.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SlotKey(String);

impl SlotKey {
    /// The key of the slot that this plan fills.
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

/// Who may call the endpoint, and until when nobody else may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The holder, or the last one.
    pub owner: OwnerId,
    /// When it ends; in the past once the call is over.
    pub until: Mono,
}

impl Lease {
    /// How much longer than the lease's end everybody but the last holder waits, so that the
    /// same context goes on refreshing as long as it lives.
    const AFFINITY: Duration = Duration::from_secs(2);

    /// From when on `me` may take the lease for work that is due at `due`. `urgent` work, which
    /// requests wait for or which has just failed, waits for nobody but a call in flight.
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
    /// Who is calling.
    pub lease: Lease,
    /// Token, schedule and last failure.
    pub state: State,
}

impl Record {
    /// The record's bytes; empty (which reads as absent) should it not be representable.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        sealed::encode(VERSION, self)
    }

    /// Reads a record; `None` when it is of another version or damaged.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        sealed::decode(VERSION, bytes)
    }
}
