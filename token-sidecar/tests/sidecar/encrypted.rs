//! Errors about encrypted files and passwords: each names the setting, the path and the fix.

use std::time::{Duration, Instant};

use crate::file_errors::{CERTIFICATE, Named, PASSWORD, certificate_error, config_error};
use crate::support::{FIXTURE_PASSWORD, fixture};

#[test]
fn an_encrypted_file_without_a_password_asks_for_one() {
    let pem = [fixture("leaf.pem"), fixture("leaf.encrypted.key")].concat();
    for content in [
        pem,
        fixture("modern.pfx"),
        fixture("legacy.pfx"),
        fixture("no-mac.pfx"),
    ] {
        let said = certificate_error(&content);
        let expected = "is encrypted, and no password is given. Set \
                        AAD_CLIENT_CERTIFICATE_PASSWORD_FILE to a file that holds its password.";
        assert_eq!(said, expected);
    }
}

#[test]
fn a_wrong_password_is_the_password_files_fault() {
    let pem = [fixture("leaf.pem"), fixture("leaf.encrypted.key")].concat();
    for content in [
        pem,
        fixture("modern.pfx"),
        fixture("legacy.pfx"),
        fixture("no-mac.pfx"),
        fixture("bouncy-castle.pfx"),
    ] {
        let files = [Named(CERTIFICATE, &content), Named(PASSWORD, b"wrong")];
        let said = config_error(&files, PASSWORD);
        assert!(
            said.starts_with("does not hold the password of \"/"),
            "{said}"
        );
        assert!(
            said.contains(". Write the right password into it;"),
            "{said}"
        );
        assert!(!said.contains("wrong"), "{said}");
    }
}

#[test]
fn a_password_for_a_file_that_has_none_is_said_to_be_too_much() {
    for pfx in [
        "modern-no-password.pfx",
        "legacy-no-password.pfx",
        "unencrypted.pfx",
        "null-aes.pfx",
        "null-3des.pfx",
        "null-rc2.pfx",
        "null-unencrypted.pfx",
        "null-no-mac.pfx",
    ] {
        let content = fixture(pfx);
        let files = [Named(CERTIFICATE, &content), Named(PASSWORD, b"needless")];
        let said = config_error(&files, PASSWORD);
        assert!(
            said.starts_with("holds a password, but \"/"),
            "{pfx}: {said}"
        );
        let fix = "has none. Unset AAD_CLIENT_CERTIFICATE_PASSWORD_FILE, or name the file";
        assert!(said.contains(fix), "{pfx}: {said}");
    }
}

#[test]
fn a_pfx_with_an_algorithm_that_is_not_supported_names_it() {
    let content = fixture("rc4.pfx");
    let files = [
        Named(CERTIFICATE, &content),
        Named(PASSWORD, FIXTURE_PASSWORD.as_bytes()),
    ];
    let said = config_error(&files, CERTIFICATE);
    let expected = "is a PFX whose encryption (1.2.840.113549.1.12.1.1) is not supported. Export";
    assert!(said.starts_with(expected), "{said}");
}

/// The files are in BER, where the count can only be read level by level.
#[test]
fn a_pfx_that_wants_hours_of_hashing_is_refused_at_once() {
    for pfx in ["hostile-mac.pfx", "hostile-encryption.pfx"] {
        let begun = Instant::now();
        let said = certificate_error(&fixture(pfx));
        let expected = "wants its password hashed so often, or with so much memory";
        assert!(said.starts_with(expected), "{pfx}: {said}");
        assert!(begun.elapsed() < Duration::from_secs(30), "{pfx}");
    }
}

#[test]
fn an_encryption_that_is_too_old_is_to_be_converted() {
    let leaf = fixture("leaf.pem");
    for (key, expected) in [
        (
            "leaf.encrypted-des.key",
            "holds a private key encrypted in a way that is not supported",
        ),
        (
            "leaf.encrypted-pkcs1.key",
            "holds a private key in the old encryption of OpenSSL",
        ),
    ] {
        let content = [leaf.clone(), fixture(key)].concat();
        let files = [
            Named(CERTIFICATE, &content),
            Named(PASSWORD, FIXTURE_PASSWORD.as_bytes()),
        ];
        let said = config_error(&files, CERTIFICATE);
        assert!(said.starts_with(expected), "{said}");
        assert!(
            said.contains("Convert the key with `openssl pkcs8 -topk8"),
            "{said}"
        );
    }
}
