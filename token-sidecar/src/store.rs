//! The credential in use, and its replacement when the files change.
//!
//! Where the new files cannot be used the old credential stays, and the log says why. A new
//! certificate is never used with the old key: [`Credential::load`] refuses a certificate and a key
//! that do not belong together.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use entra_auth_settings_input::ConfigError;
use jiff::{SignedDuration, Timestamp};

use crate::credential::{AssertionFormat, CertificateFiles, Credential, Expiry, FileContents};
use crate::log::Log;

/// A certificate that expires within this time gets a warning when it is put in use.
const EXPIRES_SOON: SignedDuration = SignedDuration::from_hours(14 * 24);

/// Holds the credential in use and reads its files anew.
#[derive(Debug)]
pub struct Store {
    files: CertificateFiles,
    format: AssertionFormat,
    log: Log,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    current: Arc<Credential>,
    /// When `current` was put in use.
    loaded: Timestamp,
    /// The credential in the content that was read last, or why that content cannot be used. It
    /// differs from `current` while its certificate is not valid yet.
    newest: Result<Arc<Credential>, ConfigError>,
    /// The digest of the content that was read last.
    digest: Vec<u8>,
    /// Why the present files are not in use.
    error: Option<String>,
}

/// The state of the store at one moment.
#[derive(Debug, Clone)]
pub struct Status {
    /// The credential in use.
    pub credential: Arc<Credential>,
    /// When it was put in use.
    pub loaded: Timestamp,
    /// Why the present files are not in use.
    pub error: Option<String>,
}

impl Store {
    /// Reads the files for the first time.
    ///
    /// # Errors
    /// The files cannot be used, or the certificate is not valid at `now`.
    pub fn open(
        files: CertificateFiles,
        format: AssertionFormat,
        log: Log,
        now: Timestamp,
    ) -> Result<Self, ConfigError> {
        let content = files.read()?;
        let credential = Arc::new(Credential::load(&files, &content, format, now)?);
        credential.check_validity(now)?;
        log_certificate(log, &credential, now);
        let state = State {
            current: Arc::clone(&credential),
            loaded: now,
            newest: Ok(credential),
            digest: content.digest().as_ref().to_vec(),
            error: None,
        };
        Ok(Self {
            files,
            format,
            log,
            state: Mutex::new(state),
        })
    }

    /// Reads the files, and puts a new credential in use if its certificate is valid at `now`.
    ///
    /// Each call reads the files whole, because neither their times nor their inodes are certain to
    /// change when their content does. They are small, and nothing is decrypted or parsed unless the
    /// content is new.
    pub fn refresh(&self, now: Timestamp) {
        let mut state = self.state();
        let error = match self.files.read() {
            Ok(content) => self.put_in_use(&content, &mut state, now).err(),
            Err(error) => Some(error),
        };
        let error = error.map(|error| error.to_string());
        if state.error != error {
            match &error {
                Some(error) if state.current.check_validity(now).is_ok() => {
                    self.log.warning(format_args!(
                        "{error} The certificate loaded before stays in use until {}.",
                        state.current.not_after()
                    ));
                }
                Some(error) => self.log.error(error),
                None => self.log.info("the certificate files are good again"),
            }
            state.error = error;
        }
    }

    /// Makes `content` the newest credential, and the current one if it is valid.
    fn put_in_use(
        &self,
        content: &FileContents,
        state: &mut State,
        now: Timestamp,
    ) -> Result<(), ConfigError> {
        let digest = content.digest();
        if state.digest != digest.as_ref() {
            state.digest = digest.as_ref().to_vec();
            state.newest = Credential::load(&self.files, content, self.format, now).map(Arc::new);
        }
        let newest = state.newest.clone()?;
        newest.check_validity(now)?;
        if !Arc::ptr_eq(&newest, &state.current) {
            log_certificate(self.log, &newest, now);
            state.current = newest;
            state.loaded = now;
        }
        Ok(())
    }

    /// The credential in use, since when, and why newer files are not.
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
        // A panic leaves no half-changed state: each change ends with one assignment.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn log_certificate(log: Log, credential: &Credential, now: Timestamp) {
    let (subject, end) = (credential.subject(), credential.not_after());
    log.info(format_args!(
        "signing with the certificate {subject:?}, x5t#S256 {}, valid until {end}",
        credential.thumbprint()
    ));
    if matches!(end, Expiry::At(end) if end.duration_since(now) < EXPIRES_SOON) {
        log.warning(format_args!(
            "the certificate {subject:?} expires on {end}: renew it"
        ));
    }
    if let Some(warning) = credential.chain_warning() {
        log.warning(warning);
    }
}
