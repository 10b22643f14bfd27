//! The port: connections, TLS, and which of the two protocols a request speaks.

use std::convert::Infallible;
use std::sync::Arc;

use azure_sim::SwitchedListener;
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tonic::Status;

use super::{State, grpc, http_protobuf};

pub(super) async fn accept(
    mut listener: SwitchedListener,
    tls: Option<TlsAcceptor>,
    state: Arc<State>,
) {
    while let Ok(stream) = listener.accept(&state.availability).await {
        let (tls, state) = (tls.clone(), Arc::clone(&state));
        tokio::spawn(async move {
            let connection = async {
                match tls {
                    None => serve(stream, Arc::clone(&state)).await,
                    // A client that does not trust it ends the handshake, which is no error here.
                    Some(tls) => {
                        if let Ok(stream) = tls.accept(stream).await {
                            serve(stream, Arc::clone(&state)).await;
                        }
                    }
                }
            };
            tokio::select! {
                () = connection => {}
                () = state.availability.closed() => {}
            }
        });
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, state: Arc<State>) {
    let service = service_fn(move |request| {
        let state = Arc::clone(&state);
        async move { Ok::<_, Infallible>(answer(state, request).await) }
    });
    // A client that goes away is no error here.
    let _ = auto::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn answer(
    state: Arc<State>,
    request: Request<Incoming>,
) -> Response<UnsyncBoxBody<Bytes, Status>> {
    if grpc::is_for(&request) {
        let response = grpc::answer(state, request).await;
        response.map(BodyExt::boxed_unsync)
    } else {
        let response = http_protobuf::answer(&state, request).await;
        response.map(|body| body.map_err(|never| match never {}).boxed_unsync())
    }
}
