//! Certificates: parsing, the certificate of a private key, and its chain.

use std::fmt;

use entra_auth_settings_input::{ConfigError, quoted};
use entra_token_core::identity::NO_END;
use jiff::Timestamp;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::file::NamedFile;

/// A parsed certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Certificate {
    /// The whole certificate.
    pub(super) der: Vec<u8>,
    /// The subject as text, as in `CN=…, O=…`.
    pub(super) subject: String,
    /// The first moment at which it is valid.
    pub(super) not_before: Timestamp,
    /// The last moment at which it is valid.
    pub(super) not_after: Expiry,
    subject_der: Vec<u8>,
    issuer_der: Vec<u8>,
    /// The content of `subjectPublicKey`: for an RSA key an `RSAPublicKey` (RFC 8017 §A.1.1).
    public_key: Vec<u8>,
    /// The subject and authority key identifiers (RFC 5280 §4.2.1.2 and §4.2.1.1).
    key_identifier: Option<Vec<u8>>,
    issuer_key_identifier: Option<Vec<u8>>,
}

/// The last moment at which a certificate is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Expiry {
    /// It expires after this moment.
    At(Timestamp),
    /// It never expires: `notAfter` is 99991231235959Z (RFC 5280 §4.1.2.5). No [`Timestamp`] is as late
    /// as that.
    Never,
}

impl Expiry {
    /// In seconds since 1970; before that 0.
    #[must_use]
    pub fn unix_seconds(self) -> u64 {
        match self {
            Self::At(moment) => u64::try_from(moment.as_second()).unwrap_or(0),
            Self::Never => NO_END,
        }
    }
}

impl fmt::Display for Expiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(moment) => moment.fmt(f),
            // As it stands in the certificate, so that it can be compared with what other tools show.
            Self::Never => f.write_str("9999-12-31T23:59:59Z"),
        }
    }
}

impl Certificate {
    /// Parses DER; `None` if it is no certificate.
    #[must_use]
    pub(super) fn parse(der: &[u8]) -> Option<Self> {
        let parsed = parse(der)?;
        let second = |time: x509_parser::time::ASN1Time| Timestamp::from_second(time.timestamp());
        let mut key_identifier = None;
        let mut issuer_key_identifier = None;
        for extension in parsed.extensions() {
            match extension.parsed_extension() {
                ParsedExtension::SubjectKeyIdentifier(identifier) => {
                    key_identifier = Some(identifier.0.to_vec());
                }
                ParsedExtension::AuthorityKeyIdentifier(identifier) => {
                    let identifier = identifier.key_identifier.as_ref();
                    issuer_key_identifier = identifier.map(|identifier| identifier.0.to_vec());
                }
                _ => {}
            }
        }
        Some(Self {
            der: der.to_vec(),
            subject: parsed.subject().to_string(),
            not_before: second(parsed.validity().not_before).ok()?,
            not_after: second(parsed.validity().not_after).map_or(Expiry::Never, Expiry::At),
            subject_der: parsed.subject().as_raw().to_vec(),
            issuer_der: parsed.issuer().as_raw().to_vec(),
            public_key: parsed.public_key().subject_public_key.data.to_vec(),
            key_identifier,
            issuer_key_identifier,
        })
    }

    /// Parses DER that a file holds.
    pub(super) fn read(der: &[u8], file: &NamedFile) -> Result<Self, ConfigError> {
        Self::parse(der).ok_or_else(|| {
            file.config_error(
                "holds a damaged certificate",
                "Copy the file again, or export the certificate anew.",
            )
        })
    }

    /// Checks whether it is valid at `now`. The error is what is wrong and the fix.
    pub(super) fn check_validity(&self, now: Timestamp) -> Result<(), (String, &'static str)> {
        let subject = quoted(&self.subject);
        if Expiry::At(now) > self.not_after {
            return Err((
                format!(
                    "holds the certificate {subject}, which expired on {}",
                    self.not_after
                ),
                "Put a renewed certificate there, and register it with the application.",
            ));
        }
        if now < self.not_before {
            return Err((
                format!(
                    "holds the certificate {subject}, which is not valid before {}",
                    self.not_before
                ),
                "Wait until then, or correct this machine's clock.",
            ));
        }
        Ok(())
    }

    /// The evidence that `issuer` issued this certificate; `None` if its subject is not this
    /// certificate's issuer.
    fn evidence_of(&self, issuer: &Self) -> Option<Evidence> {
        if self.issuer_der != issuer.subject_der {
            return None;
        }
        let is_verified = parse(&self.der)
            .zip(parse(&issuer.der))
            .is_some_and(|(this, issuer)| this.verify_signature(Some(issuer.public_key())).is_ok());
        if is_verified {
            return Some(Evidence::Signature);
        }
        Some(
            match (&self.issuer_key_identifier, &issuer.key_identifier) {
                (Some(wanted), Some(own)) if wanted == own => Evidence::KeyIdentifier,
                (Some(_), Some(_)) => Evidence::OtherKey,
                _ => Evidence::Name,
            },
        )
    }

