//! The chains in assertions.

use super::jwt::{sha256, verify, x5c};
use super::pki::{self, certificates_of};
use super::{ASSERTION, Files, get_at, now, settings};

/// Signs with a certificate's file and perhaps a key's and a password, and gives the chain in the
/// header, after a look at the signature and the thumbprint.
pub(crate) fn chain_signed_with(
    certificate: &[u8],
    key: Option<&[u8]>,
    password: Option<&str>,
    leaf: &[u8],
) -> serde_json::Value {
    let files = Files::new();
    let certificate = files.write("certificate", certificate);
    let key = key.map(|key| files.write("key", key));
    let password = password.map(|password| files.write("password", password));
    let mut variables = vec![("AAD_CLIENT_CERTIFICATE_PATH", certificate.as_str())];
    if let Some(key) = &key {
        variables.push(("AAD_CLIENT_CERTIFICATE_KEY_PATH", key));
    }
    if let Some(password) = &password {
        variables.push(("AAD_CLIENT_CERTIFICATE_PASSWORD_FILE", password));
    }
    let answer = get_at(&settings(&variables), ASSERTION, now());
    let jwt = verify(&answer.body, leaf);
    assert_eq!(jwt.header["x5t#S256"], sha256(leaf));
    jwt.header["x5c"].clone()
}

/// The fixtures' leaf, its issuer and the root.
pub(crate) fn whole_chain() -> Vec<Vec<u8>> {
    [certificates_of("leaf.pem"), certificates_of("chain.pem")].concat()
}

/// A leaf of [`pki::ONE`]'s key and an authority's certificates in PEM give this chain.
pub(crate) fn assert_chain(
    leaf: &pki::Certificate,
    authorities: &[&pki::Certificate],
    sent: &[&[u8]],
) {
    let pem: String = authorities.iter().map(|it| it.pem.as_str()).collect();
    let content = pem + &pki::bundle(leaf, &pki::ONE);
    let chain = chain_signed_with(content.as_bytes(), None, None, &leaf.der);
    let expected = [&[leaf.der.as_slice()], sent].concat();
    assert_eq!(chain, x5c(&expected));
}
