//! PFX files (PKCS#12, RFC 7292), with and without a password, of OpenSSL 3 and of its legacy
//! algorithms.

use aws_lc_rs::signature::RsaKeyPair;
use p12_keystore::{Pkcs12Archive, error::Error};

use crate::credential::certificate::Certificate;
use crate::credential::key;
use crate::credential::password::Password;
use crate::credential::work;
use crate::file::FileName;
use crate::settings::mistake::Mistake;

/// The private key and the certificates of a file.
pub(super) fn open(
    content: &[u8],
    password: Option<&Password>,
    file: &FileName,
) -> Result<(RsaKeyPair, Vec<Certificate>), Mistake> {
    work::check(content, file)?;
    let archive = Pkcs12Archive::from_pkcs12(content, password.map_or("", Password::expose))
        .map_err(|error| refused(&error, password, file))?;
    let certificates: Vec<Certificate> = archive
        .certs
        .iter()
        .filter_map(|bag| Certificate::parse(bag.cert.as_der()))
        .collect();
    let key = match archive.keys.as_slice() {
        [bag] => key::from_pkcs8(bag.key.as_der(), file)?,
        [] => {
            return Err(file.mistake(
                "is a PFX without a private key",
                "Export the certificate with its private key.",
            ));
        }
        keys => {
            return Err(file.mistake(
                format!("is a PFX with {} private keys", keys.len()),
                "Export the certificate alone.",
            ));
        }
    };
    if certificates.is_empty() {
        return Err(file.mistake(
            "is a PFX without a certificate",
            "Export the private key with its certificate.",
        ));
    }
    Ok((key, certificates))
}

fn refused(error: &Error, password: Option<&Password>, file: &FileName) -> Mistake {
    match (error, password) {
        (Error::MacError(_) | Error::UnpadError | Error::Pkcs5Error(_), Some(password)) => {
            password.wrong(file)
        }
        (Error::MacError(_) | Error::UnpadError | Error::Pkcs5Error(_), None) => {
            key::no_password(file)
        }
        (Error::UnsupportedEncryptionScheme | Error::UnsupportedMacAlgorithm, _) => file.mistake(
            "is a PFX with an encryption that is not supported",
            "Export it again with AES-256 and SHA-256, as OpenSSL 3 does by default.",
        ),
        _ => file.mistake(
            format!("is neither PEM nor a sound PFX: {error}"),
            "Copy the file again, or convert it to PEM with `openssl pkcs12 -noenc`.",
        ),
    }
}
