//! Certificates that change while the sidecar runs.

use std::fs;
use std::os::unix::fs::symlink;

use rustix::process::Signal;
use serde_json::Value;

use crate::support::jwt::verify;
use crate::support::pki::{self, Certificate};
use crate::support::process::Sidecar;
use crate::support::{ASSERTION, Files, get_at, now, settings};

const CERTIFICATE: &str = "AAD_CLIENT_CERTIFICATE_PATH";
const KEY: &str = "AAD_CLIENT_CERTIFICATE_KEY_PATH";

/// The sidecar signs with this certificate.
fn assert_signs_with(sidecar: &Sidecar, certificate: &Certificate) {
    let reply = sidecar.get(ASSERTION);
    assert_eq!(reply.status, 200, "{reply:?}");
    verify(&reply.body, &certificate.der);
}

fn last_reload_error(sidecar: &Sidecar) -> Value {
    let health = sidecar.get("/health");
    assert_eq!(health.status, 200, "{health:?}");
    health.json()["last_reload_error"].clone()
}

#[test]
fn an_atomic_swap_of_both_files_as_in_kubernetes_is_noticed_without_a_request() {
    let files = Files::new();
    let (one, other) = (
        pki::lasting(&pki::ONE, "one"),
        pki::lasting(&pki::OTHER, "other"),
    );
    // The layout of a mounted Secret: files → ..data → a directory for each version.
    for (version, certificate, key) in [("1", &one, &*pki::ONE), ("2", &other, &*pki::OTHER)] {
        let directory = files.path(&format!("secret/..{version}"));
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("tls.crt"), &certificate.pem).unwrap();
        fs::write(directory.join("tls.key"), key.serialize_pem()).unwrap();
    }
    symlink("..1", files.path("secret/..data")).unwrap();
    symlink("..data/tls.crt", files.path("secret/tls.crt")).unwrap();
    symlink("..data/tls.key", files.path("secret/tls.key")).unwrap();
    let (certificate, key) = (files.value("secret/tls.crt"), files.value("secret/tls.key"));
    let sidecar = Sidecar::start(&files, &[(CERTIFICATE, &certificate), (KEY, &key)]);
    assert_signs_with(&sidecar, &one);

    symlink("..2", files.path("secret/..new")).unwrap();
    fs::rename(files.path("secret/..new"), files.path("secret/..data")).unwrap();
    sidecar.logs("signing with the certificate \"CN=other\"");
    assert_signs_with(&sidecar, &other);
}

#[test]
fn a_new_file_is_used_by_the_next_assertion() {
    let files = Files::new();
    let (one, other) = (
        pki::lasting(&pki::ONE, "one"),
        pki::lasting(&pki::OTHER, "other"),
    );
    let path = files.write("bundle.pem", pki::bundle(&one, &pki::ONE));
    let settings = settings(&[(CERTIFICATE, &path)]);
    verify(&get_at(&settings, ASSERTION, now()).body, &one.der);
    // Once by a rename and once in place.
    files.replace("bundle.pem", pki::bundle(&other, &pki::OTHER));
    verify(&get_at(&settings, ASSERTION, now()).body, &other.der);
    files.write("bundle.pem", pki::bundle(&one, &pki::ONE));
    verify(&get_at(&settings, ASSERTION, now()).body, &one.der);
}

#[test]
fn a_bad_new_file_keeps_the_old_certificate_and_is_spoken_of() {
    let files = Files::new();
    let one = pki::lasting(&pki::ONE, "one");
    let old = pki::certificate(&pki::ONE, "old", (2020, 2021));
    let path = files.write("bundle.pem", pki::bundle(&one, &pki::ONE));
    let sidecar = Sidecar::start(&files, &[(CERTIFICATE, &path)]);
    assert_eq!(last_reload_error(&sidecar), Value::Null);

    let cases = [
        ("".to_owned(), "is empty. Fill it"),
        ("hello".to_owned(), "is neither PEM nor PFX. Export"),
        (
            pki::bundle(&one, &pki::ONE).replacen("\nMII", "\nM\u{200b}II", 1),
            "holds a damaged PEM block, and a zero width space (U+200B) in line 2. Copy",
        ),
        (
            pki::bundle(&one, &pki::OTHER),
            "holds no certificate of its private key, only \"CN=one\". Put",
        ),
        (
            pki::bundle(&old, &pki::ONE),
            "holds the certificate \"CN=old\", which expired on 2021-01-01T00:00:00Z. Put",
        ),
    ];
    for (content, expected) in cases {
        files.replace("bundle.pem", content);
        assert_signs_with(&sidecar, &one);
        let said = last_reload_error(&sidecar);
        let start = format!("{CERTIFICATE} is {path:?}, which {expected}");
        assert!(said.as_str().unwrap().starts_with(&start), "{said}");
        let log = sidecar.log();
        assert_eq!(log.matches(&start).count(), 1, "{log}");
        assert!(
            log.contains("The certificate loaded before stays in use until 2120-01-01T00:00:00Z."),
            "{log}"
        );
    }

    fs::remove_file(&path).unwrap();
    assert_signs_with(&sidecar, &one);
    let said = last_reload_error(&sidecar);
    assert!(
        said.as_str()
            .unwrap()
            .contains("which does not exist. Correct"),
        "{said}"
    );

    files.write("bundle.pem", pki::bundle(&one, &pki::ONE));
    assert_signs_with(&sidecar, &one);
    assert_eq!(last_reload_error(&sidecar), Value::Null);
    sidecar.logs("the certificate files are good again");
}

