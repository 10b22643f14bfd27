//! Trust by subject name and issuer: the leaf that an assertion brings is taken if it has the
//! subject that the application registered, and its chain leads to the authority registered with it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::applications::{Application, RegisteredCertificate, TrustedSubject};
use crate::tokens::JwtHeader;

/// The certificate that signed the assertion, if the application trusts it in this way.
pub(super) fn leaf(application: &Application, header: &JwtHeader) -> Option<RegisteredCertificate> {
    let chain = header.x5c.as_ref()?.iter();
    let chain: Vec<Vec<u8>> = chain
        .map(|der| STANDARD.decode(der))
        .collect::<Result<_, _>>()
        .ok()?;
    let leaf = RegisteredCertificate::from_der(chain.first()?).ok()?;
    let is_named = (header.x5t.is_some() || header.x5t_s256.is_some())
        && header
            .x5t
            .as_ref()
            .is_none_or(|it| *it == leaf.sha1_thumbprint())
        && header
            .x5t_s256
            .as_ref()
            .is_none_or(|it| *it == leaf.sha256_thumbprint());
    let mut trusted = application.trusted_subjects.iter();
    (is_named && trusted.any(|trusted| vouches(trusted, &chain).is_some())).then_some(leaf)
}

/// Each certificate of the chain must be signed by the next, which is an authority's, and one of
/// them by the authority that is trusted.
fn vouches(trusted: &TrustedSubject, chain: &[Vec<u8>]) -> Option<()> {
    let parsed = |der| {
        X509Certificate::from_der(der)
            .ok()
            .map(|(_, parsed)| parsed)
    };
    let authority = parsed(trusted.authority.der())?;
    let chain: Vec<X509Certificate<'_>> =
        chain.iter().map(|der| parsed(der)).collect::<Option<_>>()?;
    if chain.first()?.subject().to_string() != trusted.subject {
        return None;
    }
    for (n, certificate) in chain.iter().enumerate() {
        if is_signed_by(certificate, &authority) {
            return Some(());
        }
        let next = chain.get(n + 1)?;
        if !next.is_ca() || !is_signed_by(certificate, next) {
            return None;
        }
    }
    None
}

fn is_signed_by(certificate: &X509Certificate<'_>, authority: &X509Certificate<'_>) -> bool {
    certificate.issuer() == authority.subject()
        && certificate
            .verify_signature(Some(authority.public_key()))
            .is_ok()
}
