//! HTTP/1.1 requests to Envoy over a Unix socket, each on its own connection.

use std::io;
use std::path::Path;
use std::time::Duration;

use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

/// Sends a request and waits for the whole response.
///
/// # Errors
/// `TimedOut` if the response is not complete within `timeout`; another error if the request fails or
/// the body is longer than `max_body_bytes`.
pub(crate) fn send(
    socket: &Path,
    request: Request<Vec<u8>>,
    timeout: Duration,
    max_body_bytes: usize,
) -> io::Result<Response<Vec<u8>>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let exchange = async {
        match tokio::time::timeout(timeout, exchange(socket, request, max_body_bytes)).await {
            Ok(response) => response,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    };
    runtime.block_on(exchange)
}

async fn exchange(
    socket: &Path,
    request: Request<Vec<u8>>,
    max_body_bytes: usize,
) -> io::Result<Response<Vec<u8>>> {
    let stream = TokioIo::new(UnixStream::connect(socket).await?);
    let (mut sender, connection) = http1::handshake(stream).await.map_err(io::Error::other)?;
    // The task ends with the runtime; an error of the connection fails the request.
    tokio::spawn(connection);
    let request = request.map(|body| Full::new(Bytes::from(body)));
    let response = sender
        .send_request(request)
        .await
        .map_err(io::Error::other)?;
    let (head, body) = response.into_parts();
    let body = Limited::new(body, max_body_bytes)
        .collect()
        .await
        .map_err(io::Error::other)?;
    Ok(Response::from_parts(head, body.to_bytes().to_vec()))
}
