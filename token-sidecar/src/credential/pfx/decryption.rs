//! Decryption of the parts of a PFX, and verification of its MAC.

use aws_lc_rs::{digest, hmac};
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockCipherDecrypt, BlockModeDecrypt, KeyInit, KeyIvInit};
use des::{TdesEde2, TdesEde3};
use pkcs8::ObjectIdentifier;
use pkcs8::der::Decode;
use pkcs8::der::asn1::AnyRef;
use pkcs8::pkcs5::{self, pbes2};
use rc2::Rc2;
use zeroize::Zeroizing;

use super::error::PfxError;
use super::passphrase::{Passphrase, Purpose};
use super::structure::{Encrypted, Mac};
use crate::credential::work::Budget;

const fn oid(text: &str) -> ObjectIdentifier {
    ObjectIdentifier::new_unwrap(text)
}

/// Hashes of the MAC (RFC 3279 §2.2.1, RFC 5754 §2).
const SHA_1: ObjectIdentifier = oid("1.3.14.3.2.26");
const SHA_224: ObjectIdentifier = oid("2.16.840.1.101.3.4.2.4");
const SHA_256: ObjectIdentifier = oid("2.16.840.1.101.3.4.2.1");
const SHA_384: ObjectIdentifier = oid("2.16.840.1.101.3.4.2.2");
const SHA_512: ObjectIdentifier = oid("2.16.840.1.101.3.4.2.3");
/// RFC 8018 §A.4.
const PBES2: ObjectIdentifier = oid("1.2.840.113549.1.5.13");
/// The encryptions of PKCS#12 itself (RFC 7292 §C), all of which hash with SHA-1: with 3DES of three
/// keys and of two, and with RC2 of 128 bits and of 40.
const TRIPLE_DES: ObjectIdentifier = oid("1.2.840.113549.1.12.1.3");
const DOUBLE_DES: ObjectIdentifier = oid("1.2.840.113549.1.12.1.4");
const RC2_128: ObjectIdentifier = oid("1.2.840.113549.1.12.1.5");
const RC2_40: ObjectIdentifier = oid("1.2.840.113549.1.12.1.6");

/// Whether the MAC belongs to this content and this password.
pub(super) fn verify(
    mac: &Mac<'_>,
    content: &[u8],
    passphrase: &Passphrase,
    budget: &mut Budget,
) -> Result<bool, PfxError> {
    let (hash, algorithm) = match mac.algorithm {
        SHA_1 => (
            &digest::SHA1_FOR_LEGACY_USE_ONLY,
            hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        ),
        SHA_224 => (&digest::SHA224, hmac::HMAC_SHA224),
        SHA_256 => (&digest::SHA256, hmac::HMAC_SHA256),
        SHA_384 => (&digest::SHA384, hmac::HMAC_SHA384),
        SHA_512 => (&digest::SHA512, hmac::HMAC_SHA512),
        _ => return Err(PfxError::Unsupported("MAC", mac.algorithm)),
    };
    let rounds = at_least_one(mac.rounds)?;
    budget.spend(rounds.into())?;
    let length = hash.output_len();
    let key = passphrase.derive(Purpose::Mac, hash, mac.salt, rounds, length);
    let key = hmac::Key::new(algorithm, &key);
    Ok(hmac::verify(&key, content, mac.digest).is_ok())
}

/// Decrypts a part. A wrong password gives [`PfxError::Password`], except that about once in 256 times
/// the padding looks right and the result is meaningless.
pub(super) fn decrypt(
    encrypted: &Encrypted<'_>,
    passphrase: &Passphrase,
    budget: &mut Budget,
) -> Result<Zeroizing<Vec<u8>>, PfxError> {
    let algorithm = &encrypted.algorithm;
    let Some(parameters) = algorithm.parameters else {
        return Err(PfxError::Unsound("an encryption has no parameters".into()));
    };
    let decrypt = match algorithm.oid {
        PBES2 => decrypt_pbes2,
        TRIPLE_DES => decrypt_pkcs12::<TdesEde3, 24>,
        DOUBLE_DES => decrypt_pkcs12::<TdesEde2, 16>,
        RC2_128 => decrypt_pkcs12::<Rc2, 16>,
        RC2_40 => decrypt_pkcs12::<Rc2, 5>,
        other => return Err(PfxError::Unsupported("encryption", other)),
    };
    decrypt(parameters, passphrase, &encrypted.data, budget).map(Zeroizing::new)
}

/// RFC 8018 §6.2 with AES or 3DES.
fn decrypt_pbes2(
    parameters: AnyRef<'_>,
    passphrase: &Passphrase,
    data: &[u8],
    budget: &mut Budget,
) -> Result<Vec<u8>, PfxError> {
    let unsupported = |oid| PfxError::Unsupported("encryption", oid);
    let parameters = pbes2::Parameters::try_from(parameters).map_err(|_| unsupported(PBES2))?;
    budget.spend_for(&parameters)?;
    parameters
        .decrypt(passphrase.utf8(), data)
        .map_err(|error| match error {
            pkcs5::Error::DecryptFailed => PfxError::Password,
            pkcs5::Error::UnsupportedAlgorithm { oid } => unsupported(oid),
            _ => unsupported(PBES2),
        })
}

/// RFC 7292 §C with a cipher of 64-bit blocks and a key of so many bytes.
fn decrypt_pkcs12<C: KeyInit + BlockCipherDecrypt, const KEY: usize>(
    parameters: AnyRef<'_>,
    passphrase: &Passphrase,
    data: &[u8],
    budget: &mut Budget,
) -> Result<Vec<u8>, PfxError> {
    const BLOCK: usize = 8;
    let (salt, rounds) = parameters.sequence(|reader| {
        let salt = AnyRef::decode(reader)?;
        Ok::<_, PfxError>((salt.value(), u32::decode(reader)?))
    })?;
    let rounds = at_least_one(rounds)?;
    // The key and the initialization vector are derived separately.
    budget.spend(u64::from(rounds) * 2)?;
    let derive = |purpose, length| {
        let hash = &digest::SHA1_FOR_LEGACY_USE_ONLY;
        passphrase.derive(purpose, hash, salt, rounds, length)
    };
    let key = derive(Purpose::Key, KEY);
    let initial_vector = derive(Purpose::InitialVector, BLOCK);
    cbc::Decryptor::<C>::new_from_slices(&key, &initial_vector)
        .ok()
        .and_then(|cipher| cipher.decrypt_padded_vec::<Pkcs7>(data).ok())
        .ok_or(PfxError::Password)
}

/// Refuses a derivation of zero rounds.
fn at_least_one(rounds: u32) -> Result<u32, PfxError> {
    match rounds {
        0 => Err(PfxError::Unsound("it hashes its password 0 times".into())),
        rounds => Ok(rounds),
    }
}
