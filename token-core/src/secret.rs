//! Text that no log may ever hold.

use core::fmt;

use serde::{Deserialize, Serialize};

/// A token, secret or assertion. `Debug` hides it, `Display` does not exist.
///
/// Serialization exists for the record in shared data (`record`), whose bytes never leave
/// the Envoy process.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Takes `text` out of sight.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text itself, for the one place that sends it.
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
