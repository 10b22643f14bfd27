//! What an application proves who it is with: files that change as they do in production.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use azure_sim::{AuthorityCertificate, RegisteredCertificate};
use p12_keystore::{Certificate, KeyStore, KeyStoreEntry, PrivateKey, PrivateKeyChain};
use tempfile::TempDir;
use tokio_rustls::rustls::pki_types::CertificateDer;

/// A file in a folder that is laid out as Kubernetes does it: `token` → `..data/token`,
/// `..data` → a folder of its own for each version, and a new version is one rename.
#[derive(Debug)]
pub struct Projected {
    folder: TempDir,
    version: u32,
}

impl Projected {
    /// With a first content.
    ///
    /// # Panics
    /// When it cannot be written.
    #[must_use]
    pub fn new(content: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        symlink("..data/token", folder.path().join("token")).expect("a link");
        let mut projected = Self { folder, version: 0 };
        projected.replace(content);
        projected
    }

    /// The path that is mounted.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("token")
    }

    /// Puts other content there, in one step.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn replace(&mut self, content: &str) {
        self.version += 1;
        let version = format!("..{}", self.version);
        let at = |name: &str| self.folder.path().join(name);
        fs::create_dir(at(&version)).expect("a folder");
        fs::write(at(&version).join("token"), content).expect("a file");
        symlink(&version, at("..data_tmp")).expect("a link");
        fs::rename(at("..data_tmp"), at("..data")).expect("a rename");
    }
}

/// Writes a file anew, in one step.
///
/// # Panics
/// When it cannot be written.
pub fn replace(path: &Path, content: impl AsRef<[u8]>) {
    let new = path.with_extension("new");
    fs::write(&new, content).expect("a file");
    fs::rename(&new, path).expect("a rename");
}

/// A self-signed certificate with its key, PEM, and what is registered of it.
///
/// # Panics
/// When it cannot be made.
#[must_use]
pub fn certificate(name: &str) -> (String, RegisteredCertificate) {
    self_signed(name, |_| {})
}

/// The same, which ends this long after 1970.
///
/// # Panics
/// When it cannot be made.
#[must_use]
pub fn certificate_until(name: &str, end: Duration) -> (String, RegisteredCertificate) {
    self_signed(name, |parameters| {
        parameters.not_after = rcgen::date_time_ymd(1970, 1, 1) + end;
    })
}

fn self_signed(
    name: &str,
    adapt: impl FnOnce(&mut rcgen::CertificateParams),
) -> (String, RegisteredCertificate) {
    let key = rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048)
        .expect("a key");
    let certificate = rcgen::CertificateParams::new([name.to_owned()])
        .and_then(|mut parameters| {
            adapt(&mut parameters);
            parameters.self_signed(&key)
        })
        .expect("a certificate");
    let registered = RegisteredCertificate::from_der(certificate.der()).expect("an RSA key");
    (certificate.pem() + &key.serialize_pem(), registered)
}

/// A certificate authority of a company's own, whose certificate lies in a file.
#[derive(Debug)]
pub struct Authority {
    issuer: rcgen::CertifiedIssuer<'static, rcgen::KeyPair>,
    folder: TempDir,
}

impl Authority {
    /// A new one of this name.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let mut parameters = named(name);
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().expect("a key");
        let issuer = rcgen::CertifiedIssuer::self_signed(parameters, key).expect("a certificate");
        let folder = tempfile::tempdir().expect("a folder");
        let authority = Self { issuer, folder };
        fs::write(authority.file(), authority.issuer.pem()).expect("a file");
        authority
    }

    /// The file with its certificate, PEM: a value of `SSL_CERT_FILE`. It goes with this value.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.folder.path().join("authority.pem")
    }

    /// A certificate for a server with these names and this key, DER.
    ///
    /// # Panics
    /// When a name is invalid.
    #[must_use]
    pub fn server_certificate(
        &self,
        names: &[&str],
        key: &rcgen::KeyPair,
    ) -> CertificateDer<'static> {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let certificate = rcgen::CertificateParams::new(names)
            .and_then(|parameters| parameters.signed_by(key, &self.issuer))
            .expect("a certificate");
        certificate.into()
    }

    /// What is registered of it.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn registered(&self) -> AuthorityCertificate {
        AuthorityCertificate::from_der(self.issuer.der()).expect("an authority")
    }

    /// A new certificate for this name with a new key, the authority's and the key, PEM.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn certificate(&self, name: &str) -> String {
        let size = rcgen::RsaKeySize::_2048;
        let key = rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, size).expect("a key");
        let certificate = named(name)
            .signed_by(&key, &self.issuer)
            .expect("a certificate");
        certificate.pem() + &self.issuer.pem() + &key.serialize_pem()
    }
}

fn named(name: &str) -> rcgen::CertificateParams {
    let mut parameters = rcgen::CertificateParams::default();
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    parameters
        .distinguished_name
        .push(rcgen::DnType::CommonName, name);
    parameters
}

/// A certificate and its key, PEM, as a PFX with a password.
///
/// # Panics
/// When it cannot be made.
#[must_use]
pub fn pfx(pem: &str, password: &str) -> Vec<u8> {
    let parts = pem::parse_many(pem).expect("PEM");
    let part = |tag: &str| {
        let found = parts.iter().find(|part| part.tag() == tag);
        found.unwrap_or_else(|| panic!("no {tag}")).contents()
    };
    let certificate = Certificate::from_der(part("CERTIFICATE")).expect("a certificate");
    let key = PrivateKey::from_der(part("PRIVATE KEY")).expect("a key");
    let mut store = KeyStore::new();
    let entry = PrivateKeyChain::new("1", key, [certificate]);
    store.add_entry("1", KeyStoreEntry::PrivateKeyChain(entry));
    store.writer(password).write().expect("a PFX")
}
