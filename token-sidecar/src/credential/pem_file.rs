//! PEM files (RFC 7468): certificates and one private key in any order, with any text between them.

use aws_lc_rs::signature::RsaKeyPair;
use entra_auth_settings_input::{ConfigError, quoted};
use pem::Pem;
use zeroize::Zeroizing;

use crate::credential::certificate::Certificate;
use crate::credential::key;
use crate::credential::password::Password;
use crate::file::NamedFile;
use crate::text;
use crate::variables::KEY;

const BEGIN: &[u8] = b"-----BEGIN ";

/// Whether a file's content is PEM at all.
#[must_use]
pub(super) fn is_pem(content: &[u8]) -> bool {
    blocks_begun(content) > 0
}

/// The certificates of a file; there is at least one.
pub(super) fn certificates(
    content: &[u8],
    file: &NamedFile,
) -> Result<Vec<Certificate>, ConfigError> {
    let mut certificates = Vec::new();
    for block in blocks(content, file)? {
        if matches!(block.tag(), "CERTIFICATE" | "X509 CERTIFICATE") {
            refuse_empty(&block, file)?;
            certificates.push(Certificate::read(block.contents(), file)?);
        }
    }
    if certificates.is_empty() {
        return Err(file.config_error(
            "holds no certificate",
            "Put the certificate that belongs to the private key there, as PEM.",
        ));
    }
    Ok(certificates)
}

/// The one private key of a file.
pub(super) fn private_key(
    content: &[u8],
    password: Option<&Password>,
    file: &NamedFile,
) -> Result<RsaKeyPair, ConfigError> {
    let mut keys = blocks(content, file)?;
    keys.retain(|block| block.tag().ends_with("PRIVATE KEY"));
    // Several keys are an error before one is decrypted, which takes time.
    let block = match (keys.pop(), keys.len()) {
        (Some(block), 0) => block,
        (Some(_), others) => {
            return Err(file.config_error(
                format!("holds {} private keys", others + 1),
                "Keep the one that belongs to the certificate.",
            ));
        }
        (None, _) => {
            return Err(file.config_error(
                "holds no private key",
                if file.setting == KEY {
                    "Put the certificate's private key there, as PEM.".to_owned()
                } else {
                    format!("Put the private key there too, as PEM, or name its file in {KEY}.")
                },
            ));
        }
    };
    refuse_empty(&block, file)?;
    let is_encrypted = block.headers().get("DEK-Info").is_some();
    let tag = block.tag().to_owned();
    let der = Zeroizing::new(block.into_contents());
    match tag.as_str() {
        _ if is_encrypted => Err(key::old_encryption(file)),
        "PRIVATE KEY" => key::from_pkcs8(&der, file),
        "RSA PRIVATE KEY" => key::from_pkcs1(&der, file),
        "ENCRYPTED PRIVATE KEY" => key::from_encrypted_pkcs8(&der, password, file),
        _ => Err(key::not_rsa(file)),
    }
}

/// Refuses a block without content, as templates and failed exports leave it.
fn refuse_empty(block: &Pem, file: &NamedFile) -> Result<(), ConfigError> {
    if !block.contents().is_empty() {
        return Ok(());
    }
    Err(file.config_error(
        format!(
            "holds a PEM block with nothing in it ({})",
            quoted(block.tag())
        ),
        "Fill it: see that whatever writes the file has the value.",
    ))
}

fn blocks(content: &[u8], file: &NamedFile) -> Result<Vec<Pem>, ConfigError> {
    text::refuse_utf16(content, file)?;
    let damaged = || {
        // The text between the blocks may be in any encoding.
        let text = String::from_utf8_lossy(content);
        match text::first_invisible(&text) {
            Some(text::Invisible { name, line, .. }) => file.config_error(
                format!("holds a damaged PEM block, and {name} in line {line}"),
                "Copy the file again, not its text from a web page or a chat.",
            ),
            None => file.config_error(
                "holds a damaged or incomplete PEM block",
                "Copy the file again; each block ends with its -----END line.",
            ),
        }
    };
    let blocks = pem::parse_many(content).map_err(|_| damaged())?;
    // The parser ignores a block that is cut off at the end.
    if blocks.len() == blocks_begun(content) {
        Ok(blocks)
    } else {
        Err(damaged())
    }
}

fn blocks_begun(content: &[u8]) -> usize {
    content
        .windows(BEGIN.len())
        .filter(|window| *window == BEGIN)
        .count()
}