#[test]
fn a_new_certificate_waits_for_its_key() {
    let files = Files::new();
    let (one, other) = (
        pki::lasting(&pki::ONE, "one"),
        pki::lasting(&pki::OTHER, "other"),
    );
    let certificate = files.write("tls.crt", &one.pem);
    let key = files.write("tls.key", pki::ONE.serialize_pem());
    let settings = settings(&[(CERTIFICATE, &certificate), (KEY, &key)]);

    files.replace("tls.crt", &other.pem);
    verify(&get_at(&settings, ASSERTION, now()).body, &one.der);
    files.replace("tls.key", pki::OTHER.serialize_pem());
    verify(&get_at(&settings, ASSERTION, now()).body, &other.der);

    // In the other order: the key first.
    files.replace("tls.key", pki::ONE.serialize_pem());
    verify(&get_at(&settings, ASSERTION, now()).body, &other.der);
    files.replace("tls.crt", &one.pem);
    verify(&get_at(&settings, ASSERTION, now()).body, &one.der);
}

#[test]
fn a_certificate_that_is_not_valid_yet_waits_for_its_time() {
    let files = Files::new();
    let one = pki::lasting(&pki::ONE, "one");
    let next = pki::certificate(&pki::OTHER, "next", (2031, 2040));
    let path = files.write("bundle.pem", pki::bundle(&one, &pki::ONE));
    let settings = settings(&[(CERTIFICATE, &path)]);
    files.replace("bundle.pem", pki::bundle(&next, &pki::OTHER));

    verify(&get_at(&settings, ASSERTION, now()).body, &one.der);
    let health = get_at(&settings, "/health", now()).body;
    assert!(
        health.contains("which is not valid before 2031-01-01T00:00:00Z. Wait"),
        "{health}"
    );

    let then = "2031-01-01T00:00:00Z".parse().unwrap();
    verify(&get_at(&settings, ASSERTION, then).body, &next.der);
    let health = get_at(&settings, "/health", then).body;
    assert!(health.contains("\"last_reload_error\":null"), "{health}");
}

#[test]
fn an_expired_certificate_signs_nothing_until_a_new_one_is_there() {
    let files = Files::new();
    let one = pki::certificate(&pki::ONE, "one", (2020, 2035));
    let path = files.write("bundle.pem", pki::bundle(&one, &pki::ONE));
    let settings = settings(&[(CERTIFICATE, &path)]);

    let last = "2035-01-01T00:00:00Z".parse().unwrap();
    assert_eq!(get_at(&settings, ASSERTION, last).status, 200);
    let over = "2035-01-01T00:00:01Z".parse().unwrap();
    let refused = get_at(&settings, ASSERTION, over);
    assert_eq!(refused.status, 503);
    let body: Value = serde_json::from_str(&refused.body).unwrap();
    assert_eq!(body["error"], "invalid_certificate");
    let expected = format!(
        "{CERTIFICATE} is {path:?}, which holds the certificate \"CN=one\", which expired on \
         2035-01-01T00:00:00Z. Put a renewed certificate there, and register it with the application."
    );
    assert_eq!(body["error_description"], expected);
    let health = get_at(&settings, "/health", over);
    assert_eq!(health.status, 503);
    assert!(
        health.body.contains("\"status\":\"certificate_not_valid\""),
        "{health:?}"
    );

    let renewed = pki::lasting(&pki::OTHER, "renewed");
    files.replace("bundle.pem", pki::bundle(&renewed, &pki::OTHER));
    verify(&get_at(&settings, ASSERTION, over).body, &renewed.der);
    assert_eq!(get_at(&settings, "/health", over).status, 200);
}

#[test]
fn a_certificate_that_expires_soon_is_warned_about() {
    let files = Files::new();
    let soon = pki::ending_tomorrow(&pki::ONE, "soon");
    let path = files.write("bundle.pem", pki::bundle(&soon, &pki::ONE));
    let mut sidecar = Sidecar::start(&files, &[(CERTIFICATE, &path)]);
    sidecar.logs("warning: the certificate \"CN=soon\" expires on ");
    assert!(sidecar.end(Signal::TERM).success());
}
