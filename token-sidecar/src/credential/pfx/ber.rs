//! Rewrites BER as DER (X.690). The parsers of RustCrypto read only DER, but NSS (Firefox), Bouncy
//! Castle and old Windows versions write PFX files in BER, with indefinite lengths and constructed
//! octet strings. RFC 7292 §4 allows that.

/// `OCTET STRING`, primitive and constructed (X.690 §8.7.3.2).
const OCTET_STRING: u8 = 0x04;
const CONSTRUCTED_OCTET_STRING: u8 = OCTET_STRING | CONSTRUCTED;
const CONSTRUCTED: u8 = 0x20;
/// The tag's number goes on in the following bytes (X.690 §8.1.2.4). No PFX has such a tag.
const HIGH_TAG_NUMBER: u8 = 0x1f;
const END_OF_CONTENTS: [u8; 2] = [0, 0];
/// The deepest nesting that is accepted. A PFX nests about 20 levels.
const MAX_DEPTH: usize = 40;

/// Rewrites lengths and octet strings of a value as DER; `None` if the input is not exactly one value
/// in BER. The content of octet strings stays as it is, so that a certificate keeps its signed bytes.
pub(super) fn to_der(ber: &[u8]) -> Option<Vec<u8>> {
    let mut rest = ber;
    let mut der = Vec::with_capacity(ber.len());
    convert(&mut rest, &mut der, 0)?;
    rest.is_empty().then_some(der)
}

/// Takes one value off the input and appends it to the output.
fn convert(input: &mut &[u8], der: &mut Vec<u8>, depth: usize) -> Option<()> {
    let (tag, length) = header(input)?;
    if tag & CONSTRUCTED == 0 {
        append(der, tag, take(input, length?)?);
        return Some(());
    }
    if depth == MAX_DEPTH {
        return None;
    }
    let mut content = Vec::new();
    match length {
        Some(length) => {
            let mut parts = take(input, length)?;
            while !parts.is_empty() {
                convert(&mut parts, &mut content, depth + 1)?;
            }
        }
        None => {
            while !input.starts_with(&END_OF_CONTENTS) {
                convert(input, &mut content, depth + 1)?;
            }
            take(input, END_OF_CONTENTS.len())?;
        }
    }
    if tag == CONSTRUCTED_OCTET_STRING {
        append(der, OCTET_STRING, &joined(&content)?);
    } else {
        append(der, tag, &content);
    }
    Some(())
}

/// The octets of a constructed octet string, whose parts are primitive octet strings in DER.
pub(super) fn joined(mut pieces: &[u8]) -> Option<Vec<u8>> {
    let mut octets = Vec::with_capacity(pieces.len());
    while !pieces.is_empty() {
        let (tag, length) = header(&mut pieces)?;
        if tag != OCTET_STRING {
            return None;
        }
        octets.extend_from_slice(take(&mut pieces, length?)?);
    }
    Some(octets)
}

/// A tag, and its length or `None` for an indefinite length.
fn header(input: &mut &[u8]) -> Option<(u8, Option<usize>)> {
    let &[tag, first] = take(input, 2)? else {
        return None;
    };
    // Tag 0 marks the end of contents and is valid nowhere else.
    if tag & HIGH_TAG_NUMBER == HIGH_TAG_NUMBER || tag == 0 {
        return None;
    }
    let length = match first {
        0..0x80 => first.into(),
        0x80 if tag & CONSTRUCTED != 0 => return Some((tag, None)),
        _ => {
            let bytes = take(input, usize::from(first & 0x7f))?;
            let significant = bytes.iter().skip_while(|byte| **byte == 0);
            // A file has at most 1 MiB.
            if bytes.is_empty() || significant.clone().count() > 3 {
                return None;
            }
            significant.fold(0, |length, byte| length << 8 | usize::from(*byte))
        }
    };
    Some((tag, Some(length)))
}

fn take<'a>(input: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, rest) = input.split_at_checked(length)?;
    *input = rest;
    Some(taken)
}

/// X.690 §10.1: the shortest form of the length.
fn append(der: &mut Vec<u8>, tag: u8, content: &[u8]) {
    der.push(tag);
    let bytes = content.len().to_be_bytes();
    let significant = match bytes.iter().position(|byte| *byte != 0) {
        Some(zeros) => &bytes[zeros..],
        None => &[0],
    };
    match significant {
        [short @ 0..0x80] => der.push(*short),
        long => {
            // At most the 8 bytes of a `usize`.
            der.push(0x80 | long.len() as u8);
            der.extend_from_slice(long);
        }
    }
    der.extend_from_slice(content);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Examples by hand.
    #[test]
    fn indefinite_lengths_long_forms_and_strings_in_pieces_become_der() {
        for (ber, der) in [
            // DER stays as it is.
            (&b"\x30\x03\x02\x01\x03"[..], &b"\x30\x03\x02\x01\x03"[..]),
            (b"\x30\x80\x02\x01\x03\0\0", b"\x30\x03\x02\x01\x03"),
            (b"\xa0\x80\x30\x80\0\0\0\0", b"\xa0\x02\x30\x00"),
            (
                b"\x30\x84\0\0\0\x04\x02\x81\x01\x03",
                b"\x30\x03\x02\x01\x03",
            ),
            // An octet string in pieces, of which one is in pieces itself.
            (
                b"\x24\x80\x04\x02ab\x24\x05\x04\x01c\x04\0\0\0",
                b"\x04\x03abc",
            ),
            (b"\x24\x80\0\0", b"\x04\x00"),
            // What an octet string holds is not looked at.
            (b"\x04\x04\x30\x80\0\0", b"\x04\x04\x30\x80\0\0"),
        ] {
            assert_eq!(to_der(ber).as_deref(), Some(der), "{ber:x?}");
        }
    }

    #[test]
    fn lengths_are_as_short_as_they_can_be() {
        for (length, header) in [
            (0, &b"\x04\x00"[..]),
            (0x7f, b"\x04\x7f"),
            (0x80, b"\x04\x81\x80"),
            (0xff, b"\x04\x81\xff"),
            (0x100, b"\x04\x82\x01\x00"),
            (0x10000, b"\x04\x83\x01\x00\x00"),
        ] {
            let content = vec![7; length];
            let mut der = Vec::new();
            append(&mut der, OCTET_STRING, &content);
            assert_eq!(der, [header, &content].concat());
            assert_eq!(to_der(&der), Some(der));
        }
    }

    #[test]
    fn what_is_not_one_value_is_refused() {
        let deep = [b"\x30\x80".repeat(5000), b"\0\0".repeat(5000)].concat();
        for ber in [
            &b""[..],
            b"\x30",
            b"\x30\x80",
            b"\x30\x80\0",
            b"\x30\x02\x02\x01",
            b"\x30\x01\x02\x01\x03",
            // Something follows.
            b"\x30\x00\x30\x00",
            b"\x30\x80\0\0\0\0",
            // Indefinite, but in no pieces.
            b"\x04\x80\0\0",
            // The end of contents where the length is definite.
            b"\x30\x02\0\0",
            // A piece of another kind.
            b"\x24\x80\x02\x01\x03\0\0",
            b"\x1f\x81\x00\x00",
            b"\x04\xff\x00",
            b"\x04\x89\xff\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\x04\x85\x01\x00\x00\x00\x00",
            &deep,
        ] {
            assert_eq!(to_der(ber), None, "{:x?}", &ber[..ber.len().min(20)]);
        }
    }
}
