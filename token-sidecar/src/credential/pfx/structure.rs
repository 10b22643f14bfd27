//! Parses the parts of a PFX in DER (RFC 7292 §4) that a key and its certificates need. Attributes,
//! revocation lists and secrets are skipped.

use std::borrow::Cow;

use pkcs8::der::asn1::AnyRef;
use pkcs8::der::{Decode, Reader, SliceReader, Tag, TagNumber, Tagged};
use pkcs8::{AlgorithmIdentifierRef, ObjectIdentifier};

use super::ber::joined;
use super::error::PfxError;

const fn oid(text: &str) -> ObjectIdentifier {
    ObjectIdentifier::new_unwrap(text)
}

/// Content types (RFC 5652 §4, §8).
const DATA: ObjectIdentifier = oid("1.2.840.113549.1.7.1");
const ENCRYPTED_DATA: ObjectIdentifier = oid("1.2.840.113549.1.7.6");
/// Kinds of bags (RFC 7292 §D).
const KEY_BAG: ObjectIdentifier = oid("1.2.840.113549.1.12.10.1.1");
const SHROUDED_KEY_BAG: ObjectIdentifier = oid("1.2.840.113549.1.12.10.1.2");
const CERTIFICATE_BAG: ObjectIdentifier = oid("1.2.840.113549.1.12.10.1.3");
const SAFE_CONTENTS_BAG: ObjectIdentifier = oid("1.2.840.113549.1.12.10.1.6");
/// The certificate type X.509 (RFC 7292 §4.2.3).
const X509_CERTIFICATE: ObjectIdentifier = oid("1.2.840.113549.1.9.22.1");

/// `PFX`.
#[derive(Debug)]
pub(super) struct Pfx<'a> {
    /// The content under the MAC, in BER or DER.
    pub(super) content: &'a [u8],
    /// The MAC; none where the file has no integrity protection.
    pub(super) mac: Option<Mac<'a>>,
}

/// `MacData`.
#[derive(Debug)]
pub(super) struct Mac<'a> {
    pub(super) algorithm: ObjectIdentifier,
    pub(super) digest: &'a [u8],
    pub(super) salt: &'a [u8],
    pub(super) rounds: u32,
}

/// `ContentInfo` in `AuthenticatedSafe`: bags, in BER or DER.
#[derive(Debug)]
pub(super) enum Safe<'a> {
    Plain(&'a [u8]),
    Encrypted(Encrypted<'a>),
}

/// Data that is encrypted with the password.
#[derive(Debug)]
pub(super) struct Encrypted<'a> {
    pub(super) algorithm: AlgorithmIdentifierRef<'a>,
    pub(super) data: Cow<'a, [u8]>,
}

/// `SafeBag` with a key or a certificate.
#[derive(Debug)]
pub(super) enum Bag<'a> {
    /// A private key in PKCS#8.
    Key(&'a [u8]),
    /// An encrypted private key in PKCS#8.
    ShroudedKey(Encrypted<'a>),
    /// A certificate in X.509.
    Certificate(&'a [u8]),
}

/// Reads `PFX`.
pub(super) fn pfx(der: &[u8]) -> Result<Pfx<'_>, PfxError> {
    AnyRef::from_der(der)?.sequence(|reader| {
        if u8::decode(reader)? != 3 {
            return Err(PfxError::Unsound("its version is not 3".into()));
        }
        let (kind, content) = content_info(reader)?;
        if kind != DATA {
            // `signedData` has a signature by a public key in place of a MAC.
            return Err(PfxError::Unsupported("protection", kind));
        }
        let mac = match reader.is_finished() {
            true => None,
            false => Some(reader.sequence(mac)?),
        };
        Ok(Pfx {
            content: octets(content)?,
            mac,
        })
    })
}

fn mac<'a>(reader: &mut SliceReader<'a>) -> Result<Mac<'a>, PfxError> {
    let (algorithm, digest) = reader.sequence(|reader| {
        let algorithm = AlgorithmIdentifierRef::decode(reader)?;
        Ok::<_, PfxError>((algorithm.oid, octets(AnyRef::decode(reader)?)?))
    })?;
    Ok(Mac {
        algorithm,
        digest,
        salt: octets(AnyRef::decode(reader)?)?,
        rounds: match reader.is_finished() {
            true => 1,
            false => u32::decode(reader)?,
        },
    })
}

