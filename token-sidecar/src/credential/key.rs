//! Private keys: RSA of 2048 bits and more, because Entra accepts nothing else for PS256 and RS256.

use aws_lc_rs::signature::RsaKeyPair;
use entra_auth_settings_input::ConfigError;
use pkcs8::{EncryptedPrivateKeyInfoRef, ObjectIdentifier, PrivateKeyInfoRef};

use crate::credential::password::Password;
use crate::credential::work::Budget;
use crate::file::NamedFile;
use crate::variables::PASSWORD;

/// `rsaEncryption` (RFC 8017 §A.1).
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

const USE_RSA: &str =
    "Issue the certificate with an RSA key of 2048 bits or more; Entra takes nothing else.";
const CONVERT: &str = "Convert the key with `openssl pkcs8 -topk8 -v2 aes256`, or export it again.";

/// A key in PKCS#8 (RFC 5208).
pub(super) fn from_pkcs8(der: &[u8], file: &NamedFile) -> Result<RsaKeyPair, ConfigError> {
    let info = PrivateKeyInfoRef::try_from(der).map_err(|_| damaged(file))?;
    if info.algorithm.oid != RSA {
        return Err(not_rsa(file));
    }
    RsaKeyPair::from_pkcs8(der).map_err(|error| rejected(file, &error.to_string()))
}

/// A key in PKCS#1 (RFC 8017 §A.1.2).
pub(super) fn from_pkcs1(der: &[u8], file: &NamedFile) -> Result<RsaKeyPair, ConfigError> {
    RsaKeyPair::from_der(der).map_err(|error| rejected(file, &error.to_string()))
}

/// A key in encrypted PKCS#8: PBES2 (RFC 8018 §6.2) with AES or 3DES.
pub(super) fn from_encrypted_pkcs8(
    der: &[u8],
    password: Option<&Password>,
    file: &NamedFile,
) -> Result<RsaKeyPair, ConfigError> {
    let encrypted = EncryptedPrivateKeyInfoRef::try_from(der).map_err(|_| damaged(file))?;
    let Some(password) = password else {
        return Err(no_password(file));
    };
    if let Some(encryption) = encrypted.encryption_algorithm.pbes2() {
        let spent = Budget::default().spend_for(encryption);
        spent.map_err(|refused| refused.config_error(file))?;
    }
    let document = encrypted.decrypt(password.expose()).map_err(|error| {
        use pkcs8::{Error, pkcs5};
        match error {
            // With a wrong password the padding may look right; what comes out is no key then.
            Error::EncryptedPrivateKey(pkcs5::Error::DecryptFailed) | Error::Asn1(_) => {
                password.wrong(file)
            }
            other => file.config_error(
                format!("holds a private key encrypted in a way that is not supported: {other}"),
                CONVERT,
            ),
        }
    })?;
    from_pkcs8(document.as_bytes(), file)
}

/// The error of a key of another kind than RSA.
pub(super) fn not_rsa(file: &NamedFile) -> ConfigError {
    file.config_error(
        "holds a private key of another kind than RSA (EC, for example)",
        USE_RSA,
    )
}

/// The error of a PKCS#1 key in OpenSSL's old encryption (`Proc-Type: 4,ENCRYPTED`). It is weak: one
/// round of MD5 derives the key from the password.
pub(super) fn old_encryption(file: &NamedFile) -> ConfigError {
    file.config_error(
        "holds a private key in the old encryption of OpenSSL (Proc-Type)",
        CONVERT,
    )
}

/// The error of a key or a PFX that needs a password where none is set.
pub(super) fn no_password(file: &NamedFile) -> ConfigError {
    file.config_error(
        "is encrypted, and no password is given",
        format!("Set {PASSWORD} to a file that holds its password."),
    )
}

fn damaged(file: &NamedFile) -> ConfigError {
    file.config_error(
        "holds a damaged private key",
        "Copy the file again, or export the key anew.",
    )
}

/// The error of a key that aws-lc-rs rejects; `why` is its reason.
fn rejected(file: &NamedFile, why: &str) -> ConfigError {
    match why {
        "TooSmall" => file.config_error("holds an RSA key of less than 2048 bits", USE_RSA),
        "TooLarge" => file.config_error(
            "holds an RSA key of more than 8192 bits",
            "Issue the certificate with an RSA key of 2048, 3072 or 4096 bits.",
        ),
        _ => damaged(file),
    }
}
