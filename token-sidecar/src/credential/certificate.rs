//! Certificates: what of them is needed, which one belongs to a key, and which chain it has.

use jiff::Timestamp;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::settings::mistake::quoted;

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
    pub(super) not_after: Timestamp,
    subject_der: Vec<u8>,
    issuer_der: Vec<u8>,
    /// The bits of the public key: of an RSA key an `RSAPublicKey` (RFC 8017 §A.1.1).
    public_key: Vec<u8>,
}

impl Certificate {
    /// Parses DER; `None` if it is no certificate.
    #[must_use]
    pub(super) fn parse(der: &[u8]) -> Option<Self> {
        let (rest, parsed) = X509Certificate::from_der(der).ok()?;
        if !rest.is_empty() {
            return None;
        }
        let moment = |time: x509_parser::time::ASN1Time| Timestamp::from_second(time.timestamp());
        Some(Self {
            der: der.to_vec(),
            subject: parsed.subject().to_string(),
            not_before: moment(parsed.validity().not_before).ok()?,
            not_after: moment(parsed.validity().not_after).ok()?,
            subject_der: parsed.subject().as_raw().to_vec(),
            issuer_der: parsed.issuer().as_raw().to_vec(),
            public_key: parsed.public_key().subject_public_key.data.to_vec(),
        })
    }

    /// Whether this is its time; if not, what to tell the user.
    pub(super) fn judge(&self, now: Timestamp) -> Result<(), (String, &'static str)> {
        let subject = quoted(&self.subject);
        if now > self.not_after {
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
}

/// The certificate of a key (the bits of its public half), taken out of the others. Of several,
/// as after a renewal with the same key, one that is valid now is taken, and the last to expire.
pub(super) fn take_leaf(
    certificates: &mut Vec<Certificate>,
    public_key: &[u8],
    now: Timestamp,
) -> Option<Certificate> {
    let (index, _) = certificates
        .iter()
        .enumerate()
        .filter(|(_, certificate)| certificate.public_key == public_key)
        .max_by_key(|(_, certificate)| (certificate.judge(now).is_ok(), certificate.not_after))?;
    Some(certificates.swap_remove(index))
}

/// The leaf and whoever issued it, as far as the others hold them: each certifies the one before
/// it (RFC 7515 §4.1.6), and what does not belong to the chain is left out.
#[must_use]
pub(super) fn chain(leaf: Certificate, mut others: Vec<Certificate>) -> Vec<Certificate> {
    let mut chain = vec![leaf];
    while let Some(last) = chain.last() {
        if last.issuer_der == last.subject_der {
            break;
        }
        let issuer = others
            .iter()
            .position(|other| other.subject_der == last.issuer_der);
        let Some(index) = issuer else { break };
        chain.push(others.swap_remove(index));
    }
    chain
}
