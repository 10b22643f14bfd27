//! Errors about files: each names the setting, the path and the fix.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::support::pki;
use crate::support::process::{command, end_of};
use crate::support::{Files, errors_at, fixture, now};

pub(crate) const CERTIFICATE: &str = "AAD_CLIENT_CERTIFICATE_PATH";
const KEY: &str = "AAD_CLIENT_CERTIFICATE_KEY_PATH";
pub(crate) const PASSWORD: &str = "AAD_CLIENT_CERTIFICATE_PASSWORD_FILE";

/// The setting that names a file, and the content of the file.
pub(crate) struct Named<'a>(pub(crate) &'static str, pub(crate) &'a [u8]);

/// The only error of these files, without the setting and the path that it must begin with.
pub(crate) fn config_error(files: &[Named], blamed: &str) -> String {
    let directory = Files::new();
    let variables: Vec<(&str, String)> = files
        .iter()
        .map(|Named(setting, content)| (*setting, directory.write(setting, content)))
        .collect();
    let variables: Vec<(&str, &str)> = variables
        .iter()
        .map(|(setting, path)| (*setting, path.as_str()))
        .collect();
    let errors = errors_at(&variables, now());
    assert_eq!(errors.len(), 1, "{errors:?}");
    let start = format!("{blamed} is {:?}, which ", directory.path(blamed));
    let said = errors[0].strip_prefix(&start);
    said.unwrap_or_else(|| panic!("{start}: {errors:?}"))
        .to_owned()
}

pub(crate) fn certificate_error(content: &[u8]) -> String {
    config_error(&[Named(CERTIFICATE, content)], CERTIFICATE)
}

#[test]
fn each_setting_that_names_a_file_says_when_the_file_cannot_be_used() {
    let leaf = [fixture("leaf.pem"), fixture("leaf.pkcs8.key")].concat();
    let settings = [
        CERTIFICATE,
        KEY,
        PASSWORD,
        "AZURE_FEDERATED_TOKEN_FILE",
        "AAD_CLIENT_SECRET_FILE",
    ];
    for setting in settings {
        let files = Files::new();
        let good = files.write("good.pem", &leaf);
        let cases = [
            (files.value("missing"), "does not exist. Correct the path"),
            (files.value(""), "is a directory. Name the file in it."),
            (files.write("empty", ""), "is empty. Fill it"),
            (
                files.write("large", vec![b'x'; 1024 * 1024 + 1]),
                "is larger than 1 MiB. Name the right file",
            ),
        ];
        for (path, expected) in &cases {
            // Of two variables with the same name the later one counts.
            let variables = [(CERTIFICATE, good.as_str()), (setting, path.as_str())];
            let errors = errors_at(&variables, now());
            let start = format!("{setting} is {path:?}, which {expected}");
            assert_eq!(errors.len(), 1, "{errors:?}");
            assert!(errors[0].starts_with(&start), "{errors:?}");
        }
    }
}

#[test]
fn a_file_that_the_user_may_not_read_is_named_with_the_user() {
    const NOBODY: u32 = 65534;
    let files = Files::new();
    let path = files.write("bundle.pem", "x");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    let mut command = command(&files, &[(CERTIFICATE, &path)]);
    let mut user = rustix::process::geteuid();
    if user.is_root() {
        // Root may read everything: run as another user, who can reach the program and the file.
        user = rustix::process::Uid::from_raw(NOBODY);
        let program = files.path("program");
        fs::copy(command.get_program(), &program).unwrap();
        fs::set_permissions(files.path(""), fs::Permissions::from_mode(0o755)).unwrap();
        command = rebuilt(&program, &command);
        command.uid(NOBODY);
    }
    let status = end_of(command);
    let log = fs::read_to_string(files.path("log")).unwrap();
    assert_eq!(status.code(), Some(64), "{log}");
    let user = user.as_raw();
    let expected =
        format!("{CERTIFICATE} is {path:?}, which user {user} may not read. Let user {user}");
    assert!(log.contains(&expected), "{log}");
}

/// The same command for another copy of the program.
fn rebuilt(program: &std::path::Path, like: &std::process::Command) -> std::process::Command {
    let mut command = std::process::Command::new(program);
    command.env_clear();
    for (name, value) in like.get_envs() {
        command.env(name, value.unwrap());
    }
    let log = program.with_file_name("log");
    command.stderr(fs::File::options().append(true).open(log).unwrap());
    command
}

