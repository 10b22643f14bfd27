//! A receiver of OpenTelemetry's protocol (OTLP) for tests: gRPC and http/protobuf on one port, in clear
//! or by TLS. It keeps what it gets, and fails as it is told.
//!
//! Messages and gRPC services are those of the crate `opentelemetry-proto`.

mod application;
mod grpc;
mod http_protobuf;
mod received;
mod server;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use azure_sim::{Availability, SwitchedListener};
use hyper::HeaderMap;
use tokio::runtime::{self, Runtime};
use tokio_rustls::TlsAcceptor;

use crate::credentials::Authority;
use crate::secure_target::Tls;

pub use application::Application;
pub use received::{
    Attributes, Content, Export, Point, Protocol, Record, Signal, Span, SpanKind, Value,
};

/// What a receiver does with an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conduct {
    /// Keeps it and confirms it.
    Accept,
    /// Never answers.
    Hang,
    /// 503, and UNAVAILABLE by gRPC: the sender may try again.
    Unavailable,
    /// 400, and INVALID_ARGUMENT by gRPC: the sender must give it up.
    Refuse,
}

/// A running receiver, which takes connections until it is told otherwise.
#[derive(Debug)]
pub struct Receiver {
    port: u16,
    scheme: &'static str,
    state: Arc<State>,
    // Dropped with the receiver, which ends it.
    _runtime: Runtime,
}

/// What the connections of a receiver share.
#[derive(Debug)]
struct State {
    availability: Availability,
    conduct: Mutex<Conduct>,
    attempts: Mutex<u64>,
    exports: Mutex<Vec<Export>>,
}

impl State {
    fn conduct(&self) -> Conduct {
        *lock(&self.conduct)
    }

    fn count_attempt(&self) {
        *lock(&self.attempts) += 1;
    }

    fn keep(&self, protocol: Protocol, headers: HeaderMap, content: Content) {
        lock(&self.exports).push(Export {
            protocol,
            headers,
            content,
        });
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Receiver {
    /// Starts one in clear, on a port of its own.
    ///
    /// # Panics
    /// When no port is free.
    #[must_use]
    pub fn start() -> Self {
        Self::serving(None)
    }

    /// Starts one by TLS, whose certificate for `localhost` is signed by this authority.
    ///
    /// # Panics
    /// When no port is free.
    #[must_use]
    pub fn start_tls(authority: &Authority) -> Self {
        let config = Tls::Current.config(authority, &["localhost"], &["h2", "http/1.1"]);
        Self::serving(Some(TlsAcceptor::from(Arc::new(config))))
    }

    fn serving(tls: Option<TlsAcceptor>) -> Self {
        let runtime = runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let state = Arc::new(State {
            availability: Availability::default(),
            conduct: Mutex::new(Conduct::Accept),
            attempts: Mutex::default(),
            exports: Mutex::default(),
        });
        let address = ([127, 0, 0, 1], 0).into();
        let listener = runtime
            .block_on(SwitchedListener::at(address, &state.availability))
            .expect("a free port");
        let scheme = if tls.is_some() { "https" } else { "http" };
        let port = listener.address().port();
        runtime.spawn(server::accept(listener, tls, Arc::clone(&state)));
        Self {
            port,
            scheme,
            state,
            _runtime: runtime,
        }
    }

    /// Its URL, a value of `OTEL_EXPORTER_OTLP_ENDPOINT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}://localhost:{}", self.scheme, self.port)
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What it does with exports from now on. One that hangs is not answered later.
    pub fn conduct(&self, conduct: Conduct) {
        *lock(&self.state.conduct) = conduct;
    }

    /// Closes it, so that it refuses connections and those that are open end; or opens it again.
    pub fn set_open(&self, open: bool) {
        self.state.availability.set_open(open);
    }

    /// How many exports were tried, whatever became of them.
    #[must_use]
    pub fn attempts(&self) -> u64 {
        *lock(&self.state.attempts)
    }

    /// The exports that it has kept, oldest first.
    #[must_use]
    pub fn exports(&self) -> Vec<Export> {
        lock(&self.state.exports).clone()
    }

    /// Forgets what it has kept.
    pub fn forget(&self) {
        lock(&self.state.exports).clear();
    }

    /// The data points of all exports, oldest first.
    #[must_use]
    pub fn points(&self) -> Vec<Point> {
        self.exports().iter().flat_map(Export::points).collect()
    }

    /// The spans of all exports, oldest first.
    #[must_use]
    pub fn spans(&self) -> Vec<Span> {
        self.exports().iter().flat_map(Export::spans).collect()
    }

    /// The log records of all exports, oldest first.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        self.exports().iter().flat_map(Export::records).collect()
    }
}
