//! A certificate and its private key, ready to sign. All is checked that can be checked without
//! asking Entra.

mod certificate;
mod files;
mod key;
mod password;
mod pem_file;
mod pfx;
mod work;

use std::fmt;

use aws_lc_rs::digest;
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{self, KeyPair, RsaEncoding, RsaKeyPair};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use entra_auth_settings_input::choices::AssertionAlgorithm;
use entra_auth_settings_input::{ConfigError, quoted};
use jiff::Timestamp;
use serde_json::json;

use crate::file::NamedFile;
use crate::text;
use crate::variables::KEY;
pub use certificate::Expiry;
use certificate::{Certificate, Chain};
pub use files::{CertificateFiles, FileContents};
use password::Password;

fn padding(algorithm: AssertionAlgorithm) -> &'static dyn RsaEncoding {
    match algorithm {
        AssertionAlgorithm::Ps256 => &signature::RSA_PSS_SHA256,
        AssertionAlgorithm::Rs256 => &signature::RSA_PKCS1_SHA256,
    }
}

/// How assertions are signed, and what their header carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AssertionFormat {
    /// The algorithm of the signature.
    pub algorithm: AssertionAlgorithm,
    /// Whether the header carries the certificate and its chain (`x5c`), which applications need that
    /// trust a certificate by its subject name and issuer.
    pub send_chain: bool,
}

/// A certificate with its private key. `Debug` shows the certificate only.
pub struct Credential {
    key: RsaKeyPair,
    algorithm: AssertionAlgorithm,
    /// The JWT's header in base64url. All assertions have the same.
    header: String,
    leaf: Certificate,
    file: NamedFile,
    /// Why the chain in assertions is not complete.
    chain_warning: Option<ConfigError>,
}

impl Credential {
    /// Makes a credential from the content of the files. Of several certificates of the key, `now`
    /// decides which one is taken. The validity of that one is [`Self::check_validity`]'s to judge.
    ///
    /// # Errors
    /// The content is damaged, encrypted with another password, or holds no RSA key with its
    /// certificate.
    pub fn load(
        files: &CertificateFiles,
        content: &FileContents,
        format: AssertionFormat,
        now: Timestamp,
    ) -> Result<Self, ConfigError> {
        let (key, mut certificates) = open(files, content)?;
        let public_key = key.public_key().as_ref();
        let Some(leaf) = certificate::take_leaf(&mut certificates, public_key, now) else {
            return Err(no_match(files, &certificates));
        };
        let chain = format
            .send_chain
            .then(|| certificate::chain(leaf.clone(), certificates, now));
        let header = header(format.algorithm, &leaf, chain.as_ref());
        let file = files.certificate.clone();
        let warning = chain.and_then(|chain| chain.warning);
        Ok(Self {
            key,
            algorithm: format.algorithm,
            header,
            leaf,
            chain_warning: warning.map(|(wrong, fix)| file.config_error(wrong, fix)),
            file,
        })
    }

    /// Checks whether the certificate is valid at `now`.
    ///
    /// # Errors
    /// It has expired, or is not valid yet.
    pub fn check_validity(&self, now: Timestamp) -> Result<(), ConfigError> {
        self.leaf
            .check_validity(now)
            .map_err(|(wrong, fix)| self.file.config_error(wrong, fix))
    }

    /// A warning about the chain in assertions: an issuer is missing although the file seems to hold
    /// it, or the chain is too long and was cut.
    #[must_use]
    pub fn chain_warning(&self) -> Option<&ConfigError> {
        self.chain_warning.as_ref()
    }

    /// A signed JWT with these claims (RFC 7515 §3.1, compact serialization).
    ///
    /// # Errors
    /// The cryptographic library failed; it gives no reason.
    pub fn sign(&self, claims: &serde_json::Value) -> Result<String, Unspecified> {
        let claims = BASE64_URL_SAFE_NO_PAD.encode(claims.to_string());
        let mut jwt = format!("{}.{claims}", self.header);
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key.sign(
            padding(self.algorithm),
            &SystemRandom::new(),
            jwt.as_bytes(),
            &mut signature,
        )?;
        jwt.push('.');
        BASE64_URL_SAFE_NO_PAD.encode_string(signature, &mut jwt);
        Ok(jwt)
    }

    /// The algorithm of the signatures.
    #[must_use]
    pub fn algorithm(&self) -> AssertionAlgorithm {
        self.algorithm
    }