#[test]
fn a_file_of_the_wrong_kind_is_said_to_be_one() {
    let certificate_der = pki::certificates_of("leaf.pem").remove(0);
    let base64 = BASE64_STANDARD.encode(fixture("modern.pfx"));
    let nss = fixture("nss.pfx");
    let cut = &nss[..2000];
    let marked = format!("\u{feff}{base64}");
    let cases: [(&[u8], &str); 7] = [
        (b"hello", "is neither PEM nor PFX. Export the certificate"),
        (
            &certificate_der,
            "is a certificate in DER form, without a private key. Convert it",
        ),
        (
            base64.as_bytes(),
            "is base64 text, not the PFX itself. Decode it",
        ),
        (
            marked.as_bytes(),
            "is base64 text, not the PFX itself. Decode it",
        ),
        (b"\x30\x03\x02\x01\x00", "is neither PEM nor a sound PFX: "),
        (
            cut,
            "is neither PEM nor a sound PFX: it is cut off, or damaged",
        ),
        (
            &fixture("leaf.pkcs8.key"),
            "holds no certificate. Put the certificate that belongs",
        ),
    ];
    for (content, expected) in cases {
        let said = certificate_error(content);
        assert!(said.starts_with(expected), "{said}");
    }
}

#[test]
fn a_pem_file_that_lacks_something_or_has_too_much_says_what() {
    let (leaf, key) = (fixture("leaf.pem"), fixture("leaf.pkcs8.key"));
    let cut = &leaf[..leaf.len() - 40];
    let damaged = String::from_utf8(leaf.clone())
        .unwrap()
        .replacen("MII", "MIJ", 1);
    let cases = [
        (
            leaf.clone(),
            "holds no private key. Put the private key there too",
        ),
        (
            [leaf.clone(), key.clone(), key.clone()].concat(),
            "holds 2 private keys. Keep the one",
        ),
        (
            [&key, cut].concat(),
            "holds a damaged or incomplete PEM block. Copy the file again",
        ),
        (
            [damaged.into_bytes(), key].concat(),
            "holds a damaged certificate. Copy the file again",
        ),
        (
            [
                leaf,
                b"-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n".to_vec(),
            ]
            .concat(),
            "holds a damaged private key. Copy the file again",
        ),
    ];
    for (content, expected) in cases {
        let said = certificate_error(&content);
        assert!(said.starts_with(expected), "{said}");
    }
}

#[test]
fn a_pfx_that_lacks_something_says_what() {
    for (pfx, expected) in [
        ("no-key.pfx", "is a PFX without a private key. Export"),
        (
            "no-certificate.pfx",
            "is a PFX without a certificate. Export",
        ),
    ] {
        let said = certificate_error(&fixture(pfx));
        assert!(said.starts_with(expected), "{said}");
    }
}

#[test]
fn a_key_that_entra_does_not_take_is_refused_with_the_reason() {
    let leaf = fixture("leaf.pem");
    for (key, expected) in [
        (
            "ec.pkcs8.key",
            "holds a private key of another kind than RSA",
        ),
        (
            "ec.sec1.key",
            "holds a private key of another kind than RSA",
        ),
        ("short.pkcs1.key", "holds an RSA key of less than 2048 bits"),
    ] {
        let content = [leaf.clone(), fixture(key)].concat();
        let said = certificate_error(&content);
        assert!(said.starts_with(expected), "{said}");
        assert!(
            said.contains("with an RSA key of 2048 bits or more"),
            "{said}"
        );
    }
}

/// RFC 7468 allows blocks without content; templates leave them where a value is missing.
#[test]
fn an_empty_pem_block_is_said_to_be_empty() {
    let (leaf, key) = (fixture("leaf.pem"), fixture("leaf.pkcs8.key"));
    let tags = [
        "PRIVATE KEY",
        "RSA PRIVATE KEY",
        "ENCRYPTED PRIVATE KEY",
        "EC PRIVATE KEY",
    ];
    for tag in tags.into_iter().chain(["CERTIFICATE"]) {
        let empty = format!("-----BEGIN {tag}-----\n-----END {tag}-----\n").into_bytes();
        let content = match tag {
            "CERTIFICATE" => [empty, key.clone()].concat(),
            _ => [leaf.clone(), empty].concat(),
        };
        let said = certificate_error(&content);
        let expected = format!("holds a PEM block with nothing in it ({tag:?}). Fill it");
        assert!(said.starts_with(&expected), "{said}");
    }
}

