//! What it takes to open what is encrypted: the file itself says how often its password is hashed,
//! and a file that says too much would keep the companion busy for hours, or take its memory.

use pkcs8::der::{AnyRef, Decode, Reader, SliceReader, Tag, TagNumber, Tagged};
use pkcs8::pkcs5::pbes2::{Pbkdf2Params, ScryptParams};
use pkcs8::{AlgorithmIdentifierRef, ObjectIdentifier};

use crate::file::FileName;
use crate::settings::mistake::Mistake;

/// Rounds of a hash for all parts of a file together, which take some seconds. OpenSSL's default is
/// 2048 for each part, OWASP's advice 600,000.
const MOST_ROUNDS: u64 = 5_000_000;
/// What scrypt may take of memory, in bytes; OpenSSL's default takes 16 MiB.
const MOST_MEMORY: u64 = 64 << 20;
/// A PFX nests some 20 deep.
const DEEPEST: usize = 40;

/// RFC 8018 §A.2.
const PBKDF2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.5.12");
/// RFC 7914 §7.
const SCRYPT: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.11591.4.11");
/// The algorithms of PKCS#5 and PKCS#12, whose parameters are a salt and a count (RFC 8018 §A.3,
/// RFC 7292 §C).
const OLD: [ObjectIdentifier; 2] = [
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.5"),
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.1"),
];

/// Refuses a file that takes too much work. Only what is not encrypted itself is seen, which is all
/// there is in the files of OpenSSL, Windows and Key Vault.
pub(super) fn check(der: &[u8], file: &FileName) -> Result<(), Mistake> {
    let mut rounds = 0;
    walk(der, 0, &mut rounds);
    if rounds <= MOST_ROUNDS {
        return Ok(());
    }
    Err(file.mistake(
        "wants its password hashed so often, or with so much memory, that opening it is refused",
        "Encrypt it again with fewer iterations: OpenSSL's default will do.",
    ))
}

/// Adds up the rounds of all algorithms in DER, and in what looks like DER within it; stops where
/// it is none.
fn walk(der: &[u8], depth: usize, rounds: &mut u64) {
    let Ok(mut reader) = SliceReader::new(der) else {
        return;
    };
    while depth < DEEPEST && !reader.is_finished() {
        let Ok(value) = AnyRef::decode(&mut reader) else {
            return;
        };
        if let Ok(algorithm) = value.decode_as::<AlgorithmIdentifierRef<'_>>() {
            *rounds = rounds.saturating_add(work(&algorithm).unwrap_or_default());
        }
        if value.tag().is_constructed() || is_wrapping(value.tag()) {
            walk(value.value(), depth + 1, rounds);
        }
    }
}

/// Whether DER may stand in a value of this kind.
fn is_wrapping(tag: Tag) -> bool {
    matches!(tag, Tag::OctetString)
        || matches!(tag, Tag::ContextSpecific { number, .. } if number == TagNumber(0))
}

