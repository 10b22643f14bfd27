//! Certificates that are made while the tests run, where a fixture cannot have what they need.

use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};

use rcgen::{CertificateParams, DnType, KeyPair, PKCS_RSA_SHA256, date_time_ymd};

/// Two keys for all tests of a process, because making one takes long.
pub(crate) static ONE: LazyLock<KeyPair> = LazyLock::new(key);
pub(crate) static OTHER: LazyLock<KeyPair> = LazyLock::new(key);

fn key() -> KeyPair {
    KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap()
}

/// A self-signed certificate.
pub(crate) struct Certificate {
    pub(crate) pem: String,
    pub(crate) der: Vec<u8>,
}

/// A certificate of a key with a name, valid in these years.
pub(crate) fn certificate(key: &KeyPair, name: &str, years: (i32, i32)) -> Certificate {
    signed(key, name, |params| {
        params.not_before = date_time_ymd(years.0, 1, 1);
        params.not_after = date_time_ymd(years.1, 1, 1);
    })
}

/// A certificate of a key with a name that ends in a day, by the clock of this machine.
pub(crate) fn ending_tomorrow(key: &KeyPair, name: &str) -> Certificate {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    signed(key, name, |params| {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(1970, 1, 2) + since_1970;
    })
}

fn signed(key: &KeyPair, name: &str, live: impl FnOnce(&mut CertificateParams)) -> Certificate {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    live(&mut params);
    let certificate = params.self_signed(key).unwrap();
    Certificate {
        pem: certificate.pem(),
        der: certificate.der().to_vec(),
    }
}

/// A certificate that is valid for as long as anybody runs these tests.
pub(crate) fn lasting(key: &KeyPair, name: &str) -> Certificate {
    certificate(key, name, (2020, 2120))
}

/// A certificate and its key in one PEM file.
pub(crate) fn bundle(certificate: &Certificate, key: &KeyPair) -> String {
    format!("{}{}", certificate.pem, key.serialize_pem())
}

/// The certificates (DER) of a PEM fixture.
pub(crate) fn certificates_of(fixture: &str) -> Vec<Vec<u8>> {
    pem::parse_many(super::fixture(fixture))
        .unwrap()
        .into_iter()
        .map(pem::Pem::into_contents)
        .collect()
}
