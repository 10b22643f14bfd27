//! Every form in which users have a certificate and its key.

use p12_keystore::{Certificate, KeyStore, KeyStoreEntry, PrivateKey, PrivateKeyChain};

use crate::support::jwt::{sha256, verify, x5c};
use crate::support::pki::{self, certificates_of};
use crate::support::{ASSERTION, FIXTURE_PASSWORD, Files, fixture, get_at, now, settings};

/// Signs with a certificate's file and perhaps a key's and a password, and gives the chain in the
/// header, after a look at the signature and the thumbprint.
fn chain_signed_with(
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

fn whole_chain() -> Vec<Vec<u8>> {
    [certificates_of("leaf.pem"), certificates_of("chain.pem")].concat()
}

#[test]
fn pem_with_certificate_and_key_in_one_file_or_two_signs_whatever_the_keys_form() {
    let chain = whole_chain();
    let certificates = [fixture("leaf.pem"), fixture("chain.pem")].concat();
    let password = Some(FIXTURE_PASSWORD);
    for (key, password) in [
        ("leaf.pkcs8.key", None),
        ("leaf.pkcs1.key", None),
        ("leaf.encrypted.key", password),
        ("leaf.encrypted-3des.key", password),
        // A password that nothing needs does no harm.
        ("leaf.pkcs8.key", password),
    ] {
        let key = fixture(key);
        let two = chain_signed_with(&certificates, Some(&key), password, &chain[0]);
        assert_eq!(two, x5c(&chain));

        let one = [certificates.clone(), key].concat();
        assert_eq!(
            chain_signed_with(&one, None, password, &chain[0]),
            x5c(&chain)
        );
    }
}

#[test]
fn pem_may_have_its_parts_in_any_order_with_text_and_dos_line_ends_between_them() {
    let chain = whole_chain();
    let content = [
        b"Bag Attributes\n    friendlyName: old\nissuer=/CN=x\n".to_vec(),
        fixture("chain.pem"),
        fixture("leaf.pkcs8.key"),
        b"\n\nsubject=/CN=y\n".to_vec(),
        fixture("leaf.pem"),
    ]
    .concat();
    let content = String::from_utf8(content).unwrap();
    for content in [content.clone(), content.replace('\n', "\r\n")] {
        let sent = chain_signed_with(content.as_bytes(), None, None, &chain[0]);
        assert_eq!(sent, x5c(&chain));
    }
}

#[test]
fn pfx_of_openssl_3_and_of_its_legacy_algorithms_signs_with_and_without_a_password() {
    let chain = whole_chain();
    for (pfx, password) in [
        ("modern.pfx", Some(FIXTURE_PASSWORD)),
        ("modern-no-password.pfx", None),
        ("legacy.pfx", Some(FIXTURE_PASSWORD)),
        ("legacy-no-password.pfx", None),
        ("no-mac.pfx", Some(FIXTURE_PASSWORD)),
        ("unencrypted.pfx", None),
    ] {
        let sent = chain_signed_with(&fixture(pfx), None, password, &chain[0]);
        assert_eq!(sent, x5c(&chain), "{pfx}");
    }
}

#[test]
fn a_pfx_whose_leaf_is_not_the_first_certificate_signs_with_the_leaf() {
    let chain = whole_chain();
    let key = pem::parse(fixture("leaf.pkcs8.key")).unwrap();
    let key = PrivateKey::from_der(key.contents()).unwrap();
    let backwards = chain
        .iter()
        .rev()
        .map(|der| Certificate::from_der(der).unwrap());
    let entry = PrivateKeyChain::new("1", key, backwards);
    let mut store = KeyStore::new();
    store.add_entry("1", KeyStoreEntry::PrivateKeyChain(entry));
    let pfx = store.writer(FIXTURE_PASSWORD).write().unwrap();

    let sent = chain_signed_with(&pfx, None, Some(FIXTURE_PASSWORD), &chain[0]);
    assert_eq!(sent, x5c(&chain));
}

#[test]
fn the_chain_is_what_issued_the_leaf_and_nothing_else() {
    let chain = whole_chain();
    let stranger = pki::lasting(&pki::OTHER, "stranger");
    let content = [
        stranger.pem.into_bytes(),
        fixture("leaf.pem"),
        fixture("leaf.pkcs8.key"),
    ]
    .concat();
    assert_eq!(
        chain_signed_with(&content, None, None, &chain[0]),
        x5c(&chain[..1])
    );
}

#[test]
fn of_several_certificates_of_the_key_the_valid_one_that_lasts_longest_signs() {
    let key = &pki::ONE;
    let old = pki::certificate(key, "old", (2020, 2025));
    let renewed = pki::certificate(key, "renewed", (2025, 2035));
    let older = pki::certificate(key, "older", (2025, 2031));
    let future = pki::certificate(key, "future", (2034, 2045));
    let content = [&old, &renewed, &older, &future].map(|certificate| certificate.pem.as_str());
    let content = content.concat() + &key.serialize_pem();
    let sent = chain_signed_with(content.as_bytes(), None, None, &renewed.der);
    assert_eq!(sent, x5c(&[renewed.der]));
}