/// Reads `AuthenticatedSafe`.
pub(super) fn safes(der: &[u8]) -> Result<Vec<Safe<'_>>, PfxError> {
    AnyRef::from_der(der)?.sequence(|reader| {
        let mut safes = Vec::new();
        while !reader.is_finished() {
            let (kind, content) = content_info(reader)?;
            safes.push(match kind {
                DATA => Safe::Plain(octets(content)?),
                ENCRYPTED_DATA => Safe::Encrypted(content.sequence(encrypted_data)?),
                // `envelopedData` is encrypted for another private key.
                _ => return Err(PfxError::Unsupported("protection", kind)),
            });
        }
        Ok(safes)
    })
}

/// RFC 5652 §8.
fn encrypted_data<'a>(reader: &mut SliceReader<'a>) -> Result<Encrypted<'a>, PfxError> {
    u8::decode(reader)?;
    let encrypted = reader.sequence(|reader| {
        AnyRef::decode(reader)?;
        let algorithm = AlgorithmIdentifierRef::decode(reader)?;
        let content = AnyRef::decode(reader)?;
        // `[0] IMPLICIT OCTET STRING`: the tag does not say that it is an octet string, so `ber` has not
        // joined a constructed one.
        let data = match content.tag() {
            Tag::ContextSpecific {
                constructed: false,
                number: TagNumber(0),
            } => content.value().into(),
            Tag::ContextSpecific {
                constructed: true,
                number: TagNumber(0),
            } => joined(content.value()).ok_or_else(damaged)?.into(),
            _ => return Err(damaged()),
        };
        Ok(Encrypted { algorithm, data })
    });
    skip_rest(reader)?;
    encrypted
}

/// Reads `SafeContents`.
pub(super) fn bags(der: &[u8]) -> Result<Vec<Bag<'_>>, PfxError> {
    let mut bags = Vec::new();
    collect_bags(AnyRef::from_der(der)?, &mut bags)?;
    Ok(bags)
}

/// Bags may hold bags. `ber` has limited the depth.
fn collect_bags<'a>(contents: AnyRef<'a>, bags: &mut Vec<Bag<'a>>) -> Result<(), PfxError> {
    contents.sequence(|reader| {
        while !reader.is_finished() {
            reader.sequence(|reader| {
                let kind = ObjectIdentifier::decode(reader)?;
                let mut value = SliceReader::new(explicit(reader)?)?;
                match kind {
                    KEY_BAG => bags.push(Bag::Key(value.tlv_bytes()?)),
                    SHROUDED_KEY_BAG => {
                        bags.push(Bag::ShroudedKey(value.sequence(encrypted_key)?));
                    }
                    CERTIFICATE_BAG => bags.extend(value.sequence(certificate)?),
                    SAFE_CONTENTS_BAG => collect_bags(AnyRef::decode(&mut value)?, bags)?,
                    _ => {}
                }
                skip_rest(reader)
            })?;
        }
        Ok(())
    })
}

/// `EncryptedPrivateKeyInfo` (RFC 5208 §6).
fn encrypted_key<'a>(reader: &mut SliceReader<'a>) -> Result<Encrypted<'a>, PfxError> {
    Ok(Encrypted {
        algorithm: AlgorithmIdentifierRef::decode(reader)?,
        data: octets(AnyRef::decode(reader)?)?.into(),
    })
}

