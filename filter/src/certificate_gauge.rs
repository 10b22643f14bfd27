//! `entra_auth_certificate_expiry_timestamp_seconds{identity}`: when the certificate of an identity ends.

use std::cell::OnceCell;

use entra_token_core::identity::SigningCertificate;
use proxy_wasm::types::MetricType;

use crate::host::Metric;
use crate::metrics::define;

/// When the certificate of one identity ends. It is defined once there is something to show, because Envoy
/// cannot remove a gauge.
#[derive(Default)]
pub(crate) struct CertificateGauge(OnceCell<Metric>);

impl CertificateGauge {
    /// Shows a certificate, or 0 in place of the one that was shown before.
    #[inline(never)]
    pub(crate) fn show(&self, identity: &str, certificate: Option<SigningCertificate>) {
        if certificate.is_some() {
            let name = "certificate_expiry_timestamp_seconds";
            let labels = [("identity", identity)];
            self.0
                .get_or_init(|| define(MetricType::Gauge, name, &labels));
        }
        if let Some(gauge) = self.0.get() {
            gauge.set(certificate.map_or(0, |certificate| certificate.not_after.0 / 1000));
        }
    }
}

impl Drop for CertificateGauge {
    fn drop(&mut self) {
        self.show("", None);
    }
}
