//! What the token-sidecar tells, beside an assertion, about the certificate that signed it.

use serde::{Deserialize, Serialize};

use crate::{Mono, Now, Wall};

/// The response header with the end of the certificate: its `notAfter` (RFC 5280 §4.1.2.5) in seconds
/// since 1970, as decimal digits.
pub const CERTIFICATE_NOT_AFTER: &str = "x-certificate-not-after";

/// 9999-12-31T23:59:59Z, the latest `notAfter`: a certificate with it has no end (RFC 5280 §4.1.2.5).
pub const NO_END: u64 = 253_402_300_799;

/// A certificate with which the token-sidecar signed an assertion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SigningCertificate {
    /// The last moment at which the certificate is valid.
    pub not_after: Wall,
    /// When the assertion arrived.
    pub used: Mono,
}

impl SigningCertificate {
    /// Reads the value of [`CERTIFICATE_NOT_AFTER`]; `None` if it is no moment up to the year 9999.
    #[must_use]
    pub fn read(not_after: &str, now: Now) -> Option<Self> {
        // `parse` alone would take a sign.
        let is_number = not_after.bytes().all(|b| b.is_ascii_digit());
        let seconds: u64 = not_after.parse().ok().filter(|_| is_number)?;
        (seconds <= NO_END).then(|| Self {
            not_after: Wall(seconds.saturating_mul(1000)),
            used: now.mono,
        })
    }
}
