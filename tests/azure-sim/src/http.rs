//! Response bodies and the few shapes of answers that all services share.

use std::convert::Infallible;
use std::error::Error;

use bytes::Bytes;
use http_body_util::channel::{Channel, Sender};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use serde::Serialize;

pub(crate) type BoxError = Box<dyn Error + Send + Sync>;
pub(crate) type Body = UnsyncBoxBody<Bytes, BoxError>;

/// The request ends without an answer: the connection (HTTP/1.1) or the stream (HTTP/2) is
/// reset.
#[derive(Debug)]
pub(crate) struct Aborted;

impl std::fmt::Display for Aborted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("aborted by a fault")
    }
}

impl Error for Aborted {}

pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never: Infallible| match never {})
        .boxed_unsync()
}

/// A body that is written while it is sent, without a known length.
pub(crate) fn streamed() -> (Sender<Bytes, BoxError>, Body) {
    let (sender, body) = Channel::new(1);
    (sender, body.boxed_unsync())
}

pub(crate) fn answer(status: StatusCode, content_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

pub(crate) fn json(status: StatusCode, content: &impl Serialize) -> Response<Body> {
    match serde_json::to_vec(content) {
        Ok(bytes) => answer(status, "application/json; charset=utf-8", full(bytes)),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

pub(crate) fn text(status: StatusCode, content: impl Into<Bytes>) -> Response<Body> {
    answer(status, "text/plain; charset=utf-8", full(content))
}

pub(crate) fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(full(Bytes::new()));
    *response.status_mut() = status;
    response
}

/// Puts header fields from text into a response; what is not a header field is left out, since
/// it was checked where it came in.
pub(crate) fn add_fields<'a>(
    response: &mut Response<Body>,
    fields: impl IntoIterator<Item = (&'a str, &'a str)>,
) {
    for (name, value) in fields {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().append(name, value);
        }
    }
}

/// Reads a request body to its end and drops it, so that the connection stays usable.
pub(crate) async fn discard(mut body: impl hyper::body::Body + Unpin) {
    while let Some(Ok(_)) = body.frame().await {}
}

/// The value of a query parameter, decoded; the first one if there are several.
pub(crate) fn parameter(query: Option<&str>, name: &str) -> Option<String> {
    form_urlencoded::parse(query.unwrap_or_default().as_bytes())
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}
