//! `SSL_CERT_FILE`, or the system's CA file. It is read before Envoy starts, because Envoy reports most
//! mistakes in it late, or accepts the file and then trusts nobody. A mistake is reported with the number
//! of its PEM block. Formatting mistakes that Envoy would trip over are repaired. What only BoringSSL
//! checks, such as dates, is left to Envoy (`crate::refusal`).

mod pem;

use std::path::PathBuf;

use entra_auth_settings_input::{Problem, file, quoted};
use rustls_pki_types::CertificateDer;

use super::credential_file::content_of;
use super::files::absolute;

/// Ten times as large as any system's, which have 200 kB.
const LARGEST: usize = 4 << 20;

const CERTIFICATE: &str = "CERTIFICATE";

/// The authorities that are trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrustStore {
    /// A file that Envoy reads as it is.
    File(PathBuf),
    /// PEM with the certificates of a file that Envoy would not read, or not whole.
    Mended(String),
}

impl TrustStore {
    /// Reads a PEM file with certificates in it and nothing else but text.
    ///
    /// # Errors
    /// What Envoy could not use, with the number of the block.
    pub fn read(value: &str) -> Result<Self, Problem> {
        const FIX: &str = "Name a PEM file with the authorities' certificates, or leave it unset.";
        let wrong = |what: &str, fix: &str| Problem::which(value, what, fix);
        let content = content_of(value, LARGEST)?;
        if file::is_utf16(&content) {
            return Err(wrong(
                "is in UTF-16",
                "Save it as ASCII or UTF-8: PEM has no other form.",
            ));
        }
        // Of text between the blocks nothing is wanted.
        let text = String::from_utf8_lossy(&content);
        let blocks = pem::blocks(&text).map_err(|(number, damage)| {
            let what = match damage {
                pem::Damage::Unended => "has no END",
                pem::Damage::Unbegun => "has no BEGIN at the start of a line",
            };
            of_block(
                value,
                number,
                what,
                "Copy each certificate whole, with its BEGIN and END.",
            )
        })?;
        if blocks.is_empty() {
            // A SEQUENCE (X.690 §8.9) of more than 127 bytes.
            return Err(match content.as_slice() {
                [0x30, length, ..] if *length >= 0x80 => wrong(
                    "is in DER",
                    "Write it as PEM: openssl x509 -inform der -in <file> -out <new file>.",
                ),
                _ => wrong("holds no PEM certificate", FIX),
            });
        }
        let mut mended = String::new();
        for (before, block) in blocks.iter().enumerate() {
            let certificate = certificate(block)
                .map_err(|(what, fix)| of_block(value, before + 1, &what, fix))?;
            mended.push_str(&pem::encoded(CERTIFICATE, certificate));
        }
        let is_plain = |block: &pem::Block<'_>| block.is_plain && block.label == CERTIFICATE;
        Ok(if blocks.iter().all(is_plain) {
            Self::File(absolute(value))
        } else {
            Self::Mended(mended)
        })
    }

    /// The system's: the first of these files that can be used.
    ///
    /// # Errors
    /// Where none can be used: what is wrong with the first one that is there.
    pub fn of_system(candidates: &[PathBuf]) -> Result<Self, Problem> {
        let mut first_wrong = None;
        for path in candidates.iter().filter(|path| path.exists()) {
            match Self::read(&path.to_string_lossy()) {
                Ok(store) => return Ok(store),
                Err(wrong) => first_wrong = first_wrong.or(Some(wrong)),
            }
        }
        Err(match first_wrong {
            Some(Problem { wrong, fix }) => Problem::new(
                format!("is not set, and the trust store of this system {wrong}"),
                fix,
            ),
            None => Problem::new(
                "is not set, and the system has no trust store in a usual place",
                "Install the package ca-certificates, or name a PEM file of authorities.",
            ),
        })
    }
}

fn of_block(value: &str, number: usize, what: &str, fix: &str) -> Problem {
    Problem::new(
        format!("is {}, of which block {number} {what}", quoted(value)),
        fix,
    )
}

/// The certificate in a block, as DER; else what the block does or is, and what to do.
fn certificate<'a>(block: &'a pem::Block<'_>) -> Result<&'a [u8], (String, &'static str)> {
    const REMOVE: &str = "Remove it: the file is for the authorities' certificates.";
    match block.label {
        // The second is what OpenSSL wrote in the last century, and reads.
        CERTIFICATE | "X509 CERTIFICATE" => {}
        "TRUSTED CERTIFICATE" => {
            return Err((
                "has the label TRUSTED CERTIFICATE, whose conditions of trust only OpenSSL knows"
                    .into(),
                "Write it as a plain one: openssl x509 -in <file> -out <new file>.",
            ));
        }
        "X509 CRL" => {
            return Err((
                "is a certificate revocation list (CRL): with one of them Envoy wants one of every \
                 authority, and trusts nobody else"
                    .into(),
                REMOVE,
            ));
        }
        "PKCS7" | "CMS" => {
            return Err((
                format!("has the label {}, which Envoy does not open", block.label),
                "Write out what is in it: openssl pkcs7 -in <file> -print_certs -out <new file>.",
            ));
        }
        label if label.ends_with("PRIVATE KEY") => {
            return Err((
                format!("has the label {label}: a key has no place in this file"),
                "Remove it, and ask who could read it here.",
            ));
        }
        label => {
            return Err((
                format!("has the label {label} and holds no certificate"),
                REMOVE,
            ));
        }
    }
    const COPY: &str = "Copy the authority's certificate into it anew, or remove the block.";
    let Some(content) = &block.content else {
        return Err(("holds no base64".into(), COPY));
    };
    match webpki::anchor_from_trusted_cert(&CertificateDer::from_slice(content)) {
        Ok(_) => Ok(content),
        Err(error) => Err((format!("holds no certificate ({error})"), COPY)),
    }
}

#[cfg(test)]
pub(crate) mod tests;