    /// The certificate's subject, as in `CN=…, O=…`.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.leaf.subject
    }

    /// The certificate's SHA-256 thumbprint in base64url, as `x5t#S256` has it.
    #[must_use]
    pub fn thumbprint(&self) -> String {
        thumbprint(&digest::SHA256, &self.leaf)
    }

    /// The first moment at which the certificate is valid.
    #[must_use]
    pub fn not_before(&self) -> Timestamp {
        self.leaf.not_before
    }

    /// The last moment at which the certificate is valid.
    #[must_use]
    pub fn not_after(&self) -> Expiry {
        self.leaf.not_after
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential")
            .field("subject", &self.leaf.subject)
            .field("not_after", &self.leaf.not_after)
            .finish_non_exhaustive()
    }
}

/// The tag of a `SEQUENCE`: the first byte of a certificate, a key or a PFX in DER.
const SEQUENCE: u8 = 0x30;

/// The private key and all certificates in the files.
fn open(
    files: &CertificateFiles,
    content: &FileContents,
) -> Result<(RsaKeyPair, Vec<Certificate>), ConfigError> {
    let password = match (&files.password, &content.password) {
        (Some(file), Some(content)) => Some(Password::read_from(content, file)?),
        _ => None,
    };
    let (password, file) = (password.as_ref(), &files.certificate);
    let certificate = text::without_mark(&content.certificate);
    text::refuse_utf16(certificate, file)?;
    if pem_file::is_pem(certificate) {
        let certificates = pem_file::certificates(certificate, file)?;
        let key = match (&files.key, &content.key) {
            (Some(file), Some(content)) => pem_file::private_key(content, password, file),
            _ => pem_file::private_key(certificate, password, file),
        }?;
        return Ok((key, certificates));
    }
    if Certificate::parse(certificate).is_some() {
        return Err(file.config_error(
            "is a certificate in DER form, without a private key",
            format!(
                "Convert it to PEM with `openssl x509`, and name its key in {KEY}; or export both \
                 as PFX."
            ),
        ));
    }
    // Base64 of DER begins with these letters.
    if certificate.starts_with(b"MI") {
        return Err(file.config_error(
            "is base64 text, not the PFX itself",
            "Decode it with `base64 -d`; with the Key Vault CSI driver, set objectEncoding: base64.",
        ));
    }
    if !certificate.starts_with(&[SEQUENCE]) {
        return Err(file.config_error(
            "is neither PEM nor PFX",
            "Export the certificate with its private key as PEM or PFX.",
        ));
    }
    if let Some(key) = &files.key {
        return Err(key.config_error(
            format!("is set beside a PFX file ({})", file.setting),
            "Unset it: a PFX brings its own key.",
        ));
    }
    pfx::open(certificate, password, file)
}

fn no_match(files: &CertificateFiles, certificates: &[Certificate]) -> ConfigError {
    let subjects: Vec<String> = certificates
        .iter()
        .map(|certificate| quoted(&certificate.subject))
        .collect();
    let key = match &files.key {
        Some(key) => format!(
            "the private key in {} ({})",
            quoted(&key.path.to_string_lossy()),
            key.setting
        ),
        None => "its private key".into(),
    };
    files.certificate.config_error(
        format!(
            "holds no certificate of {key}, only {}",
            subjects.join(", ")
        ),
        "Put the certificate and the private key that belong together there; after a rotation, \
         replace both.",
    )
}

/// RFC 7515 §4.1: `x5t` and `x5t#S256` are base64url, `x5c` is plain base64.
fn header(algorithm: AssertionAlgorithm, leaf: &Certificate, chain: Option<&Chain>) -> String {
    let mut header = json!({ "alg": algorithm.name(), "typ": "JWT" });
    let (name, digest) = match algorithm {
        AssertionAlgorithm::Ps256 => ("x5t#S256", &digest::SHA256),
        AssertionAlgorithm::Rs256 => ("x5t", &digest::SHA1_FOR_LEGACY_USE_ONLY),
    };
    header[name] = thumbprint(digest, leaf).into();
    if let Some(chain) = chain {
        header["x5c"] = chain
            .certificates
            .iter()
            .map(|certificate| BASE64_STANDARD.encode(&certificate.der))
            .collect();
    }
    BASE64_URL_SAFE_NO_PAD.encode(header.to_string())
}

fn thumbprint(algorithm: &'static digest::Algorithm, certificate: &Certificate) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(digest::digest(algorithm, &certificate.der))
}
