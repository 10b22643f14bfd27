//! Secrets are in no log, in no `Debug` output, and only in the answer that serves them.

use crate::support::pki;
use crate::support::process::Sidecar;
use crate::support::{ASSERTION, FIXTURE_PASSWORD, Files, fixture, settings};

/// Pieces of a PEM key: any line of it is secret.
fn lines_of(key: &str) -> impl Iterator<Item = &str> {
    key.lines().filter(|line| !line.starts_with("-----"))
}

#[test]
fn no_log_line_and_no_health_answer_holds_a_secret() {
    let files = Files::new();
    let pfx = files.write("leaf.pfx", fixture("modern.pfx"));
    let password = files.write("password", FIXTURE_PASSWORD);
    let secret = files.write("secret", "s3cret-of-the-client");
    let sidecar = Sidecar::start(
        &files,
        &[
            ("AAD_CLIENT_CERTIFICATE_PATH", &pfx),
            ("AAD_CLIENT_CERTIFICATE_PASSWORD_FILE", &password),
            ("AAD_CLIENT_SECRET_FILE", &secret),
            ("LOG_LEVEL", "debug"),
        ],
    );
    let assertion = sidecar.get(ASSERTION);
    assert_eq!(assertion.status, 200, "{assertion:?}");
    assert_eq!(sidecar.get("/client-secret").body, "s3cret-of-the-client");
    sidecar.get("/nothing?s3cret-of-the-client");

    // A certificate and a key that do not belong together, and a wrong password.
    let key = pki::OTHER.serialize_pem();
    let mismatched = pki::bundle(&pki::lasting(&pki::ONE, "one"), &pki::OTHER);
    files.replace("leaf.pfx", mismatched);
    let mismatch = sidecar.get("/health");
    assert!(
        mismatch
            .body
            .contains("holds no certificate of its private key"),
        "{mismatch:?}"
    );
    files.replace("leaf.pfx", fixture("bouncy-castle.pfx"));
    files.replace("password", format!("{FIXTURE_PASSWORD}\u{200b}"));
    let wrong = sidecar.get("/health");
    assert!(
        wrong.body.contains("does not hold the password"),
        "{wrong:?}"
    );

    let log = sidecar.log();
    assert!(log.contains("GET \"/assertion\" 200"), "{log}");
    let shown = log + &mismatch.body + &wrong.body;
    let leaf = String::from_utf8(fixture("leaf.pkcs8.key")).unwrap();
    let signature = assertion.body.rsplit('.').next().unwrap();
    let secrets = [FIXTURE_PASSWORD, "s3cret-of-the-client", signature];
    for secret in secrets
        .into_iter()
        .chain(lines_of(&key))
        .chain(lines_of(&leaf))
    {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
}

#[test]
fn debug_of_all_settings_shows_the_certificate_and_no_secret() {
    let files = Files::new();
    let bundle = [fixture("leaf.pem"), fixture("leaf.encrypted.key")].concat();
    let path = files.write("bundle.pem", bundle);
    let password = files.write("password", FIXTURE_PASSWORD);
    let settings = settings(&[
        ("AAD_CLIENT_CERTIFICATE_PATH", &path),
        ("AAD_CLIENT_CERTIFICATE_PASSWORD_FILE", &password),
    ]);
    let shown = format!("{settings:?}");
    assert!(shown.contains("token-sidecar test leaf"), "{shown}");
    assert!(!shown.contains(FIXTURE_PASSWORD), "{shown}");
    // The key in every form in which bytes are shown: as numbers, as text, in base64.
    assert!(!shown.to_lowercase().contains("key {"), "{shown}");
    assert!(shown.len() < 3000, "{shown}");
}
