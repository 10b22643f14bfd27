//! One HTTP/1.1 request over a Unix socket, on a connection of its own: what the launcher asks its
//! own Envoy.

use std::io;
use std::path::Path;
use std::time::Duration;

use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

/// Sends a request and waits for the whole answer.
///
/// # Errors
/// When there is none within the time (`TimedOut`), or when its body has more bytes than `most`.
pub(crate) fn send(
    socket: &Path,
    request: Request<Vec<u8>>,
    within: Duration,
    most: usize,
) -> io::Result<Response<Vec<u8>>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let exchange = async {
        match tokio::time::timeout(within, exchange(socket, request, most)).await {
            Ok(answer) => answer,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    };
    runtime.block_on(exchange)
}

async fn exchange(
    socket: &Path,
    request: Request<Vec<u8>>,
    most: usize,
) -> io::Result<Response<Vec<u8>>> {
    let stream = TokioIo::new(UnixStream::connect(socket).await?);
    let (mut sender, connection) = http1::handshake(stream).await.map_err(io::Error::other)?;
    // Ends with the runtime; what goes wrong with it the request is told.
    tokio::spawn(connection);
    let request = request.map(|body| Full::new(Bytes::from(body)));
    let answer = sender
        .send_request(request)
        .await
        .map_err(io::Error::other)?;
    let (head, body) = answer.into_parts();
    let body = Limited::new(body, most)
        .collect()
        .await
        .map_err(io::Error::other)?;
    Ok(Response::from_parts(head, body.to_bytes().to_vec()))
}
