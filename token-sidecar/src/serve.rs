//! The HTTP/1.1 server, with limits on memory, time and connections.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use entra_token_core::identity::CERTIFICATE_NOT_AFTER;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use crate::answer::answer;
use crate::listen::Listener;
use crate::settings::Settings;

/// Concurrent connections. A handful would do: one Envoy asks about once an hour.
const MAX_CONNECTIONS: usize = 64;
/// Bytes of a request's head. An encoded token endpoint and Envoy's headers fit, and hyper accepts no
/// lower limit.
const MAX_HEAD_BYTES: usize = 8 * 1024;
/// Header fields of a request.
const MAX_HEADERS: usize = 64;
/// The longest life of a connection.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(5);

/// Accepts connections without end.
pub async fn accept(listener: Listener, settings: Arc<Settings>) {
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        // Without a permit, connections wait in the kernel's queue. The semaphore is never closed.
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else {
            return;
        };
        let settings = Arc::clone(&settings);
        let accepted = match &listener {
            Listener::Unix(listener) => listener.accept().await.map(|(stream, _)| {
                tokio::spawn(async move {
                    connection(stream, settings).await;
                    drop(permit);
                })
            }),
            Listener::Tcp(listener) => listener.accept().await.map(|(stream, _)| {
                tokio::spawn(async move {
                    connection(stream, settings).await;
                    drop(permit);
                })
            }),
        };
        if accepted.is_err() {
            // Most likely no file descriptor is left: give open connections time to end.
            sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Serves one request. A kept-alive connection would reach [`CONNECTION_TIMEOUT`] before the next
/// request, and a request sent at that moment would fail.
async fn connection<S>(stream: S, settings: Arc<Settings>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(|request| {
        let response = respond(&settings, &request);
        async { Ok::<_, Infallible>(response) }
    });
    let served = http1::Builder::new()
        .keep_alive(false)
        .max_buf_size(MAX_HEAD_BYTES)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(stream), service);
    let outcome = timeout(CONNECTION_TIMEOUT, served).await;
    let error: Option<&dyn std::fmt::Display> = match &outcome {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error),
        Err(elapsed) => Some(elapsed),
    };
    if let Some(error) = error {
        settings
            .log
            .debug(format_args!("a connection ended early: {error}"));
    }
}

fn respond(settings: &Settings, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let answer = answer(settings, request.method(), request.uri(), Timestamp::now());
    settings.log.debug(format_args!(
        "{} {:?} {}",
        request.method(),
        request.uri().path(),
        answer.status.as_u16()
    ));
    let mut response = Response::new(Full::from(answer.body));
    *response.status_mut() = answer.status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(not_after) = answer.certificate_not_after {
        headers.insert(CERTIFICATE_NOT_AFTER, not_after.unix_seconds().into());
    }
    if answer.status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(ALLOW, HeaderValue::from_static("GET"));
    }
    response
}
