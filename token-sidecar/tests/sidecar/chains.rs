//! Which of a file's certificates go into the chain in `x5c`.

use std::fs;

use crate::support::chain::{assert_chain, chain_signed_with, whole_chain};
use crate::support::jwt::{verify, x5c};
use crate::support::pki::{self, Authority, certificates_of};
use crate::support::process::Sidecar;
use crate::support::{ASSERTION, Files, fixture};

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
fn of_two_authorities_of_one_name_the_one_whose_key_signed_the_leaf_is_sent() {
    use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P521_SHA512};
    // The signature decides, with and without key identifiers. Where it cannot be verified, as with
    // SHA-512 and ECDSA, the key identifiers decide.
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
            // Without the issuer in the file, only a key identifier proves that another is not it.
            let sent: &[&[u8]] = match is_identified {
                true => &[],
                false => &[&other.certificate.der],
            };
            assert_chain(&leaf, &[&other.certificate], sent);
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

/// The sidecar's cryptography takes neither RSA keys below 2048 bits, nor a PSS salt whose length is
/// not the hash's.
#[test]
fn an_issuer_is_sent_whose_signature_cannot_be_verified() {
    for (name, is_identified) in [
        ("rsa-1024", true),
        ("rsa-1536", true),
        ("pss-maximum-salt", true),
        ("pss-sha512-salt-20", true),
        ("rsa-1024-unidentified", false),
    ] {
        let certificates = certificates_of(&format!("issued-by-{name}.pem"));
        let [leaf, issuer, namesake] = certificates.as_slice() else {
            panic!("{name}: {} certificates", certificates.len());
        };
        let sent_of = |others: &[&Vec<u8>]| {
            let pem: String = [&[leaf], others]
                .concat()
                .into_iter()
                .map(|der| pem::encode(&pem::Pem::new("CERTIFICATE", der.clone())))
                .collect();
            chain_signed_with(pem.as_bytes(), Some(&fixture("leaf.pkcs8.key")), None, leaf)
        };
        assert_eq!(sent_of(&[issuer]), x5c(&[leaf, issuer]), "{name}");
        if is_identified {
            // The other lasts longer.
            for both in [[issuer, namesake], [namesake, issuer]] {
                assert_eq!(sent_of(&both), x5c(&[leaf, issuer]), "{name}");
            }
            assert_eq!(sent_of(&[namesake]), x5c(&[leaf]), "{name}");
        }
    }
}

#[test]
fn of_authorities_that_certify_each_other_each_is_sent_once_and_a_root_ends_the_chain() {
    let authority = |name| Authority::new(name, (2020, 2040), true);
    let (a, b, intermediate) = (authority("a"), authority("b"), authority("intermediate"));
    let leaf = intermediate.issue(&pki::ONE, "leaf", (2020, 2039));
    let intermediate = a.certify(&intermediate, (2020, 2040));
    // They last longer than the roots.
    let (a_by_b, b_by_a) = (b.certify(&a, (2020, 2045)), a.certify(&b, (2020, 2045)));
    let (a_expired, a, b) = (a.renewed((2020, 2025)), a.certificate, b.certificate);
    let many = [[&a_by_b, &b_by_a]; 60].concat();
    let cases: [(&[_], &[_]); _] = [
        (&[&a_by_b, &b_by_a, &a, &b], &[&a]),
        (&[&b, &a, &b_by_a, &a_by_b], &[&a]),
        (&[&a_by_b, &b_by_a, &b], &[&a_by_b, &b]),
        (&[&a_by_b, &b_by_a, &a_expired, &b], &[&a_by_b, &b]),
        (&[&a_by_b, &b_by_a, &a_expired], &[&a_by_b, &b_by_a]),
        (&[&a_by_b, &b_by_a], &[&a_by_b, &b_by_a]),
        (&many, &[&a_by_b, &b_by_a]),
        (&[&a_by_b], &[&a_by_b]),
    ];
    for (roots, sent) in cases {
        let sent = [&[&intermediate], sent].concat();
        let sent: Vec<&[u8]> = sent.iter().map(|it| it.der.as_slice()).collect();
        assert_chain(&leaf, &[&[&intermediate], roots].concat(), &sent);
    }
}

const CERTIFICATE: &str = "AAD_CLIENT_CERTIFICATE_PATH";

/// The warnings that the sidecar logs when it starts, and the chain that it sends.
fn warning_and_chain(
    files: &Files,
    leaf: &[u8],
    variables: &[(&str, &str)],
) -> (String, serde_json::Value) {
    let sidecar = Sidecar::start(files, variables);
    let reply = sidecar.get(ASSERTION);
    let warnings = sidecar
        .log()
        .lines()
        .filter(|line| line.contains("warning"))
        .collect();
    (warnings, verify(&reply.body, leaf).header["x5c"].clone())
}

#[test]
fn another_authority_with_the_issuers_name_is_not_sent_but_warned_about() {
    let lasting = (2020, 2120);
    let files = Files::new();
    let authority = || Authority::new("authority", lasting, true);
    let (issuer, other) = (authority(), authority());
    let leaf = issuer.issue(&pki::ONE, "leaf", lasting);
    let bundle = pki::bundle(&leaf, &pki::ONE);
    let path = files.write("certificate", other.certificate.pem + &bundle);
    let settings = [(CERTIFICATE, path.as_str())];
    let (warning, chain) = warning_and_chain(&files, &leaf.der, &settings);
    assert_eq!(chain, x5c(&[&leaf.der]));
    for part in [
        &format!("token-sidecar: warning: {CERTIFICATE} is {path:?}, which holds"),
        "\"CN=authority\"",
        "\"CN=leaf\"",
    ] {
        assert!(warning.contains(part), "{part}: {warning}");
    }
    // No warning where no chain is sent, or where the file holds the issuer, too.
    let off = [
        (CERTIFICATE, path.as_str()),
        ("AAD_CLIENT_CERTIFICATE_SEND_CHAIN", "off"),
    ];
    assert_eq!(warning_and_chain(&files, &leaf.der, &off).0, "");
    files.write(
        "certificate",
        issuer.certificate.pem + &fs::read_to_string(&path).unwrap(),
    );
    assert_eq!(warning_and_chain(&files, &leaf.der, &settings).0, "");
}

/// Ten certificates: the leaf and nine authorities.
#[test]
fn the_first_ten_certificates_of_a_longer_chain_are_sent_with_a_warning() {
    let lasting = (2020, 2120);
    for (authorities, is_too_long) in [(9, false), (10, true)] {
        let mut issuer = Authority::new("root", lasting, true);
        let mut chain = vec![issuer.certificate.der.clone()];
        let mut pem = issuer.certificate.pem.clone();
        for number in 1..authorities {
            let next = Authority::new(&number.to_string(), lasting, true);
            let certificate = issuer.certify(&next, lasting);
            (pem, issuer) = (pem + &certificate.pem, next);
            chain.insert(0, certificate.der);
        }
        let leaf = issuer.issue(&pki::ONE, "leaf", lasting);
        chain.insert(0, leaf.der.clone());
        let files = Files::new();
        let path = files.write("certificate", pki::bundle(&leaf, &pki::ONE) + &pem);
        let (warning, sent) = warning_and_chain(&files, &leaf.der, &[(CERTIFICATE, &path)]);
        assert_eq!(sent, x5c(&chain[..10]));
        assert_eq!(warning.contains(&path), is_too_long, "{warning}");
        assert_eq!(warning.contains("more than 10"), is_too_long, "{warning}");
    }
}
