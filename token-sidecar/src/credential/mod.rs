//! A certificate and its private key, ready to sign: what the files hold, checked as far as that
//! can be done without asking Entra.

mod certificate;
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
use jiff::Timestamp;
use serde_json::json;

use crate::file::FileName;
use crate::settings::config_error::{ConfigError, quoted};
use crate::settings::variables::KEY;
use crate::store::{CertificateFiles, Content};
use crate::text;
pub use certificate::End;
use certificate::{Certificate, Chain};
use password::Password;

/// How assertions are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// RSASSA-PSS with SHA-256; the certificate is named by its SHA-256 thumbprint.
    Ps256,
    /// RSASSA-PKCS1-v1_5 with SHA-256; the certificate is named by its SHA-1 thumbprint: the form
    /// of old clients.
    Rs256,
}

impl Algorithm {
    /// As in the JWT's header (RFC 7518 §3.1).
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ps256 => "PS256",
            Self::Rs256 => "RS256",
        }
    }

    fn padding(self) -> &'static dyn RsaEncoding {
        match self {
            Self::Ps256 => &signature::RSA_PSS_SHA256,
            Self::Rs256 => &signature::RSA_PKCS1_SHA256,
        }
    }
}

/// What assertions look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form {
    /// How they are signed.
    pub algorithm: Algorithm,
    /// Whether they carry the certificate and its chain, which trust by subject name and issuer
    /// needs.
    pub send_chain: bool,
}

/// A certificate with its private key. `Debug` shows the certificate only.
pub struct Credential {
    key: RsaKeyPair,
    algorithm: Algorithm,
    /// The JWT's header, encoded: the same for every assertion.
    header: String,
    leaf: Certificate,
    file: FileName,
    /// What keeps the chain from being whole.
    chain_warning: Option<ConfigError>,
}

impl Credential {
    /// Makes a credential of what the files hold. Whether the certificate is valid now is another
    /// question: see [`Self::judge`].
    pub fn load(
        files: &CertificateFiles,
        content: &Content,
        form: Form,
        now: Timestamp,
    ) -> Result<Self, ConfigError> {
        let (key, mut certificates) = open(files, content)?;
        let public_key = key.public_key().as_ref();
        let Some(leaf) = certificate::take_leaf(&mut certificates, public_key, now) else {
            return Err(no_match(files, &certificates));
        };
        let chain = form
            .send_chain
            .then(|| certificate::chain(leaf.clone(), certificates, now));
        let header = header(form.algorithm, &leaf, chain.as_ref());
        let file = files.certificate.clone();
        let warning = chain.and_then(|chain| chain.warning);
        Ok(Self {
            key,
            algorithm: form.algorithm,
            header,
            leaf,
            chain_warning: warning.map(|(wrong, fix)| file.config_error(wrong, fix)),
            file,
        })
    }

    /// Whether the certificate is valid now; if not, what to tell the user.
    pub fn judge(&self, now: Timestamp) -> Result<(), ConfigError> {
        self.leaf
            .judge(now)
            .map_err(|(wrong, fix)| self.file.config_error(wrong, fix))
    }

    /// What to tell the user about the chain in assertions: it lacks an issuer although the file
    /// seems to hold it, or it is cut.
    #[must_use]
    pub fn chain_warning(&self) -> Option<&ConfigError> {
        self.chain_warning.as_ref()
    }

    /// A signed JWT with these claims (RFC 7515 §3.1, compact form).
    pub fn sign(&self, claims: &serde_json::Value) -> Result<String, Unspecified> {
        let claims = BASE64_URL_SAFE_NO_PAD.encode(claims.to_string());
        let mut jwt = format!("{}.{claims}", self.header);
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key.sign(
            self.algorithm.padding(),
            &SystemRandom::new(),
            jwt.as_bytes(),
            &mut signature,
        )?;
        jwt.push('.');
        BASE64_URL_SAFE_NO_PAD.encode_string(signature, &mut jwt);
        Ok(jwt)
    }

    /// How it signs.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The certificate's subject, as in `CN=…, O=…`.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.leaf.subject
    }

    /// The certificate's SHA-256 thumbprint, as in `x5t#S256`.
    #[must_use]
    pub fn thumbprint(&self) -> String {
        thumbprint(&digest::SHA256, &self.leaf)
    }

    /// The first moment of the certificate's life.
    #[must_use]
    pub fn not_before(&self) -> Timestamp {
        self.leaf.not_before
    }

    /// The last one.
    #[must_use]
    pub fn not_after(&self) -> End {
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

/// The first byte of everything in DER here.
const SEQUENCE: u8 = 0x30;

fn open(
    files: &CertificateFiles,
    content: &Content,
) -> Result<(RsaKeyPair, Vec<Certificate>), ConfigError> {
    let password = match (&files.password, &content.password) {
        (Some(file), Some(content)) => Some(Password::of(content, file)?),
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
    // So base64 text of DER begins.
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
fn header(algorithm: Algorithm, leaf: &Certificate, chain: Option<&Chain>) -> String {
    let mut header = json!({ "alg": algorithm.name(), "typ": "JWT" });
    let (name, digest) = match algorithm {
        Algorithm::Ps256 => ("x5t#S256", &digest::SHA256),
        Algorithm::Rs256 => ("x5t", &digest::SHA1_FOR_LEGACY_USE_ONLY),
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
