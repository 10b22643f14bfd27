//! What the VMs of a process share, as another version of the module may have written it.

use std::cell::RefCell;

use crc::{CRC_32_ISO_HDLC, Crc};
use entra_token_core::lease::{Cas, LeaseParticipant, SharedData};
use entra_token_core::record::{OwnerId, Record};

use crate::endpoint::{POLICY, START, plan};

struct OneKey(RefCell<Vec<u8>>);

impl SharedData for OneKey {
    fn read(&self, _: &str) -> Option<(Vec<u8>, Cas)> {
        Some((self.0.borrow().clone(), Cas(1)))
    }

    fn write(&self, _: &str, value: &[u8], _: Option<Cas>) -> bool {
        *self.0.borrow_mut() = value.to_vec();
        true
    }
}

/// The record, as it is and with the checksum put right.
pub(crate) fn record(bytes: &[u8]) {
    let mut sealed = bytes.to_vec();
    let checksum = Crc::<u32>::new(&CRC_32_ISO_HDLC).checksum(bytes);
    sealed.extend(checksum.to_le_bytes());
    for bytes in [bytes, &sealed] {
        if let Some(record) = Record::decode(bytes) {
            let again = record.encode();
            assert_eq!(Record::decode(&again), Some(record));
            for byte in 0..again.len().min(8) {
                let mut damaged = again.clone();
                damaged[byte] ^= 1;
                assert_eq!(Record::decode(&damaged), None);
            }
        }
        // Whatever it says, a VM goes on from it.
        let shared = OneKey(RefCell::new(bytes.to_vec()));
        let mut participant = LeaseParticipant::new(OwnerId(1), plan(), POLICY);
        participant.step(START, &shared);
        let _ = participant.next_wakeup(START);
        let generation = participant.slot().state().generation();
        participant.accepted(START, generation, &shared);
        participant.refused(START, generation, &shared);
        if let Some(token) = participant.token(START) {
            assert!(token.is_valid(START));
        }
    }
}
