//! Azure Monitor ingestion, behind the token check: what a data collection rule takes at
//! `POST /dataCollectionRules/{dcr}/streams/{stream}/…`.

pub(crate) mod otlp;
mod prometheus;

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::{ALLOW, HeaderValue};
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use serde_json::json;

use crate::cloud::Cloud;
use crate::http::{Body, discard, json};

/// The most that a body may take as sent, in bytes.
const MAX_BODY: usize = 16 << 20;

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Route {
    Prometheus(prometheus::Route),
    Otlp(otlp::Route),
}

/// The route that a path names, if it is one of ingestion.
pub(crate) fn route(path: &str) -> Option<Route> {
    let prometheus = || prometheus::route(path).map(Route::Prometheus);
    prometheus().or_else(|| otlp::route(path).map(Route::Otlp))
}

/// Checks, decodes and stores what an authorised request sends.
pub(crate) async fn take(
    cloud: &Cloud,
    request: Request<Incoming>,
    route: &Route,
) -> Response<Body> {
    match route {
        Route::Prometheus(route) => prometheus::take(cloud, request, route).await,
        Route::Otlp(route) => otlp::take(cloud, request, route).await,
    }
}

/// Why a request is refused: status, Azure's error code, what is wrong.
struct Refusal(StatusCode, &'static str, String);

impl Refusal {
    fn not_found(code: &'static str, message: String) -> Self {
        Self(StatusCode::NOT_FOUND, code, message)
    }

    fn bad_request(message: String) -> Self {
        Self(StatusCode::BAD_REQUEST, "InvalidRequest", message)
    }

    fn unsupported_media_type(message: String) -> Self {
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        Self(status, "UnsupportedMediaType", message)
    }

    fn answer(self) -> Response<Body> {
        let Self(status, code, message) = self;
        let content = json!({ "error": { "code": code, "message": message } });
        let mut response = json(status, &content);
        if status == StatusCode::METHOD_NOT_ALLOWED {
            response
                .headers_mut()
                .insert(ALLOW, HeaderValue::from_static("POST"));
        }
        response
    }
}

fn check_method(request: &Request<Incoming>) -> Result<(), Refusal> {
    if request.method() == Method::POST {
        return Ok(());
    }
    Err(Refusal(
        StatusCode::METHOD_NOT_ALLOWED,
        "MethodNotAllowed",
        format!("{} is not supported here", request.method()),
    ))
}

fn check_rule(rule: &str) -> Result<(), Refusal> {
    if rule.starts_with("dcr-") {
        return Ok(());
    }
    let message = format!("Data collection rule with immutable Id '{rule}' not found.");
    Err(Refusal::not_found("NotFound", message))
}

fn check_stream(found: &str, expected: &str) -> Result<(), Refusal> {
    if found == expected {
        return Ok(());
    }
    let message = format!("Stream '{found}' not found in the data collection rule.");
    Err(Refusal::not_found("InvalidStream", message))
}

/// The headers and the body of a request whose head has passed this check.
async fn checked(
    request: Request<Incoming>,
    head: Result<(), Refusal>,
) -> Result<(HeaderMap, Bytes), Refusal> {
    let (parts, body) = request.into_parts();
    if let Err(refusal) = head {
        discard(body).await;
        return Err(refusal);
    }
    Ok((parts.headers, whole(body).await?))
}

async fn whole(body: Incoming) -> Result<Bytes, Refusal> {
    match Limited::new(body, MAX_BODY).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => Err(Refusal(
            StatusCode::PAYLOAD_TOO_LARGE,
            "ContentLengthLimitExceeded",
            format!("The body is longer than {MAX_BODY} bytes."),
        )),
        Err(error) => Err(Refusal::bad_request(error.to_string())),
    }
}
