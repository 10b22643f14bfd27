//! The certificate of an identity, as `/status` shows it.

use core::time::Duration;

use serde::Serialize;

use super::span;
use crate::config::{Setting, SlotSpec};
use crate::identity::SigningCertificate;
use crate::state::State;
use crate::{Now, calendar};

/// A certificate that ends within this time needs attention: its renewal may take people days.
const SOON: Duration = Duration::from_secs(30 * 86_400);

/// The certificate that signed the last assertion of an identity.
#[derive(Debug, Serialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct CertificateStatus {
    /// When it ends (`notAfter`), in RFC 3339.
    pub ends_on: String,
    /// The seconds until then; 0 if it has ended.
    pub ends_in_seconds: u64,
    /// What to do; `None` if it ends in 30 days or later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

impl CertificateStatus {
    pub(super) fn of(spec: &SlotSpec, certificate: SigningCertificate, now: Now) -> Option<Self> {
        let not_after = certificate.not_after;
        let left = not_after.since(now.wall);
        Some(Self {
            ends_on: calendar::rfc3339(not_after)?,
            ends_in_seconds: left.as_secs(),
            advice: (left < SOON).then(|| advice(left, spec.terms.name(Setting::Credential))),
        })
    }
}

/// The certificate that signed the last assertion of an identity, whatever the audience of the token was.
#[must_use]
pub fn last_certificate(
    slots: &[(&SlotSpec, &State)],
    identity: &str,
) -> Option<SigningCertificate> {
    // An identity that had a certificate before the last update of the configuration may have its token from then.
    let is_its = |spec: &SlotSpec| spec.identity == identity && spec.terms.kind().has_certificate();
    let its = slots.iter().filter(|(spec, _)| is_its(spec));
    its.filter_map(|(_, state)| state.certificate)
        .max_by_key(|certificate| certificate.used)
}

fn advice(left: Duration, setting: Option<&str>) -> String {
    let mut advice = match left.as_secs() {
        0 => "The certificate has expired, and Entra no longer accepts it.".to_owned(),
        left => format!(
            "The certificate ends in {}. After that, Entra issues no tokens for it.",
            span(left)
        ),
    };
    advice.push_str(
        " Register a renewed one with the application, then replace the file; the token-sidecar needs no restart.",
    );
    if let Some(setting) = setting {
        advice.push_str(&format!(" Look at {setting}."));
    }
    advice
}
