//! Behind the target's token check, for tests of transparency: every path that is not
//! ingestion shows what arrived, or answers in a way that a test asks for.
//!
//! - `/drip?chunks=&bytes=&interval_ms=&first_ms=` sends a slow response without a length.
//! - `/sink` takes any body and reports the bytes received so far, a JSON line a piece.
//! - `/status/{code}?header=name:value&body=` answers so; `header` may come again.
//! - Any other path answers 200 with an [`EchoReport`].

use std::fmt::Write;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::{HeaderMap, Request, Response, StatusCode, Version};
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::time::sleep;

use crate::http::{
    Body, add_fields, answer as body_answer, discard, json, parameter, streamed, text,
};
use crate::report::{EchoReport, RequestRecord};
use crate::requests::fields;
use crate::target::Caller;

pub(crate) async fn answer(
    request: Request<Incoming>,
    caller: &Caller,
    record: RequestRecord,
) -> Response<Body> {
    let path = request.uri().path();
    if let Some(code) = path.strip_prefix("/status/") {
        let response = status(code, request.uri().query().unwrap_or_default());
        discard(request.into_body()).await;
        return response;
    }
    match path {
        "/drip" => {
            let response = drip(request.uri().query());
            discard(request.into_body()).await;
            response
        }
        "/sink" => sink(request.into_body()),
        _ => echo(request, caller, record).await,
    }
}

async fn echo(
    request: Request<Incoming>,
    caller: &Caller,
    record: RequestRecord,
) -> Response<Body> {
    let authority = (request.version() >= Version::HTTP_2)
        .then(|| request.uri().authority().map(ToString::to_string))
        .flatten();
    let mut body = request.into_body();
    let mut length = 0;
    let mut hash = Sha256::new();
    let mut trailers = HeaderMap::new();
    while let Some(frame) = body.frame().await {
        let frame = match frame {
            Ok(frame) => frame,
            Err(error) => return text(StatusCode::BAD_REQUEST, format!("body: {error}")),
        };
        match frame.into_data() {
            Ok(data) => {
                length += data.len() as u64;
                hash.update(&data);
            }
            Err(frame) => trailers.extend(frame.into_trailers().unwrap_or_default()),
        }
    }
    let mut body_sha256 = String::new();
    for byte in hash.finalize() {
        // Writing to a String cannot fail.
        let _ = write!(body_sha256, "{byte:02x}");
    }
    json(
        StatusCode::OK,
        &EchoReport {
            request: record,
            authority,
            token: caller.token.clone(),
            body_length: length,
            body_sha256,
            trailers: fields(&trailers, &caller.shown),
        },
    )
}

fn status(code: &str, query: &str) -> Response<Body> {
    let known = code
        .parse()
        .ok()
        .and_then(|code| StatusCode::from_u16(code).ok());
    let Some(status) = known.filter(|status| !status.is_informational()) else {
        return text(StatusCode::BAD_REQUEST, "no status code of an answer");
    };
    let content = parameter(Some(query), "body").unwrap_or_default();
    let mut response = text(status, content);
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        if name == "header"
            && let Some((name, value)) = value.split_once(':')
        {
            add_fields(&mut response, [(name, value.trim())]);
        }
    }
    response
}

fn drip(query: Option<&str>) -> Response<Body> {
    let number = |name: &str, default: u64| {
        parameter(query, name)
            .and_then(|text| text.parse().ok())
            .unwrap_or(default)
    };
    let chunks = number("chunks", 10);
    let size = usize::try_from(number("bytes", 16))
        .unwrap_or_default()
        .max(1);
    let pause = Duration::from_millis(number("interval_ms", 100));
    let first = Duration::from_millis(number("first_ms", 0));
    let (mut sender, body) = streamed();
    tokio::spawn(async move {
        sleep(first).await;
        let mut chunk = vec![b'.'; size];
        chunk[size - 1] = b'\n';
        let chunk = Bytes::from(chunk);
        for sent in 0..chunks {
            if sent > 0 {
                sleep(pause).await;
            }
            if sender.send_data(chunk.clone()).await.is_err() {
                return;
            }
        }
    });
    body_answer(StatusCode::OK, "text/plain; charset=utf-8", body)
}

fn sink(mut request: Incoming) -> Response<Body> {
    let (mut sender, body) = streamed();
    tokio::spawn(async move {
        let mut received = 0;
        while let Some(Ok(frame)) = request.frame().await {
            let Some(data) = frame.data_ref() else {
                continue;
            };
            received += data.len();
            let line = format!("{}\n", json!({ "received": received }));
            if sender.send_data(Bytes::from(line)).await.is_err() {
                return;
            }
        }
        let end = format!("{}\n", json!({ "received": received, "complete": true }));
        // A client that has gone does not want the last line.
        drop(sender.send_data(Bytes::from(end)).await);
    });
    body_answer(StatusCode::OK, "application/x-ndjson", body)
}