/// The rounds that an algorithm takes; `None` if it hashes no password, or cannot be read, which
/// whoever decrypts will say.
fn work(algorithm: &AlgorithmIdentifierRef<'_>) -> Option<u64> {
    let parameters = algorithm.parameters?;
    if algorithm.oid == PBKDF2 {
        let parameters = Pbkdf2Params::try_from(parameters).ok()?;
        return Some(parameters.iteration_count.into());
    }
    if algorithm.oid == SCRYPT {
        let parameters = ScryptParams::try_from(parameters).ok()?;
        let blocks = parameters
            .cost_parameter
            .saturating_mul(parameters.block_size.into());
        return Some(match blocks.saturating_mul(128) {
            ..=MOST_MEMORY => blocks.saturating_mul(parameters.parallelization.into()),
            _ => u64::MAX,
        });
    }
    if OLD.contains(&algorithm.oid.parent()?) {
        let count = parameters.sequence(|reader| {
            AnyRef::decode(reader)?;
            u64::decode(reader)
        });
        // The key and the initial vector are made apart.
        return count.ok().map(|count: u64| count.saturating_mul(2));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use pkcs8::der::Encode;
    use pkcs8::der::asn1::OctetStringRef;

    fn file() -> FileName {
        FileName {
            setting: "AAD_CLIENT_CERTIFICATE_PATH",
            path: "/secrets/certificate".into(),
        }
    }

    /// A sequence of the parts.
    fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
        let content = parts.concat();
        AnyRef::new(Tag::Sequence, &content)
            .unwrap()
            .to_der()
            .unwrap()
    }

    fn octets(content: &[u8]) -> Vec<u8> {
        OctetStringRef::new(content).unwrap().to_der().unwrap()
    }

    fn oid(text: &str) -> Vec<u8> {
        ObjectIdentifier::new_unwrap(text).to_der().unwrap()
    }

    /// An algorithm with a salt and these numbers.
    fn algorithm(name: &str, numbers: &[u64]) -> Vec<u8> {
        let mut parameters = vec![octets(b"saltsalt")];
        parameters.extend(numbers.iter().map(|number| number.to_der().unwrap()));
        sequence(&[oid(name), sequence(&parameters)])
    }

    const PBKDF2: &str = "1.2.840.113549.1.5.12";
    const SCRYPT: &str = "1.3.6.1.4.1.11591.4.11";
    const PBE_3DES: &str = "1.2.840.113549.1.12.1.3";
    const PBE_MD5_DES: &str = "1.2.840.113549.1.5.3";

    #[test]
    fn what_takes_seconds_is_opened_and_what_takes_hours_is_refused() {
        for (name, numbers, is_fine) in [
            (PBKDF2, &[2048][..], true),
            (PBKDF2, &[5_000_000], true),
            (PBKDF2, &[5_000_001], false),
            (PBE_3DES, &[2_500_000], true),
            (PBE_3DES, &[2_500_001], false),
            (PBE_MD5_DES, &[u64::MAX], false),
            (SCRYPT, &[16_384, 8, 1], true),
            (SCRYPT, &[1 << 16, 8, 1], true),
            (SCRYPT, &[1 << 17, 8, 1], false),
            (SCRYPT, &[16_384, 8, 40], false),
            (SCRYPT, &[1 << 62, 8, 1], false),
            // Hashes no password.
            ("1.2.840.113549.1.1.11", &[u64::MAX], true),
        ] {
            let der = algorithm(name, numbers);
            assert_eq!(check(&der, &file()).is_ok(), is_fine, "{name} {numbers:?}");
        }
    }

    /// As in a PFX: each part within sequences, octet strings and tagged values.
    #[test]
    fn the_parts_of_a_file_count_together_however_deep_they_are() {
        let part = sequence(&[octets(&sequence(&[algorithm(PBKDF2, &[1_000_000])]))]);
        let tag = Tag::ContextSpecific {
            constructed: true,
            number: TagNumber(0),
        };
        let content = octets(&vec![part.clone(); 5].concat());
        let tagged = sequence(&[AnyRef::new(tag, &content).unwrap().to_der().unwrap()]);
        assert!(check(&tagged, &file()).is_ok());
        let refused = check(&sequence(&[tagged, part]), &file()).unwrap_err();
        let refused = refused.to_string();
        assert!(refused.contains("hashed so often"), "{refused}");
        assert!(refused.contains("fewer iterations"), "{refused}");
    }

    #[test]
    fn what_is_no_der_takes_no_work() {
        for content in [&b""[..], b"\x30", b"\x30\x80", &[0x30; 5000], &[0x24; 5000]] {
            assert!(check(content, &file()).is_ok());
        }
        // Nested to the end of a stack.
        let mut deep = Vec::new();
        for _ in 0..5000 {
            deep = AnyRef::new(Tag::OctetString, &deep)
                .unwrap()
                .to_der()
                .unwrap();
        }
        assert!(check(&deep, &file()).is_ok());
    }
}
