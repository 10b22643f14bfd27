//! The record: its layout, and one that is damaged or of another version.

use crc::{CRC_32_ISO_HDLC, Crc};
use entra_token_core::failure::{Failure, FailureCode, Step};
use entra_token_core::identity::SigningCertificate;
use entra_token_core::lease::LeaseParticipant;
use entra_token_core::record::{Lease, OwnerId, Record};
use entra_token_core::state::State;
use entra_token_core::trace::Trace;
use entra_token_core::{Generation, Mono, Secret, Token, Wall};
#[cfg(all(target_family = "wasm", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::common::{OneKey, START, participants, plan, policy};
use crate::{first_token, round, seconds};

#[test]
fn a_record_of_another_version_counts_as_absent() {
    let (shared, mut participants) = (OneKey::default(), participants(1));
    first_token(&mut participants, &shared, 3600);
    let mut bytes = shared.0.borrow().as_ref().expect("a record").0.clone();
    bytes.truncate(bytes.len() - 4);
    bytes[0] += 1;
    // The checksum is right, the version is not.
    let checksum = Crc::<u32>::new(&CRC_32_ISO_HDLC).checksum(&bytes);
    bytes.extend(checksum.to_le_bytes());
    assert_eq!(Record::decode(&bytes), None);
}

/// Two versions of the module in one Envoy must not misread each other: whoever changes these
/// bytes changes the record's version too.
#[test]
fn the_layout_of_the_record_is_that_of_its_version() {
    let record = Record {
        lease: Lease {
            owner: OwnerId(1),
            until: Mono(2),
        },
        state: State {
            token: Some(Token {
                generation: Generation(3),
                secret: Secret::new("s".into()),
                expires_mono: Mono(4),
                expires_wall: Wall(5),
                lifetime_ms: 6,
            }),
            next_attempt: Mono(7),
            failures: 8,
            failing_since: Some(Wall(9)),
            last_failure: Some(Failure {
                code: FailureCode::Throttled,
                message: "m".into(),
                step: Step::Token,
                proxy_suspected: true,
                had_valid_token: true,
                permanent: true,
                retry_after: None,
                trace: Box::new(Trace {
                    trace_id: Some("t".into()),
                    correlation_id: Some("c".into()),
                    client_request_id: None,
                    timestamp: Some("w".into()),
                }),
            }),
            accepted: true,
            repeated: false,
            forced_at: Some(Mono(9)),
            certificate: Some(SigningCertificate {
                not_after: Wall(10),
                used: Mono(11),
            }),
        },
    };
    let bytes = record.encode();
    let (body, _checksum) = bytes.split_at(bytes.len() - 4);
    let expected =
        b"\x05\x01\x02\x01\x03\x01s\x04\x05\x06\x07\x08\x01\x09\x01\x09throttled\x01m\x01\x01\x01\x01\x01\x01t\x01\x01c\x00\x01\x01w\x01\x00\x01\x09\x01\x0a\x0b";
    assert_eq!(body, expected);
    assert_eq!(Record::decode(&bytes), Some(record));
}

#[test]
fn a_damaged_or_foreign_record_counts_as_absent() {
    let (shared, mut participants) = (OneKey::default(), participants(2));
    first_token(&mut participants, &shared, 3600);
    let whole = shared.0.borrow().as_ref().expect("a record").0.clone();
    assert!(Record::decode(&whole).is_some());
    for byte in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[byte] ^= 1;
        assert_eq!(Record::decode(&damaged), None, "byte {byte}");
    }
    for length in 0..whole.len() {
        assert_eq!(Record::decode(&whole[..length]), None, "{length} bytes");
    }
    shared.damage(3);
    // A VM that has seen the token keeps it; one that starts now fetches a new one.
    assert!(round(&mut participants, seconds(START, 1), &shared).is_empty());
    assert!(participants[0].token(seconds(START, 1)).is_some());
    let mut newcomer = [LeaseParticipant::new(OwnerId(99), plan(), policy())];
    assert_eq!(round(&mut newcomer, seconds(START, 1), &shared).len(), 1);
}
