//! PFX files (PKCS#12, RFC 7292): with and without a password, a MAC and encryption, as OpenSSL,
//! .NET, Windows, Key Vault, Java, Bouncy Castle and NSS write them.
//!
//! [`ber`] rewrites the encoding, [`structure`] parses the parts, [`passphrase`] derives keys from the
//! password, and [`decryption`] uses them.

mod ber;
mod decryption;
mod error;
mod passphrase;
mod structure;

use aws_lc_rs::signature::RsaKeyPair;
use entra_auth_settings_input::ConfigError;
use pkcs8::PrivateKeyInfoRef;
use pkcs8::der::Decode;
use zeroize::Zeroizing;

use crate::credential::certificate::Certificate;
use crate::credential::key;
use crate::credential::password::Password;
use crate::credential::work::{Budget, TooMuchWork};
use crate::file::NamedFile;
use error::PfxError;
use passphrase::Passphrase;
use structure::{Bag, Encrypted, Safe};

/// The private key and the certificates of a file.
pub(super) fn open(
    content: &[u8],
    password: Option<&Password>,
    file: &NamedFile,
) -> Result<(RsaKeyPair, Vec<Certificate>), ConfigError> {
    let mut budget = Budget::default();
    let contents = match password {
        Some(password) => {
            let given = [Passphrase::of(password.expose())];
            match read(content, &given, &mut budget) {
                Err(PfxError::Password) if read(content, &no_password(), &mut budget).is_ok() => {
                    return Err(password.not_needed(file));
                }
                read => read,
            }
        }
        None => read(content, &no_password(), &mut budget),
    };
    let contents = contents.map_err(|error| refused(error, password, file))?;
    let key = match contents.keys.as_slice() {
        [key] => key::from_pkcs8(key, file)?,
        [] => {
            return Err(file.config_error(
                "is a PFX without a private key",
                "Export the certificate with its private key.",
            ));
        }
        keys => {
            return Err(file.config_error(
                format!("is a PFX with {} private keys", keys.len()),
                "Export the certificate alone.",
            ));
        }
    };
    if contents.certificates.is_empty() {
        return Err(file.config_error(
            "is a PFX without a certificate",
            "Export the private key with its certificate.",
        ));
    }
    let certificates = contents
        .certificates
        .iter()
        .map(|der| Certificate::read(der, file))
        .collect::<Result<_, _>>()?;
    Ok((key, certificates))
}

/// The passwords that are tried where none is set. For PBES2 they are the same.
fn no_password() -> [Passphrase; 2] {
    [Passphrase::empty(), Passphrase::null()]
}

/// The keys and certificates of a PFX.
#[derive(Default)]
struct Contents {
    /// Private keys in PKCS#8.
    keys: Vec<Zeroizing<Vec<u8>>>,
    /// Certificates in X.509.
    certificates: Vec<Vec<u8>>,
}

/// Reads a PFX. Each part is tried with each password, because some writers use the empty password for
/// the MAC and the null password for the encryption.
fn read(
    content: &[u8],
    passphrases: &[Passphrase],
    budget: &mut Budget,
) -> Result<Contents, PfxError> {
    let der = to_der(content)?;
    let pfx = structure::pfx(&der)?;
    if let Some(mac) = &pfx.mac {
        let mut fits = false;
        for passphrase in passphrases {
            fits = fits || decryption::verify(mac, pfx.content, passphrase, budget)?;
        }
        if !fits {
            return Err(PfxError::Password);
        }
    }
    let mut contents = Contents::default();
    let safes = to_der(pfx.content)?;
    let read = structure::safes(&safes)?
        .iter()
        .try_for_each(|safe| match safe {
            Safe::Plain(bags) => contents.add(bags, passphrases, budget),
            Safe::Encrypted(encrypted) => {
                decrypt_with_first(encrypted, passphrases, budget, |bags, budget| {
                    let mut decrypted = Contents::default();
                    decrypted.add(bags, passphrases, budget)?;
                    contents.keys.append(&mut decrypted.keys);
                    contents.certificates.append(&mut decrypted.certificates);
                    Ok(())
                })
            }
        });
    match read {
        Err(PfxError::Password) if pfx.mac.is_some() => Err(PfxError::Unsound(
            "the password fits its MAC, but not what it encrypts".into(),
        )),
        Err(error) => Err(error),
        Ok(()) => Ok(contents),
    }
}

impl Contents {
    /// Adds the keys and certificates of `SafeContents`.
    fn add(
        &mut self,
        bags: &[u8],
        passphrases: &[Passphrase],
        budget: &mut Budget,
    ) -> Result<(), PfxError> {
        let bags = to_der(bags)?;
        for bag in structure::bags(&bags)? {
            match bag {
                Bag::Key(key) => self.keys.push(Zeroizing::new(key.to_vec())),
                Bag::ShroudedKey(encrypted) => {
                    decrypt_with_first(&encrypted, passphrases, budget, |key, _| {
                        let key = to_der(key)?;
                        PrivateKeyInfoRef::from_der(&key)?;
                        self.keys.push(key);
                        Ok(())
                    })?;
                }
                Bag::Certificate(certificate) => self.certificates.push(certificate.to_vec()),
            }
        }
        Ok(())
    }
}

/// Decrypts with the first password that is right, and passes the result to `take`. With a wrong
/// password the decryption may succeed by chance; `take` then refuses the result.
fn decrypt_with_first(
    encrypted: &Encrypted<'_>,
    passphrases: &[Passphrase],
    budget: &mut Budget,
    mut take: impl FnMut(&[u8], &mut Budget) -> Result<(), PfxError>,
) -> Result<(), PfxError> {
    for passphrase in passphrases {
        let plain = match decryption::decrypt(encrypted, passphrase, budget) {
            Err(PfxError::Password) => continue,
            decrypted => decrypted?,
        };
        match take(&plain, budget) {
            Err(PfxError::Password | PfxError::Unsound(_)) => {}
            taken => return taken,
        }
    }
    Err(PfxError::Password)
}

fn to_der(content: &[u8]) -> Result<Zeroizing<Vec<u8>>, PfxError> {
    match ber::to_der(content) {
        Some(der) => Ok(Zeroizing::new(der)),
        None => Err(PfxError::Unsound("it is cut off, or damaged".into())),
    }
}

fn refused(error: PfxError, password: Option<&Password>, file: &NamedFile) -> ConfigError {
    match (error, password) {
        (PfxError::Password, Some(password)) => password.wrong(file),
        (PfxError::Password, None) => key::no_password(file),
        (PfxError::TooMuchWork, _) => TooMuchWork.config_error(file),
        (PfxError::Unsupported(what, oid), _) => file.config_error(
            format!("is a PFX whose {what} ({oid}) is not supported"),
            "Export it again with AES-256 and SHA-256, as OpenSSL 3 does by default.",
        ),
        (PfxError::Unsound(why), _) => file.config_error(
            format!("is neither PEM nor a sound PFX: {why}"),
            "Copy the file again, or convert it to PEM with `openssl pkcs12 -noenc`.",
        ),
    }
}
