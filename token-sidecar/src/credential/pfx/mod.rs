//! PFX files (PKCS#12, RFC 7292): with and without a password, a MAC and encryption, as OpenSSL,
//! .NET, Windows, Key Vault, Java, Bouncy Castle and NSS write them.
//!
//! [`structure`] knows the parts, [`ber`] the forms in which they are written, [`passphrase`] and
//! [`decryption`] what is made of the password.

mod ber;
mod decryption;
mod passphrase;
mod structure;

use aws_lc_rs::signature::RsaKeyPair;
use pkcs8::der::{self, Decode};
use pkcs8::{ObjectIdentifier, PrivateKeyInfoRef};
use zeroize::Zeroizing;

use crate::credential::certificate::Certificate;
use crate::credential::key;
use crate::credential::password::Password;
use crate::credential::work::{Budget, TooMuchWork};
use crate::file::FileName;
use crate::settings::config_error::ConfigError;
use passphrase::Passphrase;
use structure::{Bag, Encrypted, Safe};

/// Why a PFX cannot be opened.
#[derive(Debug)]
enum Flaw {
    /// It is none, or damaged.
    Unsound(String),
    /// The algorithm of a part (the first) is unknown here.
    Unsupported(&'static str, ObjectIdentifier),
    /// The password does not fit.
    Password,
    /// It wants too much work.
    TooMuchWork,
}

impl From<der::Error> for Flaw {
    fn from(error: der::Error) -> Self {
        Self::Unsound(error.to_string())
    }
}

impl From<TooMuchWork> for Flaw {
    fn from(_: TooMuchWork) -> Self {
        Self::TooMuchWork
    }
}

/// The private key and the certificates of a file.
pub(super) fn open(
    content: &[u8],
    password: Option<&Password>,
    file: &FileName,
) -> Result<(RsaKeyPair, Vec<Certificate>), ConfigError> {
    let mut budget = Budget::default();
    let contents = match password {
        Some(password) => {
            let given = [Passphrase::of(password.expose())];
            match read(content, &given, &mut budget) {
                Err(Flaw::Password) if read(content, &none(), &mut budget).is_ok() => {
                    return Err(password.needless(file));
                }
                read => read,
            }
        }
        None => read(content, &none(), &mut budget),
    };
    let contents = contents.map_err(|flaw| refused(flaw, password, file))?;
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

/// What is tried where no password is given. PBES2 takes both for the same.
fn none() -> [Passphrase; 2] {
    [Passphrase::empty(), Passphrase::null()]
}

/// What a PFX holds.
#[derive(Default)]
struct Contents {
    /// In PKCS#8.
    keys: Vec<Zeroizing<Vec<u8>>>,
    /// In X.509.
    certificates: Vec<Vec<u8>>,
}

/// Reads a PFX with the first of the passwords that fits. Each part is tried with each, because
/// some writers take the empty password for the MAC and the null one for the encryption.
fn read(content: &[u8], passphrases: &[Passphrase], budget: &mut Budget) -> Result<Contents, Flaw> {
    let der = to_der(content)?;
    let pfx = structure::pfx(&der)?;
    if let Some(mac) = &pfx.mac {
        let mut fits = false;
        for passphrase in passphrases {
            fits = fits || decryption::verify(mac, pfx.content, passphrase, budget)?;
        }
        if !fits {
            return Err(Flaw::Password);
        }
    }
    let mut contents = Contents::default();
    let safes = to_der(pfx.content)?;
    let read = structure::safes(&safes)?
        .iter()
        .try_for_each(|safe| match safe {
            Safe::Plain(bags) => contents.add(bags, passphrases, budget),
            Safe::Encrypted(encrypted) => first(encrypted, passphrases, budget, |bags, budget| {
                let mut decrypted = Contents::default();
                decrypted.add(bags, passphrases, budget)?;
                contents.keys.append(&mut decrypted.keys);
                contents.certificates.append(&mut decrypted.certificates);
                Ok(())
            }),
        });
    match read {
        Err(Flaw::Password) if pfx.mac.is_some() => Err(Flaw::Unsound(
            "the password fits its MAC, but not what it encrypts".into(),
        )),
        Err(flaw) => Err(flaw),
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
    ) -> Result<(), Flaw> {
        let bags = to_der(bags)?;
        for bag in structure::bags(&bags)? {
            match bag {
                Bag::Key(key) => self.keys.push(Zeroizing::new(key.to_vec())),
                Bag::ShroudedKey(encrypted) => {
                    first(&encrypted, passphrases, budget, |key, _| {
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

/// Decrypts with the first of the passwords that fits, and takes what comes out. One that does not
/// fit may give bytes, but they cannot be taken.
fn first(
    encrypted: &Encrypted<'_>,
    passphrases: &[Passphrase],
    budget: &mut Budget,
    mut take: impl FnMut(&[u8], &mut Budget) -> Result<(), Flaw>,
) -> Result<(), Flaw> {
    for passphrase in passphrases {
        let plain = match decryption::decrypt(encrypted, passphrase, budget) {
            Err(Flaw::Password) => continue,
            decrypted => decrypted?,
        };
        match take(&plain, budget) {
            Err(Flaw::Password | Flaw::Unsound(_)) => {}
            taken => return taken,
        }
    }
    Err(Flaw::Password)
}

fn to_der(content: &[u8]) -> Result<Zeroizing<Vec<u8>>, Flaw> {
    match ber::to_der(content) {
        Some(der) => Ok(Zeroizing::new(der)),
        None => Err(Flaw::Unsound("it is cut off, or damaged".into())),
    }
}

fn refused(flaw: Flaw, password: Option<&Password>, file: &FileName) -> ConfigError {
    match (flaw, password) {
        (Flaw::Password, Some(password)) => password.wrong(file),
        (Flaw::Password, None) => key::no_password(file),
        (Flaw::TooMuchWork, _) => TooMuchWork.config_error(file),
        (Flaw::Unsupported(what, oid), _) => file.config_error(
            format!("is a PFX whose {what} ({oid}) is not supported"),
            "Export it again with AES-256 and SHA-256, as OpenSSL 3 does by default.",
        ),
        (Flaw::Unsound(why), _) => file.config_error(
            format!("is neither PEM nor a sound PFX: {why}"),
            "Copy the file again, or convert it to PEM with `openssl pkcs12 -noenc`.",
        ),
    }
}
