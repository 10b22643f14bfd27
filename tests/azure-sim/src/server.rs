//! Listening: TCP, TLS, HTTP/1.1 and HTTP/2, and the count of connections.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};

use hyper::body::Incoming;
use hyper::header::HeaderValue;
use hyper::service::service_fn;
use hyper::{Request, Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use uuid::Uuid;

use crate::Service;
use crate::app_service::AppService;
use crate::availability::SwitchedListener;
use crate::cloud::Cloud;
use crate::http::{Aborted, Body};
use crate::imds::Imds;
use crate::report::ConnectionReport;
use crate::source::serve as serve_source;
use crate::tsiam::Tsiam;
use crate::{admin, entra, target};

/// The most that a request header may take, in bytes: an 8 kB query and a token fit well.
const MAX_HEADER: u32 = 256 * 1024;

/// What a listener serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listener {
    Imds,
    AppService,
    TsiamPlain,
    TsiamTls,
    EntraPlain,
    EntraTls,
    TargetPlain,
    TargetTls,
    Admin,
}

/// Connections of a listener.
#[derive(Debug, Default)]
pub(crate) struct ConnectionCount {
    open: AtomicU64,
    total: AtomicU64,
    failed_handshakes: AtomicU64,
}

impl ConnectionCount {
    pub(crate) fn report(&self) -> ConnectionReport {
        ConnectionReport {
            open: self.open.load(Ordering::Relaxed),
            total: self.total.load(Ordering::Relaxed),
            failed_handshakes: self.failed_handshakes.load(Ordering::Relaxed),
        }
    }
}

/// The connection that a request came on.
#[derive(Debug, Clone, Default)]
pub(crate) struct Connection {
    reset: Arc<AtomicBool>,
}

impl Connection {
    /// Makes the connection end with a TCP reset when it is closed next. HTTP/2 resets the
    /// stream instead, and the connection goes on.
    pub(crate) fn reset_after(&self, version: Version) {
        if version < Version::HTTP_2 {
            self.reset.store(true, Ordering::Relaxed);
        }
    }
}

/// Accepts connections for ever. It ends with the runtime.
pub(crate) async fn accept(
    cloud: Arc<Cloud>,
    kind: Listener,
    mut listener: SwitchedListener,
    tls: Option<TlsAcceptor>,
) {
    loop {
        let Ok(stream) = listener.accept(cloud.availability(kind)).await else {
            // Out of file descriptors: give the others time to end.
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            continue;
        };
        let (cloud, tls) = (Arc::clone(&cloud), tls.clone());
        tokio::spawn(async move {
            let count = Arc::clone(cloud.connections(kind));
            count.total.fetch_add(1, Ordering::Relaxed);
            count.open.fetch_add(1, Ordering::Relaxed);
            let served = serve(Arc::clone(&cloud), kind, stream, tls, &count);
            tokio::select! {
                () = served => {}
                () = cloud.availability(kind).closed() => {}
            }
            count.open.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

async fn serve(
    cloud: Arc<Cloud>,
    kind: Listener,
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    count: &ConnectionCount,
) {
    // Small pieces must leave at once; a refusal only makes them slower.
    drop(stream.set_nodelay(true));
    let connection = Connection::default();
    let stream = Resettable {
        stream,
        connection: connection.clone(),
    };
    let service =
        service_fn(move |request| respond(Arc::clone(&cloud), kind, connection.clone(), request));
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().max_buf_size(MAX_HEADER as usize);
    builder
        .http2()
        .max_header_list_size(MAX_HEADER)
        .max_concurrent_streams(100);
    // How a connection ends is the client's affair or a fault's: nothing to report.
    match tls {
        None => drop(
            builder
                .serve_connection(TokioIo::new(stream), service)
                .await,
        ),
        Some(acceptor) => match acceptor.accept(stream).await {
            Ok(stream) => drop(
                builder
                    .serve_connection(TokioIo::new(stream), service)
                    .await,
            ),
            Err(_) => {
                count.failed_handshakes.fetch_add(1, Ordering::Relaxed);
            }
        },
    }
}

async fn respond(
    cloud: Arc<Cloud>,
    kind: Listener,
    connection: Connection,
    request: Request<Incoming>,
) -> Result<Response<Body>, Aborted> {
    let (service, answered) = match kind {
        Listener::Imds => (
            Service::Imds,
            serve_source::<Imds>(&cloud, &connection, request).await,
        ),
        Listener::AppService => (
            Service::AppService,
            serve_source::<AppService>(&cloud, &connection, request).await,
        ),
        Listener::TsiamPlain | Listener::TsiamTls => (
            Service::Tsiam,
            serve_source::<Tsiam>(&cloud, &connection, request).await,
        ),
        Listener::EntraPlain => (
            Service::Entra,
            entra::handle(&cloud, &connection, "http", request).await,
        ),
        Listener::EntraTls => (
            Service::Entra,
            entra::handle(&cloud, &connection, "https", request).await,
        ),
        Listener::TargetPlain | Listener::TargetTls => (
            Service::Target,
            target::handle(&cloud, &connection, request).await,
        ),
        Listener::Admin => return Ok(with_id(admin::handle(&cloud, request).await)),
    };
    cloud.record_answer(service, answered.as_ref().ok().map(Response::status));
    answered.map(with_id)
}

/// Every answer of Azure names itself.
fn with_id(mut response: Response<Body>) -> Response<Body> {
    if let Ok(id) = HeaderValue::try_from(Uuid::new_v4().to_string()) {
        response
            .headers_mut()
            .entry("x-ms-request-id")
            .or_insert(id);
    }
    response
}

/// A TCP stream that ends with a reset when its connection was told to.
struct Resettable {
    stream: TcpStream,
    connection: Connection,
}

impl Drop for Resettable {
    fn drop(&mut self) {
        if self.connection.reset.load(Ordering::Relaxed) {
            // Closing with data or time to linger would end the stream in peace.
            drop(self.stream.set_zero_linger());
        }
    }
}

impl AsyncRead for Resettable {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Resettable {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