#[test]
fn pem_with_characters_that_nobody_sees_or_in_another_encoding_says_so() {
    let content = String::from_utf8([fixture("leaf.pem"), fixture("leaf.pkcs8.key")].concat());
    let content = content.unwrap();
    for (copied, expected) in [
        (
            content.replacen("\nMII", "\nM\u{2060}II", 1),
            "holds a damaged PEM block, and a character that cannot be seen (U+2060) in line 2. Copy",
        ),
        (
            content.replacen("\n-----END PRIVATE", "\u{200b}\n-----END PRIVATE", 1),
            "holds a damaged PEM block, and a zero width space (U+200B) in line ",
        ),
        (
            content.replacen("\n-----END PRIVATE", "\u{feff}\n-----END PRIVATE", 1),
            "holds a damaged PEM block, and a byte-order mark (U+FEFF) in line ",
        ),
    ] {
        let said = certificate_error(copied.as_bytes());
        assert!(said.starts_with(expected), "{said}");
    }
    let utf16: Vec<u8> = format!("\u{feff}{content}")
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let said = certificate_error(&utf16);
    assert!(
        said.starts_with("is text in UTF-16. Save it in UTF-8"),
        "{said}"
    );
    let leaf = fixture("leaf.pem");
    let said = config_error(&[Named(CERTIFICATE, &leaf), Named(KEY, &utf16)], KEY);
    assert!(
        said.starts_with("is text in UTF-16. Save it in UTF-8"),
        "{said}"
    );
}

#[test]
fn a_certificate_of_another_key_is_named_with_the_key() {
    let one = pki::lasting(&pki::ONE, "one");
    let other_key = pki::OTHER.serialize_pem();
    let in_one_file = certificate_error((one.pem.clone() + &other_key).as_bytes());
    assert!(
        in_one_file.starts_with("holds no certificate of its private key, only \"CN=one\". Put"),
        "{in_one_file}"
    );

    let files = [
        Named(CERTIFICATE, one.pem.as_bytes()),
        Named(KEY, other_key.as_bytes()),
    ];
    let in_two = config_error(&files, CERTIFICATE);
    assert!(
        in_two.starts_with("holds no certificate of the private key in \"/"),
        "{in_two}"
    );
    assert!(
        in_two.contains("(AAD_CLIENT_CERTIFICATE_KEY_PATH), only \"CN=one\". Put"),
        "{in_two}"
    );
}

#[test]
fn a_certificate_whose_time_is_over_or_has_not_come_says_when() {
    for (years, expected) in [
        (
            (2020, 2029),
            "holds the certificate \"CN=one\", which expired on 2029-01-01T00:00:00Z. Put a renewed",
        ),
        (
            (2031, 2040),
            "holds the certificate \"CN=one\", which is not valid before 2031-01-01T00:00:00Z. Wait",
        ),
    ] {
        let one = pki::certificate(&pki::ONE, "one", years);
        let said = certificate_error(pki::bundle(&one, &pki::ONE).as_bytes());
        assert!(said.starts_with(expected), "{said}");
    }
}

#[test]
fn a_key_file_belongs_beside_a_pem_certificate_only() {
    let (pfx, key) = (fixture("modern-no-password.pfx"), fixture("leaf.pkcs8.key"));
    let files = [Named(CERTIFICATE, &pfx), Named(KEY, &key)];
    let directory = Files::new();
    let variables = files.map(|Named(name, content)| (name, directory.write(name, content)));
    let variables = variables
        .each_ref()
        .map(|(name, path)| (*name, path.as_str()));
    let errors = errors_at(&variables, now());
    assert!(
        errors[0].starts_with("AAD_CLIENT_CERTIFICATE_KEY_PATH is "),
        "{errors:?}"
    );
    assert!(
        errors[0].ends_with("Unset it: a PFX brings its own key."),
        "{errors:?}"
    );

    let alone = errors_at(
        &[(KEY, "/x"), ("AAD_CLIENT_SECRET_FILE", variables[0].1)],
        now(),
    );
    assert!(
        alone[0].starts_with("AAD_CLIENT_CERTIFICATE_KEY_PATH is set, but AAD_CLIENT_CERTIFICATE_"),
        "{alone:?}"
    );
}