    /// The warning where the file holds the issuer's name only with another key.
    fn lacks_issuer(&self, namesake: &Self) -> (String, &'static str) {
        (
            format!(
                "holds {} with another key than the one that signed {}, so that assertions carry \
                 the chain without the issuer (authority key identifier {})",
                quoted(&namesake.subject),
                quoted(&self.subject),
                hex(self.issuer_key_identifier.as_deref().unwrap_or_default()),
            ),
            "Add the authority's certificate with that subject key identifier.",
        )
    }

    /// Whether both have the same subject and the same key.
    fn is_of_same_entity(&self, other: &Self) -> bool {
        self.subject_der == other.subject_der && self.public_key == other.public_key
    }

    fn is_self_issued(&self) -> bool {
        self.issuer_der == self.subject_der
    }
}

/// The evidence that a certificate with the issuer's name is the issuer's, from the weakest to the
/// strongest. The name alone is weak, because an authority keeps its name when it changes its key. A
/// signature that cannot be verified is no evidence against it: aws-lc accepts no RSA key below 2048
/// bits and no PSS salt of another length than the hash's, and reports the same error as for a wrong
/// signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Evidence {
    /// Another key: the key identifiers differ.
    OtherKey,
    /// The name alone: one of the key identifiers is missing.
    Name,
    /// The key identifiers are equal.
    KeyIdentifier,
    /// The issuer's key verifies the signature.
    Signature,
}

fn parse(der: &[u8]) -> Option<X509Certificate<'_>> {
    let (rest, parsed) = X509Certificate::from_der(der).ok()?;
    rest.is_empty().then_some(parsed)
}

/// Hexadecimal as OpenSSL shows it: `9F:02:…`.
fn hex(identifier: &[u8]) -> String {
    let bytes: Vec<String> = identifier
        .iter()
        .map(|byte| format!("{byte:02X}"))
        .collect();
    bytes.join(":")
}

/// Removes the certificate of a public key from the list. Of several, as after a renewal with the same
/// key, valid ones go first, then the one that expires last.
pub(super) fn take_leaf(
    certificates: &mut Vec<Certificate>,
    public_key: &[u8],
    now: Timestamp,
) -> Option<Certificate> {
    let (leaf, _) = take_best(certificates, |certificate| {
        let is_valid = certificate.check_validity(now).is_ok();
        (certificate.public_key == public_key).then_some((is_valid, certificate.not_after))
    })?;
    Some(leaf)
}

/// More certificates than the chain of any real authority has. Ten of the usual size make an
/// assertion of about 30 kB; the filter and the launcher take a reply of at most 64 KiB.
const MAX_CHAIN: usize = 10;

/// A certificate chain.
pub(super) struct Chain {
    /// The leaf, then the issuer of each certificate before it.
    pub(super) certificates: Vec<Certificate>,
    /// Why the chain is not complete, and the fix.
    pub(super) warning: Option<(String, &'static str)>,
}

/// Builds the chain of a leaf from the other certificates: each certifies the one before it (RFC 7515
/// §4.1.6). Certificates that do not belong to the chain are left out.
///
/// Of several candidates for an issuer the one with the strongest [`Evidence`] is taken; of equal ones
/// a certificate that is valid at `now`, then one that ends the chain because it is self-issued, then
/// the one that expires last. No authority is taken twice, so that authorities that certify each other
/// make no loop.
///
/// A chain longer than [`MAX_CHAIN`] is cut, with a warning. It is no error, because Entra needs the
/// chain only for trust by subject name and issuer: an application with a registered certificate works
/// without it.
#[must_use]
pub(super) fn chain(leaf: Certificate, mut others: Vec<Certificate>, now: Timestamp) -> Chain {
    let mut certificates = vec![leaf];
    let mut warning = None;
    while let Some(last) = certificates.last()
        && !last.is_self_issued()
    {
        let issuer = take_best(&mut others, |other| {
            if certificates.iter().any(|it| it.is_of_same_entity(other)) {
                return None;
            }
            let is_valid = other.check_validity(now).is_ok();
            let evidence = last.evidence_of(other)?;
            Some((evidence, is_valid, other.is_self_issued(), other.not_after))
        });
        match issuer {
            None => break,
            Some((other, (Evidence::OtherKey, ..))) => {
                warning = Some(last.lacks_issuer(&other));
                break;
            }
            Some(_) if certificates.len() == MAX_CHAIN => {
                warning = Some((
                    format!(
                        "holds a chain of more than {MAX_CHAIN} certificates, of which \
                         assertions carry the first {MAX_CHAIN}"
                    ),
                    "Remove the authorities above the first that Entra trusts.",
                ));
                break;
            }
            Some((issuer, _)) => certificates.push(issuer),
        }
    }
    Chain {
        certificates,
        warning,
    }
}

/// Removes the certificate with the highest rank, of equal ones the first in the file. Certificates
/// without a rank do not qualify.
fn take_best<R: Ord>(
    certificates: &mut Vec<Certificate>,
    rank: impl Fn(&Certificate) -> Option<R>,
) -> Option<(Certificate, R)> {
    let ranked = certificates.iter().enumerate().rev();
    let (index, best) = ranked
        .filter_map(|(index, certificate)| Some((index, rank(certificate)?)))
        .max_by(|(_, one), (_, other)| one.cmp(other))?;
    Some((certificates.remove(index), best))
}
