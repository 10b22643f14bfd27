//! Certificates: what of them is needed, which one belongs to a key, and which chain it has.

use std::cmp::Reverse;
use std::fmt;

use jiff::Timestamp;
use x509_parser::error::X509Error;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::file::FileName;
use crate::settings::mistake::{Mistake, quoted};

/// A parsed certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Certificate {
    /// The whole, as signed.
    pub(super) der: Vec<u8>,
    /// The subject for people, as in `CN=…, O=…`.
    pub(super) subject: String,
    /// The first moment of its life.
    pub(super) not_before: Timestamp,
    /// The last one.
    pub(super) not_after: End,
    subject_der: Vec<u8>,
    issuer_der: Vec<u8>,
    /// The bits of the public key: of an RSA key an `RSAPublicKey` (RFC 8017 §A.1.1).
    public_key: Vec<u8>,
    /// The name of its key, and of the key that signed it (RFC 5280 §4.2.1.1 and §4.2.1.2).
    key_identifier: Option<Vec<u8>>,
    issuer_key_identifier: Option<Vec<u8>>,
}

/// The last moment of a certificate's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// It is valid until then.
    At(Timestamp),
    /// It has none: `notAfter` is 99991231235959Z (RFC 5280 §4.1.2.5). No [`Timestamp`] is as late
    /// as that.
    Never,
}

impl fmt::Display for End {
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
            not_after: second(parsed.validity().not_after).map_or(End::Never, End::At),
            subject_der: parsed.subject().as_raw().to_vec(),
            issuer_der: parsed.issuer().as_raw().to_vec(),
            public_key: parsed.public_key().subject_public_key.data.to_vec(),
            key_identifier,
            issuer_key_identifier,
        })
    }

    /// Parses DER that a file holds.
    pub(super) fn read(der: &[u8], file: &FileName) -> Result<Self, Mistake> {
        Self::parse(der).ok_or_else(|| {
            file.mistake(
                "holds a damaged certificate",
                "Copy the file again, or export the certificate anew.",
            )
        })
    }

    /// Whether this is its time; if not, what to tell the user.
    pub(super) fn judge(&self, now: Timestamp) -> Result<(), (String, &'static str)> {
        let subject = quoted(&self.subject);
        if End::At(now) > self.not_after {
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

    /// Whether another certificate's key has signed this one. A name does not tell: an authority
    /// keeps its own when it takes a new key.
    fn is_issued_by(&self, other: &Self) -> bool {
        if self.issuer_der != other.subject_der {
            return false;
        }
        let verified = parse(&self.der)
            .zip(parse(&other.der))
            .map(|(this, other)| this.verify_signature(Some(other.public_key())));
        match verified {
            Some(Err(X509Error::SignatureUnsupportedAlgorithm)) => {
                match (&self.issuer_key_identifier, &other.key_identifier) {
                    (Some(issuer), Some(other)) => issuer == other,
                    _ => true,
                }
            }
            verified => matches!(verified, Some(Ok(()))),
        }
    }
}

fn parse(der: &[u8]) -> Option<X509Certificate<'_>> {
    let (rest, parsed) = X509Certificate::from_der(der).ok()?;
    rest.is_empty().then_some(parsed)
}

/// The certificate of a key (the bits of its public half), taken out of the others. Of several,
/// as after a renewal with the same key, one that is valid now is taken, and the last to expire.
pub(super) fn take_leaf(
    certificates: &mut Vec<Certificate>,
    public_key: &[u8],
    now: Timestamp,
) -> Option<Certificate> {
    take_best(certificates, now, |certificate| {
        certificate.public_key == public_key
    })
}

/// The leaf and whoever issued it, as far as the others hold them: each certifies the one before
/// it (RFC 7515 §4.1.6), and what does not belong to the chain is left out. Of several of an
/// authority with the same key, one that is valid now is taken, and the last to expire.
#[must_use]
pub(super) fn chain(
    leaf: Certificate,
    mut others: Vec<Certificate>,
    now: Timestamp,
) -> Vec<Certificate> {
    let mut chain = vec![leaf];
    while let Some(last) = chain.last() {
        if last.issuer_der == last.subject_der {
            break;
        }
        let issuer = take_best(&mut others, now, |other| last.is_issued_by(other));
        let Some(issuer) = issuer else { break };
        chain.push(issuer);
    }
    chain
}

/// Takes out one that fits: one that is valid now before all others, then the last to expire, then
/// the first in the file.
fn take_best(
    certificates: &mut Vec<Certificate>,
    now: Timestamp,
    fits: impl Fn(&Certificate) -> bool,
) -> Option<Certificate> {
    let (index, _) = certificates
        .iter()
        .enumerate()
        .filter(|(_, certificate)| fits(certificate))
        .max_by_key(|(index, certificate)| {
            let is_valid = certificate.judge(now).is_ok();
            (is_valid, certificate.not_after, Reverse(*index))
        })?;
    Some(certificates.remove(index))
}
