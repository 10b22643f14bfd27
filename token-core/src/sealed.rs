//! How a record lies in Envoy's shared data: a version byte, the postcard body, and the CRC-32 (little endian)
//! of both. A record of an unknown version, or a damaged one, counts as absent.

use crc::{CRC_32_ISO_HDLC, Crc, Table};
use serde::Serialize;
use serde::de::DeserializeOwned;

const CHECKSUM_BYTES: usize = 4;

/// With one small table: records are short, and a faster checksum brings tables of 16 KiB.
static CHECKSUM: Crc<u32, Table<1>> = Crc::<u32, Table<1>>::new(&CRC_32_ISO_HDLC);

/// The record's bytes; empty, which reads as absent, should it not be representable.
pub(crate) fn encode(version: u8, record: &impl Serialize) -> Vec<u8> {
    let Ok(mut bytes) = postcard::to_extend(record, vec![version]) else {
        return Vec::new();
    };
    bytes.extend(CHECKSUM.checksum(&bytes).to_le_bytes());
    bytes
}

/// Reads a record; `None` when it is of another version or damaged.
pub(crate) fn decode<T: DeserializeOwned>(version: u8, bytes: &[u8]) -> Option<T> {
    let (content, checksum) = bytes.split_last_chunk::<CHECKSUM_BYTES>()?;
    let (_, body) = content
        .split_first()
        .filter(|(first, _)| **first == version)?;
    if CHECKSUM.checksum(content).to_le_bytes() != *checksum {
        return None;
    }
    postcard::from_bytes(body).ok()
}
