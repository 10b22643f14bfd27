//! What Envoy would refuse late, or take and then trust nobody; and what is mended.

use std::fs;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, IsCa,
    KeyIdMethod, KeyPair, SerialNumber, date_time_ymd,
};
use tempfile::TempDir;

use super::*;

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// PEM with the certificate of an authority.
pub(crate) fn certificate() -> String {
    // rcgen ends lines as Windows does.
    authority().pem().replace("\r\n", "\n")
}

fn crl() -> String {
    let params = CertificateRevocationListParams {
        this_update: date_time_ymd(2026, 1, 1),
        next_update: date_time_ymd(2036, 1, 1),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: Vec::new(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    params.signed_by(&authority()).unwrap().pem().unwrap()
}

fn read_in(directory: &TempDir, content: &[u8]) -> Result<TrustStore, Problem> {
    let path = directory.path().join("ca.pem");
    fs::write(&path, content).unwrap();
    TrustStore::read(path.to_str().unwrap())
}

fn read(content: impl AsRef<[u8]>) -> Result<TrustStore, Problem> {
    read_in(&tempfile::tempdir().unwrap(), content.as_ref())
}

#[test]
fn a_file_that_envoy_reads_as_it_is_is_left_to_it() {
    let directory = tempfile::tempdir().unwrap();
    let expected = Ok(TrustStore::File(directory.path().join("ca.pem")));
    let (one, two) = (certificate(), certificate());
    for content in [
        one.clone(),
        format!("{one}{two}"),
        format!("# One\n{one}\n# Two: ä\n{two}the end"),
        one.replace('\n', "\r\n"),
        one.trim_end().to_owned(),
    ] {
        assert_eq!(
            read_in(&directory, content.as_bytes()),
            expected,
            "{content}"
        );
    }
    // Latin-1 between the blocks.
    let latin = [b"# B\xfccher\n", one.as_bytes()].concat();
    assert_eq!(read_in(&directory, &latin), expected);
}

#[test]
fn what_envoy_would_not_find_is_mended() {
    let (one, two) = (certificate(), certificate());
    let both = format!("{one}{two}");
    for content in [
        // As `cat` leaves it, where the first file has no line break at its end.
        format!("{}{two}", one.trim_end()),
        format!("\u{feff}{both}"),
        format!("{one}\u{feff}{two}"),
        format!("{one}{}", two.replace("CERT", "X509 CERT")),
        both.replace('\n', "\n  "),
        both.replace('\n', "\r"),
    ] {
        assert_eq!(
            read(&content),
            Ok(TrustStore::Mended(both.clone())),
            "{content:?}"
        );
    }
}

#[test]
fn what_is_no_certificate_is_refused_with_its_number() {
    let one = certificate();
    let block = |label: &str, base64: &str| {
        format!("-----BEGIN {label}-----\n{base64}\n-----END {label}-----\n")
    };
    let key = KeyPair::generate().unwrap().serialize_pem();
    let cut: String = one.lines().filter(|line| line.len() != 64).collect();
    let pfx = block("PKCS7", "MAA=");
    for (second, reason) in [
        (block("CERTIFICATE", "MAA="), "holds no certificate"),
        (block("CERTIFICATE", ""), "holds no certificate"),
        (block("CERTIFICATE", "not base64"), "holds no base64"),
        (crl(), "is a certificate revocation list"),
        (key, "has the label PRIVATE KEY: a key has no place"),
        (
            block("ENCRYPTED PRIVATE KEY", "MAA="),
            "has the label ENCRYPTED PRIVATE KEY: a key",
        ),
        (
            one.replace("CERT", "TRUSTED CERT"),
            "has the label TRUSTED CERTIFICATE, whose",
        ),
        (
            block("CERTIFICATE REQUEST", "MAA="),
            "has the label CERTIFICATE REQUEST and",
        ),
        (pfx, "has the label PKCS7, which"),
        (one.replace("-----END", "----END"), "has no END"),
        (one[1..].to_owned(), "has no BEGIN at the start"),
        (format!("# Two{one}"), "has no BEGIN at the start"),
        (
            one.replace("CERTIFICATE-----\nM", "CERTIFICATE-----\nN"),
            "holds no certificate",
        ),
        (cut, "holds no certificate"),
    ] {
        for (before, number) in [("", 1), (one.as_str(), 2)] {
            let problem = read(format!("{before}{second}")).unwrap_err();
            let expected = format!(", of which block {number} {reason}");
            assert!(problem.wrong.contains(&expected), "{expected}: {problem}");
            assert!(!problem.fix.is_empty(), "{problem}");
        }
    }
}

#[test]
fn a_file_without_certificates_is_refused_with_what_it_is() {
    let authority = authority();
    let utf_16: Vec<u8> = certificate()
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    for (content, reason) in [
        (&b""[..], "is empty"),
        (b"\xef\xbb\xbf\n", "holds no PEM certificate"),
        (b"no PEM at all", "holds no PEM certificate"),
        (authority.der(), "is in DER"),
        (&[b"\xff\xfe", utf_16.as_slice()].concat(), "is in UTF-16"),
    ] {
        let problem = read(content).unwrap_err();
        assert!(problem.wrong.ends_with(reason), "{problem}");
    }
    let directory = tempfile::tempdir().unwrap();
    for (path, reason) in [
        (directory.path().join("missing"), "cannot be read"),
        (directory.path().to_owned(), "is a directory"),
        ("/dev/null".into(), "is a pipe, a socket or a device"),
    ] {
        let problem = TrustStore::read(path.to_str().unwrap()).unwrap_err();
        assert!(problem.wrong.contains(reason), "{problem}");
    }
}

#[test]
fn the_first_usable_trust_store_of_the_system_is_taken() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str| {
        let path = directory.path().join(name);
        fs::write(&path, content).unwrap();
        path
    };
    let missing = directory.path().join("missing.pem");
    let wrong = file("wrong.pem", &crl());
    let good = file("good.pem", &certificate());
    let candidates = [missing.clone(), wrong.clone(), good.clone()];
    assert_eq!(
        TrustStore::of_system(&candidates),
        Ok(TrustStore::File(good))
    );

    let problem = TrustStore::of_system(&[missing.clone(), wrong]).unwrap_err();
    assert!(
        problem
            .wrong
            .contains("wrong.pem\", of which block 1 is a cert"),
        "{problem}"
    );
    let problem = TrustStore::of_system(&[missing]).unwrap_err();
    assert!(problem.fix.contains("ca-certificates"), "{problem}");
}

/// The machines that build this have one, of hundreds of authorities as they are.
#[test]
fn the_authorities_of_this_system_are_certificates() {
    let stores = crate::machine::TRUST_STORES.map(PathBuf::from);
    let store = TrustStore::of_system(&stores).unwrap_or_else(|wrong| panic!("{wrong}"));
    assert!(matches!(store, TrustStore::File(_)));
}
