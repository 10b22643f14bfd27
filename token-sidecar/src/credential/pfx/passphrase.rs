//! The password of a PFX in the encodings that are hashed, and PKCS#12's own key derivation (RFC 7292
//! §B).

use aws_lc_rs::digest;
use zeroize::Zeroizing;

/// A password in its encodings. Two passwords mean "no password": the empty one, which OpenSSL and Java
/// write, and the null one, which .NET, Windows and Key Vault write. For PBES2 they are the same.
pub(super) struct Passphrase {
    /// As PBES2 hashes it: UTF-8, which is what OpenSSL, .NET, Java and NSS agree on.
    utf8: Zeroizing<Vec<u8>>,
    /// As PKCS#12's own derivation hashes it: UTF-16 in big-endian order with two zero bytes at
    /// the end (RFC 7292 §B.1 says BMPString, which has no characters beyond U+FFFF; OpenSSL, .NET,
    /// Java and NSS write surrogates for them). The null password is no bytes at all.
    utf16: Zeroizing<Vec<u8>>,
}

impl Passphrase {
    /// The password with this text.
    pub(super) fn of(text: &str) -> Self {
        let mut utf16 = Zeroizing::new(Vec::with_capacity(2 * text.len() + 2));
        for unit in text.encode_utf16().chain([0]) {
            utf16.extend_from_slice(&unit.to_be_bytes());
        }
        Self {
            utf8: Zeroizing::new(text.as_bytes().to_vec()),
            utf16,
        }
    }

    /// The empty password.
    pub(super) fn empty() -> Self {
        Self::of("")
    }

    /// The null password.
    pub(super) fn null() -> Self {
        Self {
            utf8: Zeroizing::default(),
            utf16: Zeroizing::default(),
        }
    }

    /// The bytes that PBES2 hashes.
    pub(super) fn utf8(&self) -> &[u8] {
        &self.utf8
    }

    /// Derives `length` bytes for a purpose with `rounds` rounds of a hash (RFC 7292 §B.2; the comments
    /// use its names).
    pub(super) fn derive(
        &self,
        purpose: Purpose,
        hash: &'static digest::Algorithm,
        salt: &[u8],
        rounds: u32,
        length: usize,
    ) -> Zeroizing<Vec<u8>> {
        let block = hash.block_len();
        // D, and I = S || P.
        let diversifier = vec![purpose as u8; block];
        let mut input = Zeroizing::new(repeated(salt, block));
        input.extend_from_slice(&Zeroizing::new(repeated(&self.utf16, block)));
        let mut derived = Zeroizing::new(Vec::with_capacity(length + hash.output_len()));
        loop {
            let mut context = digest::Context::new(hash);
            context.update(&diversifier);
            context.update(&input);
            let mut a = context.finish();
            for _ in 1..rounds {
                a = digest::digest(hash, a.as_ref());
            }
            derived.extend_from_slice(a.as_ref());
            if derived.len() >= length {
                derived.truncate(length);
                return derived;
            }
            // I_j = (I_j + B + 1) mod 2^v, where B is as much of A, A, … as a block takes.
            for part in input.chunks_exact_mut(block) {
                let mut carry = 1;
                for (index, byte) in part.iter_mut().enumerate().rev() {
                    let b = a.as_ref()[index % hash.output_len()];
                    let sum = u16::from(*byte) + u16::from(b) + carry;
                    *byte = sum as u8;
                    carry = sum >> 8;
                }
            }
        }
    }
}

/// The ID byte of a derivation: RFC 7292 §B.3.
#[derive(Debug, Clone, Copy)]
pub(super) enum Purpose {
    Key = 1,
    InitialVector = 2,
    Mac = 3,
}

/// Repeats the bytes until they fill whole blocks. No bytes stay no bytes.
fn repeated(bytes: &[u8], block: usize) -> Vec<u8> {
    let length = bytes.len().next_multiple_of(block);
    bytes.iter().copied().cycle().take(length).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_empty_password_is_two_zero_bytes_and_the_null_one_none() {
        assert_eq!(*Passphrase::empty().utf16, [0, 0]);
        assert!(Passphrase::null().utf16.is_empty());
        assert_eq!(*Passphrase::of("ä🦆").utf16, b"\0\xe4\xd8\x3e\xdd\x86\0\0");
        assert_eq!(Passphrase::of("ä🦆").utf8(), "ä🦆".as_bytes());
    }
}
