//! HTTP/1.1 with bounds: what a request may take of memory, time and connections.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

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

/// A handful would do: one Envoy asks, about once an hour.
const CONNECTIONS: usize = 64;
/// A request line with an encoded endpoint and Envoy's headers fit well; hyper takes no less.
const LARGEST_HEADER: usize = 8 * 1024;
const HEADERS: usize = 64;
/// From the accepted connection to its end.
const ALL_WITHIN: Duration = Duration::from_secs(5);

/// Accepts connections for ever.
pub async fn accept(listener: Listener, settings: Arc<Settings>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        // Whoever finds no place waits in the listener's queue. The semaphore is never closed.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let settings = Arc::clone(&settings);
        let accepted = match &listener {
            Listener::Unix(listener) => listener.accept().await.map(|(stream, _)| {
                tokio::spawn(async move {
                    connection(stream, settings).await;
                    drop(place);
                })
            }),
            Listener::Tcp(listener) => listener.accept().await.map(|(stream, _)| {
                tokio::spawn(async move {
                    connection(stream, settings).await;
                    drop(place);
                })
            }),
        };
        if accepted.is_err() {
            // Out of file descriptors: give the others time to end.
            sleep(Duration::from_millis(50)).await;
        }
    }
}

/// One request to a connection: requests are rare, and a connection that waits for the next one
/// would be closed under somebody's hands.
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
        .max_buf_size(LARGEST_HEADER)
        .max_headers(HEADERS)
        .serve_connection(TokioIo::new(stream), service);
    let outcome = timeout(ALL_WITHIN, served).await;
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
    if answer.status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(ALLOW, HeaderValue::from_static("GET"));
    }
    response
}
