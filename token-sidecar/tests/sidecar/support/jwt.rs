//! Reads assertions with other libraries than those that made them.

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use ring::{digest, signature};
use serde_json::Value;
use x509_parser::prelude::{FromDer, X509Certificate};

/// A verified assertion.
pub(crate) struct Jwt {
    pub(crate) header: Value,
    pub(crate) claims: Value,
}

/// Verifies an assertion with a certificate (DER), by the algorithm that its header names.
pub(crate) fn verify(jwt: &str, certificate: &[u8]) -> Jwt {
    let parts: Vec<&str> = jwt.split('.').collect();
    let [header, claims, sign] = parts.as_slice() else {
        panic!("no JWT: {jwt}");
    };
    let decode = |part: &str| BASE64_URL_SAFE_NO_PAD.decode(part).unwrap();
    let json = |part: &str| serde_json::from_slice::<Value>(&decode(part)).unwrap();
    let (header, claims) = (json(header), json(claims));
    let algorithm = match header["alg"].as_str() {
        Some("PS256") => &signature::RSA_PSS_2048_8192_SHA256,
        Some("RS256") => &signature::RSA_PKCS1_2048_8192_SHA256,
        other => panic!("the algorithm is {other:?}"),
    };
    let (_, parsed) = X509Certificate::from_der(certificate).unwrap();
    let key = &parsed.public_key().subject_public_key.data;
    let signed = jwt.rsplit_once('.').unwrap().0;
    signature::UnparsedPublicKey::new(algorithm, key)
        .verify(signed.as_bytes(), &decode(sign))
        .expect("the signature is the certificate's");
    Jwt { header, claims }
}

/// The thumbprint of a certificate, as in `x5t#S256`.
pub(crate) fn sha256(certificate: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, certificate))
}

/// The thumbprint of a certificate, as in `x5t`.
pub(crate) fn sha1(certificate: &[u8]) -> String {
    let digest = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, certificate);
    BASE64_URL_SAFE_NO_PAD.encode(digest)
}

/// A chain, as in `x5c`.
pub(crate) fn x5c<C: AsRef<[u8]>>(chain: &[C]) -> Value {
    chain
        .iter()
        .map(|certificate| BASE64_STANDARD.encode(certificate))
        .collect()
}