/// `CertBag`; `None` if the certificate is of another kind.
fn certificate<'a>(reader: &mut SliceReader<'a>) -> Result<Option<Bag<'a>>, PfxError> {
    let kind = ObjectIdentifier::decode(reader)?;
    let value = explicit(reader)?;
    if kind != X509_CERTIFICATE {
        return Ok(None);
    }
    Ok(Some(Bag::Certificate(octets(AnyRef::from_der(value)?)?)))
}

/// `ContentInfo` (RFC 5652 §3).
fn content_info<'a>(
    reader: &mut SliceReader<'a>,
) -> Result<(ObjectIdentifier, AnyRef<'a>), PfxError> {
    reader.sequence(|reader| {
        let kind = ObjectIdentifier::decode(reader)?;
        Ok((kind, AnyRef::from_der(explicit(reader)?)?))
    })
}

/// The content of `[0] EXPLICIT`.
fn explicit<'a>(reader: &mut SliceReader<'a>) -> Result<&'a [u8], PfxError> {
    let value = AnyRef::decode(reader)?;
    match value.tag() {
        Tag::ContextSpecific {
            constructed: true,
            number: TagNumber(0),
        } => Ok(value.value()),
        _ => Err(damaged()),
    }
}

fn octets(value: AnyRef<'_>) -> Result<&[u8], PfxError> {
    match value.tag() {
        Tag::OctetString => Ok(value.value()),
        _ => Err(damaged()),
    }
}

fn skip_rest(reader: &mut SliceReader<'_>) -> Result<(), PfxError> {
    while !reader.is_finished() {
        AnyRef::decode(reader)?;
    }
    Ok(())
}

fn damaged() -> PfxError {
    PfxError::Unsound("a part of it is of the wrong kind".into())
}

#[cfg(test)]
mod tests {
    use pkcs8::der::Encode;

    use super::*;

    const SEQUENCE: u8 = 0x30;
    const EXPLICIT: u8 = 0xa0;

    /// A value of these parts, which are short together.
    fn value(tag: u8, parts: &[Vec<u8>]) -> Vec<u8> {
        let content = parts.concat();
        [vec![tag, u8::try_from(content.len()).unwrap()], content].concat()
    }

    fn bag(kind: ObjectIdentifier, content: Vec<u8>) -> Vec<u8> {
        let kind = kind.to_der().unwrap();
        value(SEQUENCE, &[kind, value(EXPLICIT, &[content])])
    }

    fn certificate_bag(kind: ObjectIdentifier) -> Vec<u8> {
        bag(CERTIFICATE_BAG, bag(kind, b"\x04\x02ab".to_vec()))
    }

    #[test]
    fn bags_within_bags_are_found_and_other_kinds_passed_over() {
        let revocation_list = bag(oid("1.2.840.113549.1.12.10.1.4"), b"\x05\0".to_vec());
        let sdsi_certificate = certificate_bag(oid("1.2.840.113549.1.9.22.2"));
        let inner = value(
            SEQUENCE,
            &[certificate_bag(X509_CERTIFICATE), revocation_list],
        );
        let contents = [bag(SAFE_CONTENTS_BAG, inner), sdsi_certificate];
        let der = value(SEQUENCE, &contents);
        let bags = bags(&der).unwrap();
        assert!(
            matches!(bags.as_slice(), [Bag::Certificate(b"ab")]),
            "{bags:?}"
        );
    }

    #[test]
    fn a_part_of_the_wrong_kind_is_unsound() {
        for der in [
            // Version 1, and a MAC that is none.
            &b"\x30\x03\x02\x01\x01"[..],
            b"\x30\x05\x02\x01\x03\x04\0",
            // `ContentInfo` without what it names.
            b"\x30\x10\x02\x01\x03\x30\x0b\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01",
        ] {
            let read = pfx(der);
            assert!(matches!(read, Err(PfxError::Unsound(_))), "{read:?}");
        }
    }
}
