//! The three signals, and the variables that exist once for all of them and once for each.

pub use entra_token_core::telemetry_exports::Signal;

/// The signal's own of three things, which are in the order of [`Signal::ALL`].
pub(super) fn own<T>(signal: Signal, [metrics, traces, logs]: &[T; 3]) -> &T {
    match signal {
        Signal::Metrics => metrics,
        Signal::Traces => traces,
        Signal::Logs => logs,
    }
}

/// The variable that says by which exporters a signal is sent.
#[must_use]
pub fn selection(signal: Signal) -> &'static str {
    match signal {
        Signal::Metrics => "OTEL_METRICS_EXPORTER",
        Signal::Traces => "OTEL_TRACES_EXPORTER",
        Signal::Logs => "OTEL_LOGS_EXPORTER",
    }
}

/// The variables of an option that can be set for all signals, and for one, whose value then counts.
#[derive(Debug)]
pub struct ExporterOption {
    /// The variable for all signals.
    pub general: &'static str,
    /// Those for one signal, in the order of [`Signal::ALL`].
    pub own: [&'static str; 3],
}

impl ExporterOption {
    /// The variable for this signal alone.
    #[must_use]
    pub fn of(&self, signal: Signal) -> &'static str {
        own::<&'static str>(signal, &self.own)
    }

    /// All its variables.
    pub fn all(&self) -> impl Iterator<Item = &'static str> {
        [self.general].into_iter().chain(self.own)
    }
}

macro_rules! exporter_options {
    ($($(#[$doc:meta])* $constant:ident;)+) => {$(
        $(#[$doc])*
        pub const $constant: &ExporterOption = &ExporterOption {
            general: concat!("OTEL_EXPORTER_OTLP_", stringify!($constant)),
            own: [
                concat!("OTEL_EXPORTER_OTLP_METRICS_", stringify!($constant)),
                concat!("OTEL_EXPORTER_OTLP_TRACES_", stringify!($constant)),
                concat!("OTEL_EXPORTER_OTLP_LOGS_", stringify!($constant)),
            ],
        };
    )+};
}

exporter_options! {
    /// Where the collector is.
    ENDPOINT;
    /// The transport.
    PROTOCOL;
    /// Request headers.
    HEADERS;
    /// The authorities that are trusted for the collector's certificate.
    CERTIFICATE;
    /// How long an export may take.
    TIMEOUT;
    /// Whether a gRPC endpoint without a scheme is reached without TLS.
    INSECURE;
    /// How the body of an export is compressed. Not served.
    COMPRESSION;
    /// The key of a client certificate. Not served.
    CLIENT_KEY;
    /// A client certificate. Not served.
    CLIENT_CERTIFICATE;
}

/// aad-auth-proxy's variable for the collector of all its signals, by gRPC.
pub const GRPC_ENDPOINT: &str = "OTEL_GRPC_ENDPOINT";
