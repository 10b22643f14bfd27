//! Certificate files of the token-sidecar: PEM and PFX, with a key and a password.

use std::path::PathBuf;

use entra_auth_settings_input::choices::AssertionAlgorithm;
use jiff::Timestamp;
use token_sidecar::credential::{AssertionFormat, CertificateFiles, Credential, FileContents};
use token_sidecar::file::NamedFile;
use zeroize::Zeroizing;

use crate::{MARKER, hides_the_marker};

/// Stands between the files of an input, of which all but the first may be missing: the
/// certificate's, the password's, the key's.
const BETWEEN: &[u8] = b"\n====\n";

/// The files.
pub(crate) fn certificate(input: &[u8]) {
    let (certificate, rest) = cut(input);
    let (password, key) = rest.map_or((None, None), |rest| {
        let (password, key) = cut(rest);
        (Some(password), key)
    });
    load(certificate, password, key);
    // A wrong password is told, not shown.
    let shown = load(certificate, Some(MARKER.as_bytes()), key);
    hides_the_marker(&shown);
}

fn load(certificate: &[u8], password: Option<&[u8]>, key: Option<&[u8]>) -> String {
    let file = |setting| NamedFile {
        setting,
        path: PathBuf::from("/file"),
    };
    let files = CertificateFiles {
        certificate: file("AAD_CLIENT_CERTIFICATE_PATH"),
        key: key.map(|_| file("AAD_CLIENT_CERTIFICATE_KEY_PATH")),
        password: password.map(|_| file("AAD_CLIENT_CERTIFICATE_PASSWORD_FILE")),
    };
    let content = |bytes: &[u8]| Zeroizing::new(bytes.to_vec());
    let content = FileContents {
        certificate: content(certificate),
        key: key.map(content),
        password: password.map(content),
    };
    let format = AssertionFormat {
        algorithm: AssertionAlgorithm::Ps256,
        send_chain: true,
    };
    // Within the life of the certificates in `corpus/`.
    let now = Timestamp::from_second(1_800_000_000).expect("a moment");
    match Credential::load(&files, &content, format, now) {
        Ok(credential) => {
            let jwt = credential.sign(&serde_json::json!({})).expect("a JWT");
            assert_eq!(jwt.split('.').count(), 3);
            format!("{credential:?} {:?}", credential.check_validity(now))
        }
        Err(error) => {
            let text = error.to_string();
            assert!(text.starts_with("AAD_CLIENT_"), "{text}");
            format!("{text} {error:?}")
        }
    }
}

fn cut(input: &[u8]) -> (&[u8], Option<&[u8]>) {
    let at = input
        .windows(BETWEEN.len())
        .position(|window| window == BETWEEN);
    match at {
        Some(at) => (&input[..at], Some(&input[at + BETWEEN.len()..])),
        None => (input, None),
    }
}
