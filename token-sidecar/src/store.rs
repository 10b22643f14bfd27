//! The credential in use, and its renewal when the files change. A bad new file keeps the old
//! credential and is spoken of; a new certificate never meets the old key, because a credential
//! is made only of a certificate and a key that belong together.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::digest;
use jiff::{SignedDuration, Timestamp};
use zeroize::Zeroizing;

use crate::credential::{Credential, End, Form};
use crate::file::FileName;
use crate::log::Log;
use crate::settings::config_error::ConfigError;

/// A certificate that ends so soon is warned about when it is loaded.
const SOON: SignedDuration = SignedDuration::from_hours(14 * 24);

/// The files that make a credential.
#[derive(Debug, Clone)]
pub struct CertificateFiles {
    /// PEM or PFX.
    pub certificate: FileName,
    /// PEM, where the key is not in the file above.
    pub key: Option<FileName>,
    /// The password of either.
    pub password: Option<FileName>,
}

/// What the files hold.
pub struct Content {
    /// The certificate's file.
    pub certificate: Zeroizing<Vec<u8>>,
    /// The key's.
    pub key: Option<Zeroizing<Vec<u8>>>,
    /// The password's.
    pub password: Option<Zeroizing<Vec<u8>>>,
}

impl CertificateFiles {
    /// All files there are, for the sandbox.
    pub fn all(&self) -> impl Iterator<Item = &FileName> {
        [&self.certificate]
            .into_iter()
            .chain(&self.key)
            .chain(&self.password)
    }

    fn read(&self) -> Result<Content, ConfigError> {
        let read = |file: &Option<FileName>| file.as_ref().map(FileName::read).transpose();
        Ok(Content {
            certificate: self.certificate.read()?,
            key: read(&self.key)?,
            password: read(&self.password)?,
        })
    }
}

impl Content {
    /// The same digest means the same content.
    fn digest(&self) -> digest::Digest {
        let mut context = digest::Context::new(&digest::SHA256);
        let parts = [
            Some(&self.certificate),
            self.key.as_ref(),
            self.password.as_ref(),
        ];
        for part in parts.into_iter().flatten() {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        context.finish()
    }
}

/// The credential in use.
#[derive(Debug)]
pub struct Store {
    files: CertificateFiles,
    form: Form,
    log: Log,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    current: Arc<Credential>,
    /// When `current` was put in use.
    loaded: Timestamp,
    /// What was made of the content that was read last; it may wait for its time.
    newest: Result<Arc<Credential>, ConfigError>,
    digest: Vec<u8>,
    /// Why `newest`, or what the files hold now, is not in use.
    error: Option<String>,
}

/// What is known about the credential.
#[derive(Debug, Clone)]
pub struct Status {
    /// The one in use.
    pub credential: Arc<Credential>,
    /// Since when it is.
    pub loaded: Timestamp,
    /// Why what the files hold now is not in use.
    pub error: Option<String>,
}

impl Store {
    /// Reads the files for the first time: a credential that cannot be used now is a mistake.
    pub fn open(
        files: CertificateFiles,
        form: Form,
        log: Log,
        now: Timestamp,
    ) -> Result<Self, ConfigError> {
        let content = files.read()?;
        let credential = Arc::new(Credential::load(&files, &content, form, now)?);
        credential.judge(now)?;
        announce(log, &credential, now);
        let state = State {
            current: Arc::clone(&credential),
            loaded: now,
            newest: Ok(credential),
            digest: content.digest().as_ref().to_vec(),
            error: None,
        };
        Ok(Self {
            files,
            form,
            log,
            state: Mutex::new(state),
        })
    }

    /// Looks at the files and puts what is new and good in use.
    ///
    /// The files are read whole each time, because neither their times nor their inodes change
    /// for certain when their content does; they are small, and nothing is decrypted or parsed
    /// unless the content is new.
    pub fn refresh(&self, now: Timestamp) {
        let mut state = self.state();
        let error = match self.files.read() {
            Ok(content) => self.take(&content, &mut state, now).err(),
            Err(error) => Some(error),
        };
        let error = error.map(|error| error.to_string());
        if state.error != error {
            match &error {
                Some(error) if state.current.judge(now).is_ok() => self.log.warning(format_args!(
                    "{error} The certificate loaded before stays in use until {}.",
                    state.current.not_after()
                )),
                Some(error) => self.log.error(error),
                None => self.log.info("the certificate files are good again"),
            }
            state.error = error;
        }
    }

    fn take(
        &self,
        content: &Content,
        state: &mut State,
        now: Timestamp,
    ) -> Result<(), ConfigError> {
        let digest = content.digest();
        if state.digest != digest.as_ref() {
            state.digest = digest.as_ref().to_vec();
            state.newest = Credential::load(&self.files, content, self.form, now).map(Arc::new);
        }
        let newest = state.newest.clone()?;
        newest.judge(now)?;
        if !Arc::ptr_eq(&newest, &state.current) {
            announce(self.log, &newest, now);
            state.current = newest;
            state.loaded = now;
        }
        Ok(())
    }

    /// The credential in use and what is known about it.
    #[must_use]
    pub fn status(&self) -> Status {
        let state = self.state();
        Status {
            credential: Arc::clone(&state.current),
            loaded: state.loaded,
            error: state.error.clone(),
        }
    }

    /// The files, for the sandbox.
    #[must_use]
    pub fn files(&self) -> &CertificateFiles {
        &self.files
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is made by one assignment at its end: there is no half-changed state.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn announce(log: Log, credential: &Credential, now: Timestamp) {
    let (subject, end) = (credential.subject(), credential.not_after());
    log.info(format_args!(
        "signing with the certificate {subject:?}, x5t#S256 {}, valid until {end}",
        credential.thumbprint()
    ));
    if matches!(end, End::At(end) if end.duration_since(now) < SOON) {
        log.warning(format_args!(
            "the certificate {subject:?} expires on {end}: renew it"
        ));
    }
    if let Some(warning) = credential.chain_warning() {
        log.warning(warning);
    }
}
