//! Secret text, which must not appear in logs.

use core::fmt;

use serde::{Deserialize, Serialize};

/// A token, secret or assertion. `Debug` does not show the text, and there is no `Display`.
///
/// `Serialize` is for the record in shared data ([`crate::record`]), which does not leave the Envoy
/// process.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text, to be sent.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("...")
    }
}
