//! All forms of a certificate and its key that users have.

use p12_keystore::{Certificate, KeyStore, KeyStoreEntry, PrivateKey, PrivateKeyChain};

use crate::support::chain::{assert_chain, chain_signed_with, whole_chain};
use crate::support::jwt::{verify, x5c};
use crate::support::pki;
use crate::support::{ASSERTION, FIXTURE_PASSWORD, Files, fixture, get_at, now, settings};

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
        ("legacy-128.pfx", Some(FIXTURE_PASSWORD)),
        ("no-mac.pfx", Some(FIXTURE_PASSWORD)),
        ("unencrypted.pfx", None),
        // These files do not need the password, and cannot show that it is wrong.
        ("unencrypted-no-mac.pfx", None),
        ("unencrypted-no-mac.pfx", Some(FIXTURE_PASSWORD)),
    ] {
        let sent = chain_signed_with(&fixture(pfx), None, password, &chain[0]);
        assert_eq!(sent, x5c(&chain), "{pfx}");
    }
}

/// What .NET, Windows and Key Vault write where there is no password. RFC 7292 §B.2 hashes no bytes
/// for it, but two for the empty password.
#[test]
fn pfx_with_the_null_password_signs_whatever_the_encryption_and_the_mac() {
    let chain = whole_chain();
    for pfx in [
        "null-aes.pfx",
        "null-3des.pfx",
        "null-rc2.pfx",
        "null-unencrypted.pfx",
        "null-no-mac.pfx",
        "null-3des-empty-mac.pfx",
    ] {
        let sent = chain_signed_with(&fixture(pfx), None, None, &chain[0]);
        assert_eq!(sent, x5c(&chain), "{pfx}");
    }
}

/// NSS (Firefox) and Bouncy Castle write BER with indefinite lengths and constructed octet strings;
/// Java writes DER.
#[test]
fn pfx_of_nss_bouncy_castle_and_java_signs() {
    let chain = whole_chain();
    for pfx in ["nss.pfx", "bouncy-castle.pfx", "java.pfx"] {
        let sent = chain_signed_with(&fixture(pfx), None, Some(FIXTURE_PASSWORD), &chain[0]);
        assert_eq!(sent, x5c(&chain), "{pfx}");
    }
}

#[test]
fn a_password_may_have_any_character() {
    let chain = whole_chain();
    for pfx in ["emoji-modern.pfx", "emoji-legacy.pfx"] {
        for password in ["gänse-🦆", "\u{feff}gänse-🦆\r\n"] {
            let sent = chain_signed_with(&fixture(pfx), None, Some(password), &chain[0]);
            assert_eq!(sent, x5c(&chain), "{pfx}");
        }
    }
}

#[test]
fn pem_may_begin_with_a_byte_order_mark_and_have_spaces_of_any_kind_in_it() {
    let chain = whole_chain();
    let mark = "\u{feff}".as_bytes();
    let certificates = [mark, &fixture("leaf.pem"), mark, &fixture("chain.pem")].concat();
    let key = [mark, &fixture("leaf.pkcs8.key")].concat();
    let key = String::from_utf8(key).unwrap();
    let key = key.replacen("\nMII", "\n\u{a0} M\u{a0}II", 1).into_bytes();
    let sent = chain_signed_with(&certificates, Some(&key), None, &chain[0]);
    assert_eq!(sent, x5c(&chain));
}

/// A PFX of a key and certificates in this order.
fn pfx<C: AsRef<[u8]>>(key: &[u8], certificates: impl IntoIterator<Item = C>) -> Vec<u8> {
    let certificates = certificates
        .into_iter()
        .map(|der| Certificate::from_der(der.as_ref()).unwrap());
    let key = PrivateKey::from_der(key).unwrap();
    let entry = PrivateKeyChain::new("1", key, certificates);
    let mut store = KeyStore::new();
    store.add_entry("1", KeyStoreEntry::PrivateKeyChain(entry));
    store.writer(FIXTURE_PASSWORD).write().unwrap()
}

#[test]
fn a_pfx_whose_leaf_is_not_the_first_certificate_signs_with_the_leaf() {
    let chain = whole_chain();
    let key = pem::parse(fixture("leaf.pkcs8.key")).unwrap();
    let pfx = pfx(key.contents(), chain.iter().rev());
    let sent = chain_signed_with(&pfx, None, Some(FIXTURE_PASSWORD), &chain[0]);
    assert_eq!(sent, x5c(&chain));
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

/// RFC 5280 §4.1.2.5: 99991231235959Z.
#[test]
fn a_certificate_without_an_end_signs_as_leaf_in_a_chain_and_in_a_pfx() {
    let authority = pki::Authority::new("authority", pki::WITHOUT_END, true);
    for years in [(2020, 2040), pki::WITHOUT_END] {
        let leaf = authority.issue(&pki::ONE, "leaf", years);
        assert_chain(
            &leaf,
            &[&authority.certificate],
            &[&authority.certificate.der],
        );

        let certificates = [&authority.certificate.der, &leaf.der];
        let pfx = pfx(&pki::ONE.serialize_der(), certificates);
        let sent = chain_signed_with(&pfx, None, Some(FIXTURE_PASSWORD), &leaf.der);
        assert_eq!(sent, x5c(&[&leaf.der, &authority.certificate.der]));
    }
    // It lasts longer than any that has an end.
    let endless = pki::certificate(&pki::ONE, "endless", pki::WITHOUT_END);
    let long = pki::certificate(&pki::ONE, "long", (2020, 9000));
    let content = endless.pem + &pki::bundle(&long, &pki::ONE);
    let files = Files::new();
    let path = files.write("bundle.pem", content);
    let settings = settings(&[("AAD_CLIENT_CERTIFICATE_PATH", &path)]);
    verify(&get_at(&settings, ASSERTION, now()).body, &endless.der);
    let health = get_at(&settings, "/health", now()).body;
    assert!(
        health.contains(r#""not_after":"9999-12-31T23:59:59Z""#),
        "{health}"
    );
}
