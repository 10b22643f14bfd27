//! Certificates and token-sidecars.

use entra_auth_settings_input::choices::AssertionAlgorithm;

use super::*;
use crate::settings::values::{Algorithm, AnyFile, Socket};

#[test]
fn a_certificate_is_given_by_its_files_or_by_a_sidecars_socket() {
    let files = Files::new();
    let (certificate, key, password) =
        (files.name("pem"), files.name("token"), files.name("secret"));
    let plain = of_application(
        "aadApplication",
        &[("AAD_CLIENT_CERTIFICATE_PATH", &certificate)],
    );
    let expected = Certificate {
        path: AnyFile(files.path("pem")),
        key_path: None,
        password_file: None,
        send_chain: true,
        algorithm: Algorithm(AssertionAlgorithm::Ps256),
    };
    assert_eq!(plain.certificate(), Some(&expected));
    let full = of_application(
        "aadApplication",
        &[
            ("AAD_CLIENT_CERTIFICATE_PATH", &certificate),
            ("AAD_CLIENT_CERTIFICATE_KEY_PATH", &key),
            ("AAD_CLIENT_CERTIFICATE_PASSWORD_FILE", &password),
            ("AAD_CLIENT_CERTIFICATE_SEND_CHAIN", "off"),
            ("AAD_CLIENT_ASSERTION_ALGORITHM", "rs256"),
        ],
    );
    let expected = Certificate {
        key_path: Some(AnyFile(files.path("token"))),
        password_file: Some(AnyFile(files.path("secret"))),
        send_chain: false,
        algorithm: Algorithm(AssertionAlgorithm::Rs256),
        ..expected
    };
    assert_eq!(full.certificate(), Some(&expected));

    let socket = files.name("sidecar.sock");
    let of_others = of_application("aadApplication", &[("TOKEN_SIDECAR_SOCKET", &socket)]);
    let expected = Sidecar::OfOthers(Socket(files.path("sidecar.sock")));
    assert!(
        matches!(of_others, Identity::ClientCertificate { sidecar, .. } if sidecar == expected)
    );
}
