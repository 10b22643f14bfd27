//! Authorities that the launcher can read and Envoy refuses.

use std::fs;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use e2e::{free_port, stand_in, tools};
use rcgen::{CertificateParams, KeyPair};

/// PEM with a certificate in which these bytes have become others.
fn certificate(old: &[u8], new: &[u8]) -> String {
    let params = CertificateParams::default();
    let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
    let mut der = certificate.der().to_vec();
    let windows = der.windows(old.len());
    let places: Vec<usize> = windows
        .enumerate()
        .filter_map(|(place, window)| (window == old).then_some(place))
        .collect();
    assert!(!places.is_empty());
    for place in places {
        der[place..place + new.len()].copy_from_slice(new);
    }
    let base64 = STANDARD.encode(der);
    let lines = base64.as_bytes().chunks(64).map(String::from_utf8_lossy);
    let lines: Vec<_> = lines.collect();
    let lines = lines.join("\n");
    format!("-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----\n")
}

/// BoringSSL reads dates and names, which nobody else needs of an authority.
#[test]
fn authorities_that_envoy_refuses_are_a_mistake_of_the_setting_for_run_and_check() {
    let directory = tempfile::tempdir().unwrap();
    let module = stand_in::passive_module(directory.path())
        .display()
        .to_string();
    let nobody = format!("http://127.0.0.1:{}", free_port());
    let store = directory.path().join("ca.pem");
    // rcgen's own date and name.
    let february_30 = certificate(b"750101000000Z", b"750230000000Z");
    let latin_1 = certificate(b"rcgen self", b"rcg\xfcn self");
    let glued = format!("{}{february_30}", february_30.trim_end());
    for content in [february_30, latin_1, glued] {
        fs::write(&store, &content).unwrap();
        for (command, level, code) in [
            ("render", "warning", 0),
            ("check", "warning", 64),
            ("check", "debug", 64),
            ("run", "warning", 64),
        ] {
            let output = Command::new(tools::launcher())
                .arg(command)
                .env_clear()
                // Tokens are asked for without TLS.
                .env("IDENTITY_TYPE", "systemAssigned")
                .env("TARGET_HOST", "x.prometheus.monitor.azure.com")
                .env("ENTRA_AUTH_MODULE", &module)
                .env("AZURE_POD_IDENTITY_AUTHORITY_HOST", &nobody)
                .env("SSL_CERT_FILE", &store)
                .env("ENVOY_BINARY", tools::envoy())
                .env("LOG_LEVEL", level)
                .env("LISTENING_PORT", free_port().to_string())
                .env("STATUS_PORT", free_port().to_string())
                .env("TMPDIR", directory.path())
                .output()
                .expect("the launcher runs");
            let told = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(code), "{command}: {told}");
            let expected = "  SSL_CERT_FILE names authorities that Envoy refuses: Failed to load \
                            trusted CA certificates from ";
            assert_eq!(told.contains(expected), code == 64, "{command}: {told}");
        }
    }
}
