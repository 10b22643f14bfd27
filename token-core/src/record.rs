//! The record of a slot in Envoy's shared data.
//!
//! One record holds both the lease and the token, so that one compare-and-swap covers both: a VM
//! whose lease was taken over cannot publish a token.
//!
//! Layout: a version byte, the postcard body, and the CRC-32 (little endian) of both. A record of
//! another version, or a damaged one, counts as absent.

use core::fmt::Write;
use core::time::Duration;

use crc::{CRC_32_ISO_HDLC, Crc, Table};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::Mono;
use crate::identity::Plan;
use crate::state::State;

const VERSION: u8 = 3;
const CHECKSUM_BYTES: usize = 4;

/// Uses one small table: records are short, and the faster variants need 16 KiB of tables.
static CHECKSUM: Crc<u32, Table<1>> = Crc::<u32, Table<1>>::new(&CRC_32_ISO_HDLC);

/// The key of a slot's record. It contains a hash of every input that determines the token, so that
/// two configurations never read each other's token.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SlotKey(String);

impl SlotKey {
    /// The key of the slot with this plan.
    #[must_use]
    pub fn of(plan: &Plan) -> Self {
        let digest = Sha256::digest(plan.fingerprint().as_bytes());
        let mut key = String::from("entra-auth/v1/");
        for byte in digest.iter().take(16) {
            // Writing to a String cannot fail.
            let _ = write!(key, "{byte:02x}");
        }
        key.push_str("/record");
        Self(key)
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
        let Ok(mut bytes) = postcard::to_extend(self, vec![VERSION]) else {
            return Vec::new();
        };
        bytes.extend(CHECKSUM.checksum(&bytes).to_le_bytes());
        bytes
    }

    /// Decodes a record; `None` if it is of another version or damaged.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (content, checksum) = bytes.split_last_chunk::<CHECKSUM_BYTES>()?;
        let (&VERSION, body) = content.split_first()? else {
            return None;
        };
        if CHECKSUM.checksum(content).to_le_bytes() != *checksum {
            return None;
        }
        postcard::from_bytes(body).ok()
    }
}
