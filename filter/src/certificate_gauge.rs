//! `entra_auth_certificate_expiry_timestamp_seconds{identity}`: when the certificate of an identity ends.
//!
//! The gauge has no label for the audience, because the certificate is the identity's. All tokens of an
//! identity share one gauge in a VM, and after a rotation the one that was requested last is right.

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::{Rc, Weak};

use entra_token_core::Mono;
use entra_token_core::identity::SigningCertificate;
use proxy_wasm::types::MetricType;

use crate::host::Metric;
use crate::metrics::full_name;

thread_local! {
    /// The gauges by the identity's name. The tokens own them.
    static GAUGES: RefCell<Vec<(String, Weak<CertificateGauge>)>> = RefCell::default();
}

/// When the certificate of one identity ends.
pub(crate) struct CertificateGauge {
    name: String,
    /// Defined once there is something to show: Envoy cannot remove a gauge.
    gauge: OnceCell<Metric>,
    /// When the certificate that is shown was used.
    used: Cell<Mono>,
}

impl CertificateGauge {
    pub(crate) fn of(identity: &str) -> Rc<Self> {
        GAUGES.with_borrow_mut(|gauges| {
            gauges.retain(|(_, gauge)| gauge.strong_count() > 0);
            let mut known = gauges.iter().filter(|(name, _)| name == identity);
            if let Some(gauge) = known.find_map(|(_, gauge)| gauge.upgrade()) {
                return gauge;
            }
            let gauge = Rc::new(Self {
                name: full_name(
                    "certificate_expiry_timestamp_seconds",
                    &[("identity", identity)],
                ),
                gauge: OnceCell::new(),
                used: Cell::default(),
            });
            gauges.push((identity.to_owned(), Rc::downgrade(&gauge)));
            gauge
        })
    }

    /// Shows this certificate, unless the one that is shown was used later.
    pub(crate) fn show(&self, certificate: SigningCertificate) {
        if certificate.used >= self.used.get() {
            self.used.set(certificate.used);
            let define = || Metric::define(MetricType::Gauge, &self.name);
            let gauge = self.gauge.get_or_init(define);
            gauge.set(certificate.not_after.0 / 1000);
        }
    }

    /// Shows 0: the identity has no certificate.
    pub(crate) fn clear(&self) {
        if let Some(gauge) = self.gauge.get() {
            gauge.set(0);
        }
    }
}

impl Drop for CertificateGauge {
    fn drop(&mut self) {
        self.clear();
    }
}
