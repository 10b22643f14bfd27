//! A target by TLS: HTTP/2 or HTTP/1.1 as its ALPN says, with a certificate of an authority of the
//! test's.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rcgen::{KeyPair, SignatureAlgorithm};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs};
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ServerConfig, SupportedProtocolVersion};

use crate::credentials::Authority;

/// The headers that a target takes, in bytes: hyper's own bound is 16 KiB.
const MAX_HEADERS: u32 = 1 << 20;

/// Which TLS versions a target has.
#[derive(Debug, Clone, Copy)]
pub enum Tls {
    /// 1.2 and 1.3.
    Current,
    /// 1.2 only.
    Only12,
    /// This version only, no curve but P-384 for the key agreement, and a certificate with such a key.
    P384Alone(
        &'static SupportedProtocolVersion,
        &'static SignatureAlgorithm,
    ),
}

impl Tls {
    fn versions(self) -> Vec<&'static SupportedProtocolVersion> {
        match self {
            Self::Current => vec![&TLS13, &TLS12],
            Self::Only12 => vec![&TLS12],
            Self::P384Alone(version, _) => vec![version],
        }
    }

    fn key(self) -> KeyPair {
        match self {
            Self::P384Alone(_, algorithm) => KeyPair::generate_for(algorithm),
            _ => KeyPair::generate(),
        }
        .expect("a key")
    }

    fn provider(self) -> CryptoProvider {
        let mut provider = aws_lc_rs::default_provider();
        if let Self::P384Alone(..) = self {
            provider.kx_groups = vec![aws_lc_rs::kx_group::SECP384R1];
        }
        provider
    }

    /// The configuration of a server whose certificate, signed by `authority`, names these hosts, and
    /// which offers these protocols.
    pub(crate) fn config(
        self,
        authority: &Authority,
        names: &[&str],
        protocols: &[&str],
    ) -> ServerConfig {
        let key = self.key();
        let certificate = authority.server_certificate(names, &key);
        let mut config = ServerConfig::builder_with_provider(self.provider().into())
            .with_protocol_versions(&self.versions())
            .expect("known versions")
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate],
                PrivateKeyDer::try_from(key.serialize_der()).expect("a key"),
            )
            .expect("a certificate and its key");
        config.alpn_protocols = protocols
            .iter()
            .map(|name| name.as_bytes().to_vec())
            .collect();
        config
    }
}

/// A request as the target saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// HTTP's version.
    pub version: Version,
    /// As on the wire: over HTTP/2 with scheme and authority.
    pub uri: String,
    /// `Host`, or `:authority`.
    pub host: Option<String>,
    /// The host that the TLS handshake names (SNI).
    pub server_name: Option<String>,
    /// The names of the headers, in order.
    pub header_names: Vec<String>,
}

/// A running target.
#[derive(Debug)]
pub struct SecureTarget {
    port: u16,
    seen: Arc<Mutex<Vec<Seen>>>,
    // Dropped with the target, which ends it.
    _runtime: Runtime,
}

impl SecureTarget {
    /// Starts one whose certificate, signed by `authority`, names these hosts, and which offers these
    /// protocols.
    ///
    /// # Panics
    /// When a name is invalid, or no port is free.
    #[must_use]
    pub fn start(authority: &Authority, names: &[&str], protocols: &[&str], tls: Tls) -> Self {
        Self::serving(tls.config(authority, names, protocols))
    }

    fn serving(config: ServerConfig) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let listener = runtime
            .block_on(TcpListener::bind("127.0.0.1:0"))
            .expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let acceptor = TlsAcceptor::from(Arc::new(config));
        runtime.spawn(serve(listener, acceptor, Arc::clone(&seen)));
        Self {
            port,
            seen,
            _runtime: runtime,
        }
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Every request so far.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The latest request.
    ///
    /// # Panics
    /// When there was none.
    #[must_use]
    #[track_caller]
    pub fn last(&self) -> Seen {
        self.seen().pop().expect("a request has come")
    }
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, seen: Arc<Mutex<Vec<Seen>>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, seen) = (acceptor.clone(), Arc::clone(&seen));
        tokio::spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else {
                return;
            };
            let server_name = stream.get_ref().1.server_name().map(str::to_owned);
            let service = service_fn(|request| {
                record(&request, server_name.clone(), &seen);
                let answer = giving_back(request.headers());
                async { Ok::<_, Infallible>(answer) }
            });
            let mut server = auto::Builder::new(TokioExecutor::new());
            server.http2().max_header_list_size(MAX_HEADERS);
            // A client that goes away is no error here.
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// A small answer with the `x-…` headers of the request.
fn giving_back(headers: &HeaderMap) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(Bytes::from("hello")));
    let given = headers
        .iter()
        .filter(|(name, _)| name.as_str().starts_with("x-"));
    let given = given.map(|(name, value)| (name.clone(), value.clone()));
    answer.headers_mut().extend(given);
    answer
}

fn record(request: &Request<Incoming>, server_name: Option<String>, seen: &Mutex<Vec<Seen>>) {
    let host = request
        .headers()
        .get("host")
        .and_then(|value| value.to_str().ok());
    let authority = request.uri().authority().map(ToString::to_string);
    seen.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(Seen {
            version: request.version(),
            uri: request.uri().to_string(),
            host: host.map(str::to_owned).or(authority),
            server_name,
            header_names: request.headers().keys().map(ToString::to_string).collect(),
        });
}
