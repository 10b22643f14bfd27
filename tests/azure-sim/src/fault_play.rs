//! Plays a fault on a request.

use std::collections::BTreeMap;
use std::future::{Future, pending};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, LOCATION};
use hyper::{Request, Response, StatusCode};
use serde_json::json;
use tokio::time::sleep;

use crate::faults::{Fault, FaultKind, RawContent};
use crate::http::{Aborted, Body, add_fields, answer, discard, empty, full, json, streamed};
use crate::placeholders::fill_in;
use crate::server::Connection;

/// How long the first half of a body may take to leave before the connection is reset: on
/// loopback it is gone at once.
const FLUSH: Duration = Duration::from_millis(100);

/// Piece of an oversized body, in bytes.
const PIECE: u64 = 16 * 1024;

/// What comes in the place of the right answer.
enum Instead {
    Answer(Response<Body>),
    Silence,
    Reset,
}

/// Handles a request by `handle`, with the fault played on it, if there is one.
pub(crate) async fn play<B, H, F>(
    fault: Option<Fault>,
    connection: &Connection,
    request: Request<B>,
    handle: H,
) -> Result<Response<Body>, Aborted>
where
    B: hyper::body::Body + Unpin,
    H: FnOnce(Request<B>) -> F,
    F: Future<Output = Response<Body>>,
{
    let Some(fault) = fault else {
        return Ok(handle(request).await);
    };
    let version = request.version();
    let instead = match fault.kind {
        FaultKind::DelayMs(milliseconds) => {
            let pause = Duration::from_millis(milliseconds);
            if fault.after_handling {
                let response = handle(request).await;
                sleep(pause).await;
                return Ok(response);
            }
            sleep(pause).await;
            return Ok(handle(request).await);
        }
        FaultKind::Trickle { bytes, interval_ms } => {
            let pause = Duration::from_millis(interval_ms);
            return Ok(trickled(handle(request).await, bytes, pause).await);
        }
        FaultKind::ResetMidBody => {
            let response = handle(request).await;
            let connection = connection.clone();
            return Ok(cut(response, move || connection.reset_after(version)).await);
        }
        FaultKind::Hang => Instead::Silence,
        FaultKind::ResetBefore => Instead::Reset,
        FaultKind::Status {
            code,
            headers,
            body,
        } => Instead::Answer(status_answer(code, &headers, body)),
        FaultKind::RawBody { content_type, body } => {
            Instead::Answer(raw_answer(content_type, &body))
        }
        FaultKind::Oversized { bytes } => Instead::Answer(oversized(bytes)),
        FaultKind::Redirect { code, location } => Instead::Answer(redirect(code, location)),
    };
    let unread = if fault.after_handling {
        drop(handle(request).await);
        None
    } else if fault.without_reading {
        // Kept until the answer, since dropping it would tell the client to stop sending.
        Some(request)
    } else {
        discard(request.into_body()).await;
        None
    };
    let answered = match instead {
        Instead::Answer(response) => Ok(response),
        Instead::Silence => pending().await,
        Instead::Reset => {
            connection.reset_after(version);
            Err(Aborted)
        }
    };
    drop(unread);
    answered
}

// The values below were checked when the fault was given, so the defaults are never seen.

fn status_answer(
    code: u16,
    headers: &BTreeMap<String, String>,
    body: Option<String>,
) -> Response<Body> {
    let status = StatusCode::from_u16(code).unwrap_or_default();
    let mut response = match body {
        Some(body) => {
            let body = fill_in(&body, now());
            answer(status, "text/plain; charset=utf-8", full(body))
        }
        None => json(status, &error_body(status)),
    };
    for name in headers.keys() {
        response.headers_mut().remove(name);
    }
    let headers: Vec<_> = headers
        .iter()
        .map(|(name, value)| (name.as_str(), fill_in(value, now())))
        .collect();
    add_fields(
        &mut response,
        headers.iter().map(|(name, value)| (*name, value.as_str())),
    );
    response
}

fn raw_answer(content_type: String, body: &RawContent) -> Response<Body> {
    let mut response = Response::new(full(body.bytes().unwrap_or_default()));
    if let Ok(value) = HeaderValue::try_from(content_type) {
        response.headers_mut().insert(CONTENT_TYPE, value);
    }
    response
}

fn redirect(code: u16, location: String) -> Response<Body> {
    let mut response = empty(StatusCode::from_u16(code).unwrap_or_default());
    if let Ok(value) = HeaderValue::try_from(location) {
        response.headers_mut().insert(LOCATION, value);
    }
    response
}

/// This machine's clock, in seconds since 1970.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    })
}

/// An error that reads as well to a client of a token endpoint as to one of a data service.
fn error_body(status: StatusCode) -> serde_json::Value {
    let reason = status.canonical_reason().unwrap_or("Fault");
    json!({
        "error": reason.to_ascii_lowercase().replace(' ', "_"),
        "error_description": format!("{reason} (a fault of the stand-in)"),
    })
}

async fn trickled(response: Response<Body>, size: usize, pause: Duration) -> Response<Body> {
    let (mut head, content) = in_whole(response).await;
    let (mut sender, body) = streamed();
    // The client must see a length, as it would from a server with a slow line.
    head.headers
        .insert(CONTENT_LENGTH, HeaderValue::from(content.len()));
    tokio::spawn(async move {
        for piece in content.chunks(size) {
            if sender.send_data(content.slice_ref(piece)).await.is_err() {
                return;
            }
            sleep(pause).await;
        }
    });
    Response::from_parts(head, body)
}

async fn cut(response: Response<Body>, reset: impl FnOnce() + Send + 'static) -> Response<Body> {
    let (mut head, content) = in_whole(response).await;
    let (mut sender, body) = streamed();
    // At least one byte is missing, also of an empty body.
    head.headers
        .insert(CONTENT_LENGTH, HeaderValue::from(content.len().max(1)));
    tokio::spawn(async move {
        let half = content.slice(..content.len() / 2);
        if sender.send_data(half).await.is_ok() {
            sleep(FLUSH).await;
        }
        reset();
        sender.abort(Box::new(Aborted));
    });
    Response::from_parts(head, body)
}

async fn in_whole(response: Response<Body>) -> (hyper::http::response::Parts, Bytes) {
    let (head, body) = response.into_parts();
    let content = body
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes);
    (head, content.unwrap_or_default())
}

fn oversized(length: u64) -> Response<Body> {
    let (mut sender, body) = streamed();
    let mut response = answer(StatusCode::OK, "application/json", body);
    response
        .headers_mut()
        .insert(CONTENT_LENGTH, HeaderValue::from(length));
    tokio::spawn(async move {
        let filler = Bytes::from(vec![b'a'; usize::try_from(PIECE).unwrap_or_default()]);
        let mut opening = Bytes::from_static(b"{\"access_token\":\"");
        let mut left = length;
        while left > 0 {
            let next = if opening.is_empty() {
                filler.clone()
            } else {
                std::mem::take(&mut opening)
            };
            let size = left.min(next.len() as u64);
            let piece = next.slice(..usize::try_from(size).unwrap_or(next.len()));
            if sender.send_data(piece).await.is_err() {
                return;
            }
            left -= size;
        }
    });
    response
}
