//! Certificates that are made while the tests run, where a fixture cannot have what they need.

use std::sync::LazyLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, PKCS_RSA_SHA256,
    date_time_ymd,
};

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
    signed(key, name, |params| live(params, years))
}

/// Years of a certificate that has no well-defined end (RFC 5280 §4.1.2.5).
pub(crate) const WITHOUT_END: (i32, i32) = (2020, 9999);

fn live(params: &mut CertificateParams, years: (i32, i32)) {
    params.not_before = date_time_ymd(years.0, 1, 1);
    params.not_after = match years.1 {
        9999 => date_time_ymd(9999, 12, 31) + Duration::from_secs(24 * 60 * 60 - 1),
        year => date_time_ymd(year, 1, 1),
    };
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
    let mut params = named(name);
    live(&mut params);
    params.self_signed(key).unwrap().into()
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

impl From<rcgen::Certificate> for Certificate {
    fn from(certificate: rcgen::Certificate) -> Self {
        Self {
            pem: certificate.pem(),
            der: certificate.der().to_vec(),
        }
    }
}

/// An authority with a key of its own.
pub(crate) struct Authority {
    key: KeyPair,
    name: String,
    /// Whether certificates name its key (RFC 5280 §4.2.1.1 and §4.2.1.2).
    is_identified: bool,
    pub(crate) certificate: Certificate,
}

impl Authority {
    pub(crate) fn new(name: &str, years: (i32, i32), is_identified: bool) -> Self {
        Self::of(KeyPair::generate().unwrap(), name, years, is_identified)
    }

    pub(crate) fn of(key: KeyPair, name: &str, years: (i32, i32), is_identified: bool) -> Self {
        let params = authority(name, years, is_identified);
        let certificate = params.self_signed(&key).unwrap().into();
        Self {
            key,
            name: name.into(),
            is_identified,
            certificate,
        }
    }

    /// Another certificate for the same key.
    pub(crate) fn renewed(&self, years: (i32, i32)) -> Certificate {
        let params = authority(&self.name, years, self.is_identified);
        params.self_signed(&self.key).unwrap().into()
    }

    /// A certificate for another's key.
    pub(crate) fn issue(&self, key: &KeyPair, name: &str, years: (i32, i32)) -> Certificate {
        let mut params = named(name);
        live(&mut params, years);
        self.sign(params, key)
    }

    /// A certificate for another authority.
    pub(crate) fn certify(&self, other: &Self, years: (i32, i32)) -> Certificate {
        self.sign(
            authority(&other.name, years, other.is_identified),
            &other.key,
        )
    }

    fn sign(&self, mut params: CertificateParams, key: &KeyPair) -> Certificate {
        params.use_authority_key_identifier_extension = self.is_identified;
        // Of these the name and whether the key is identified count.
        let own = authority(&self.name, (2020, 2040), self.is_identified);
        let issuer = Issuer::from_params(&own, &self.key);
        params.signed_by(key, &issuer).unwrap().into()
    }
}

fn authority(name: &str, years: (i32, i32), is_identified: bool) -> CertificateParams {
    let mut params = named(name);
    live(&mut params, years);
    if is_identified {
        // With it goes the identifier of the key.
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    }
    params
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
