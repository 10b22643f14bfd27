//! The files of a certificate, its private key and their password.

use aws_lc_rs::digest;
use entra_auth_settings_input::ConfigError;
use zeroize::Zeroizing;

use crate::file::NamedFile;

/// The files that a credential is made of.
#[derive(Debug, Clone)]
pub struct CertificateFiles {
    /// The certificate, as PEM or PFX.
    pub certificate: NamedFile,
    /// The private key as PEM, where the certificate's file does not hold it.
    pub key: Option<NamedFile>,
    /// The password of the PFX file or of the private key.
    pub password: Option<NamedFile>,
}

/// The content of the files that [`CertificateFiles`] names.
pub struct FileContents {
    /// The content of the certificate's file.
    pub certificate: Zeroizing<Vec<u8>>,
    /// The content of the key's file.
    pub key: Option<Zeroizing<Vec<u8>>>,
    /// The content of the password's file.
    pub password: Option<Zeroizing<Vec<u8>>>,
}

impl CertificateFiles {
    /// The files that are named, for the sandbox.
    pub fn all(&self) -> impl Iterator<Item = &NamedFile> {
        [&self.certificate]
            .into_iter()
            .chain(&self.key)
            .chain(&self.password)
    }

    /// Reads all files.
    ///
    /// # Errors
    /// The first file that cannot be used.
    pub fn read(&self) -> Result<FileContents, ConfigError> {
        let read = |file: &Option<NamedFile>| file.as_ref().map(NamedFile::read).transpose();
        Ok(FileContents {
            certificate: self.certificate.read()?,
            key: read(&self.key)?,
            password: read(&self.password)?,
        })
    }
}

impl FileContents {
    /// A SHA-256 digest that differs wherever the content does.
    #[must_use]
    pub fn digest(&self) -> digest::Digest {
        let mut context = digest::Context::new(&digest::SHA256);
        let parts = [
            Some(&self.certificate),
            self.key.as_ref(),
            self.password.as_ref(),
        ];
        for part in parts.into_iter().flatten() {
            // The length keeps the boundary between two parts.
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        context.finish()
    }
}
