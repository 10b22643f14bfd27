//! The target: answers every request, whoever sends it, and looks at nothing while it is measured.
//! By TLS it speaks HTTP/1.1, as it does in clear, so that the difference is TLS alone.

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::AUTHORIZATION;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::spawn_local;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// What every request is answered with.
const ANSWER: &[u8] = b"ok";

/// A target that listens, in clear and by TLS.
pub(crate) struct Target {
    pub(crate) plain: SocketAddr,
    pub(crate) tls: SocketAddr,
    /// Signed the certificate; PEM.
    pub(crate) authority: String,
    look: Rc<Look>,
}

/// One look at a request, when it is asked for.
#[derive(Default)]
struct Look {
    asked: Cell<bool>,
    seen: RefCell<Option<Seen>>,
}

/// What a request arrived with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Every `authorization`.
    pub(crate) authorization: Vec<String>,
    /// Bytes of the body.
    pub(crate) body: usize,
}

type Failure = Box<dyn Error + Send + Sync>;

impl Target {
    /// Starts it among the tasks of this thread.
    pub(crate) async fn start() -> Result<Self, String> {
        let start = async {
            let look = Rc::<Look>::default();
            let (tls, authority) = certificate()?;
            let plain = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            let secure = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            let target = Self {
                plain: plain.local_addr()?,
                tls: secure.local_addr()?,
                authority,
                look: Rc::clone(&look),
            };
            spawn_local(accept(plain, None, Rc::clone(&look)));
            spawn_local(accept(secure, Some(tls), look));
            Ok::<_, Failure>(target)
        };
        start
            .await
            .map_err(|error| format!("the target cannot be started: {error}"))
    }

    /// Looks at the next request.
    pub(crate) fn look(&self) {
        self.look.seen.take();
        self.look.asked.set(true);
    }

    /// What was seen since.
    pub(crate) fn seen(&self) -> Option<Seen> {
        self.look.seen.take()
    }
}

/// An authority, and TLS for `localhost` by a certificate of it.
fn certificate() -> Result<(TlsAcceptor, String), Failure> {
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // Else it would have the name of what it signs, which would pass for self-signed.
    authority
        .distinguished_name
        .push(DnType::CommonName, "bench authority");
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let certificate =
        CertificateParams::new(["localhost".to_owned()])?.signed_by(&key, &authority)?;
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)?;
    config.alpn_protocols.push(b"http/1.1".to_vec());
    Ok((TlsAcceptor::from(Arc::new(config)), authority.pem()))
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, look: Rc<Look>) {
    // A listener on loopback refuses nothing but what is gone already.
    while let Ok((stream, _)) = listener.accept().await {
        spawn_local(connection(stream, tls.clone(), Rc::clone(&look)));
    }
}

/// A connection that breaks is the proxy's to report: its client sees no 200.
async fn connection(stream: TcpStream, tls: Option<TlsAcceptor>, look: Rc<Look>) {
    if stream.set_nodelay(true).is_err() {
        return;
    }
    match tls {
        None => serve(stream, look).await,
        Some(tls) => {
            if let Ok(stream) = tls.accept(stream).await {
                serve(stream, look).await;
            }
        }
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + 'static, look: Rc<Look>) {
    let service = service_fn(move |request| answer(request, Rc::clone(&look)));
    let served = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
    drop(served);
}

async fn answer(
    request: Request<Incoming>,
    look: Rc<Look>,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let (head, mut body) = request.into_parts();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        length += frame?.data_ref().map_or(0, Bytes::len);
    }
    if look.asked.take() {
        let values = head.headers.get_all(AUTHORIZATION).iter();
        look.seen.replace(Some(Seen {
            authorization: values
                .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
                .collect(),
            body: length,
        }));
    }
    Ok(Response::new(Full::new(Bytes::from_static(ANSWER))))
}
