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
        ("legacy-128.pfx", Some(FIXTURE_PASSWORD)),
        ("no-mac.pfx", Some(FIXTURE_PASSWORD)),
        ("unencrypted.pfx", None),
        // Neither needs the password nor can tell that it is another.
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

/// NSS (Firefox) and Bouncy Castle write BER with indefinite lengths and octet strings in pieces;
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

/// A leaf of [`pki::ONE`]'s key and an authority's certificates in PEM give this chain.
fn assert_chain(leaf: &pki::Certificate, authorities: &[&pki::Certificate], sent: &[&[u8]]) {
    let pem: String = authorities.iter().map(|it| it.pem.as_str()).collect();
    let content = pem + &pki::bundle(leaf, &pki::ONE);
    let chain = chain_signed_with(content.as_bytes(), None, None, &leaf.der);
    let expected = [&[leaf.der.as_slice()], sent].concat();
    assert_eq!(chain, x5c(&expected));
}

#[test]
fn of_two_authorities_of_one_name_the_one_whose_key_signed_the_leaf_is_sent() {
    use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P521_SHA512};
    // The signature tells, with key identifiers and without. Where it cannot be verified, as with
    // SHA-512 and ECDSA, they do.
    for (algorithm, is_identified) in [
        (&PKCS_ECDSA_P256_SHA256, true),
        (&PKCS_ECDSA_P256_SHA256, false),
        (&PKCS_ECDSA_P521_SHA512, true),
    ] {
        let authority = |years| {
            let key = KeyPair::generate_for(algorithm).unwrap();
            pki::Authority::of(key, "authority", years, is_identified)
        };
        let (old, new) = (authority((2020, 2040)), authority((2025, 2045)));
        for (issuer, other) in [(&old, &new), (&new, &old)] {
            let leaf = issuer.issue(&pki::ONE, "leaf", (2020, 2039));
            for authorities in [
                [&issuer.certificate, &other.certificate],
                [&other.certificate, &issuer.certificate],
            ] {
                assert_chain(&leaf, &authorities, &[&issuer.certificate.der]);
            }
            // Without its own there is none.
            assert_chain(&leaf, &[&other.certificate], &[]);
        }
    }
}

#[test]
fn of_an_authoritys_certificates_with_one_key_a_valid_one_is_sent() {
    let expired = pki::Authority::new("authority", (2015, 2025), true);
    let valid = expired.renewed((2025, 2035));
    let future = expired.renewed((2031, 2050));
    let leaf = expired.issue(&pki::ONE, "leaf", (2020, 2034));
    let all = [&expired.certificate, &valid, &future];
    for authorities in [all, [all[2], all[1], all[0]], [all[1], all[0], all[2]]] {
        assert_chain(&leaf, &authorities, &[&valid.der]);
    }
    // An expired one is better than none: Entra may know another.
    assert_chain(&leaf, &all[..1], &[&expired.certificate.der]);
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
