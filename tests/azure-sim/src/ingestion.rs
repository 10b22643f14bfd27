//! Azure Monitor ingestion of Prometheus metrics:
//! `POST /dataCollectionRules/{dcr}/streams/{stream}/api/v1/write?api-version=2023-04-24`.

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::{ALLOW, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde_json::json;

use crate::cloud::{Cloud, lock};
use crate::http::{Body, add_fields, discard, empty, json, parameter};
use crate::remote_write::{self, DecodedWrite, NotRemoteWrite, Protocol};

/// The one stream of a data collection rule that takes remote write.
const STREAM: &str = "Microsoft-PrometheusMetrics";
/// The most that a body may take as sent, in bytes.
const MAX_BODY: usize = 16 << 20;

/// Where a write goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Route {
    rule: String,
    stream: String,
}

/// The route that a path names, if it is one of ingestion. Paths are compared as sent.
pub(crate) fn route(path: &str) -> Option<Route> {
    let rest = path.strip_prefix("/dataCollectionRules/")?;
    let (rule, rest) = rest.split_once("/streams/")?;
    let stream = rest.strip_suffix("/api/v1/write")?;
    Some(Route {
        rule: rule.to_owned(),
        stream: stream.to_owned(),
    })
}

/// Why a write is refused: status, Azure's error code, what is wrong.
struct Refusal(StatusCode, &'static str, String);

/// Checks, decodes and stores an authorised write.
pub(crate) async fn write(
    cloud: &Cloud,
    request: Request<Incoming>,
    route: &Route,
) -> Response<Body> {
    let is_post = request.method() == Method::POST;
    let stored = match read(request, route).await {
        Ok(read) => Ok(store(cloud, read)),
        Err(refusal) => Err(refusal),
    };
    match stored {
        Ok(response) => response,
        Err(Refusal(status, code, message)) => {
            lock(&cloud.target.counts).writes.malformed += 1;
            let mut response = json(
                status,
                &json!({ "error": { "code": code, "message": message } }),
            );
            if !is_post {
                response
                    .headers_mut()
                    .insert(ALLOW, HeaderValue::from_static("POST"));
            }
            response
        }
    }
}

async fn read(
    request: Request<Incoming>,
    route: &Route,
) -> Result<(Protocol, DecodedWrite), Refusal> {
    let head = check_head(&request, route);
    let (parts, body) = request.into_parts();
    if let Err(refusal) = head {
        discard(body).await;
        return Err(refusal);
    }
    let body = whole(body).await?;
    let decoded = remote_write::protocol(&parts.headers)
        .and_then(|protocol| Ok((protocol, remote_write::decode(protocol, &body)?)));
    decoded.map_err(|problem| match problem {
        NotRemoteWrite::MediaType(_) => Refusal(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "UnsupportedMediaType",
            problem.to_string(),
        ),
        NotRemoteWrite::Content(_) => Refusal(
            StatusCode::BAD_REQUEST,
            "InvalidRequest",
            problem.to_string(),
        ),
    })
}

fn check_head(request: &Request<Incoming>, route: &Route) -> Result<(), Refusal> {
    if request.method() != Method::POST {
        let message = format!("{} is not supported here", request.method());
        return Err(Refusal(
            StatusCode::METHOD_NOT_ALLOWED,
            "MethodNotAllowed",
            message,
        ));
    }
    if parameter(request.uri().query(), "api-version").is_none_or(|version| version.is_empty()) {
        let message = "The api-version query parameter is required.".to_owned();
        return Err(Refusal(
            StatusCode::BAD_REQUEST,
            "MissingApiVersionParameter",
            message,
        ));
    }
    if !route.rule.starts_with("dcr-") {
        let message = format!(
            "Data collection rule with immutable Id '{}' not found.",
            route.rule
        );
        return Err(Refusal(StatusCode::NOT_FOUND, "NotFound", message));
    }
    if route.stream != STREAM {
        let message = format!(
            "Stream '{}' not found in the data collection rule.",
            route.stream
        );
        return Err(Refusal(StatusCode::NOT_FOUND, "InvalidStream", message));
    }
    Ok(())
}

async fn whole(body: Incoming) -> Result<Bytes, Refusal> {
    match Limited::new(body, MAX_BODY).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => Err(Refusal(
            StatusCode::PAYLOAD_TOO_LARGE,
            "ContentLengthLimitExceeded",
            format!("The body is longer than {MAX_BODY} bytes."),
        )),
        Err(error) => Err(Refusal(
            StatusCode::BAD_REQUEST,
            "InvalidRequest",
            error.to_string(),
        )),
    }
}

fn store(cloud: &Cloud, (protocol, write): (Protocol, DecodedWrite)) -> Response<Body> {
    let count = |points: fn(&remote_write::WrittenSeries) -> usize| {
        write.series.iter().map(points).sum::<usize>().to_string()
    };
    let samples = count(|series| series.samples.len());
    let histograms = count(|series| series.histograms.len());
    let mut response = empty(StatusCode::OK);
    {
        let mut counts = lock(&cloud.target.counts);
        counts.writes.metadata += write.metadata;
        match protocol {
            Protocol::V1 => counts.writes.v1 += 1,
            Protocol::V2 => counts.writes.v2 += 1,
        }
    }
    if protocol == Protocol::V2 {
        // Remote write 2.0 asks the receiver to confirm what it wrote.
        add_fields(
            &mut response,
            [
                (
                    "x-prometheus-remote-write-samples-written",
                    samples.as_str(),
                ),
                (
                    "x-prometheus-remote-write-histograms-written",
                    histograms.as_str(),
                ),
                ("x-prometheus-remote-write-exemplars-written", "0"),
            ],
        );
    }
    lock(&cloud.target.store).store(write);
    response
}
