//! Why a PFX cannot be opened.

use pkcs8::ObjectIdentifier;
use pkcs8::der;

use crate::credential::work::TooMuchWork;

/// Why a PFX cannot be opened.
#[derive(Debug)]
pub(super) enum PfxError {
    /// The file is no PFX, or it is damaged; with the reason.
    Unsound(String),
    /// The algorithm of a part, which the first value names, is not supported.
    Unsupported(&'static str, ObjectIdentifier),
    /// The password is wrong.
    Password,
    /// Opening it takes too much work.
    TooMuchWork,
}

impl From<der::Error> for PfxError {
    fn from(error: der::Error) -> Self {
        Self::Unsound(error.to_string())
    }
}

impl From<TooMuchWork> for PfxError {
    fn from(_: TooMuchWork) -> Self {
        Self::TooMuchWork
    }
}
