//! OTLP over HTTP with protobuf: a path for each signal, as the specification has them
//! (opentelemetry.io/docs/specs/otlp/#otlphttp).

use std::future::pending;
use std::io::Read;

use flate2::read::GzDecoder;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};
use hyper::{Request, Response, StatusCode};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;

use super::{Conduct, Content, Protocol, State};

const PROTOBUF: &str = "application/x-protobuf";

pub(super) async fn answer(state: &State, request: Request<Incoming>) -> Response<Full<Bytes>> {
    state.count_attempt();
    let (head, body) = request.into_parts();
    let body = match body.collect().await {
        Ok(collected) => collected.to_bytes(),
        Err(error) => return refuse(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    match state.conduct() {
        Conduct::Accept => {}
        Conduct::Hang => return pending().await,
        Conduct::Unavailable => {
            return refuse(StatusCode::SERVICE_UNAVAILABLE, "as the test wants");
        }
        Conduct::Refuse => return refuse(StatusCode::BAD_REQUEST, "as the test wants"),
    }
    let kind = head.headers.get(CONTENT_TYPE);
    if kind.is_none_or(|kind| kind != PROTOBUF) {
        return refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, "no protobuf");
    }
    let is_zipped = head.headers.contains_key(CONTENT_ENCODING);
    let content = unzipped(body, is_zipped).and_then(|body| decode(head.uri.path(), body));
    match content {
        Ok(content) => {
            state.keep(Protocol::HttpProtobuf, head.headers, content);
            // The answer's message is empty where everything was taken.
            let mut response = Response::new(Full::default());
            response
                .headers_mut()
                .insert(CONTENT_TYPE, HeaderValue::from_static(PROTOBUF));
            response
        }
        Err((status, reason)) => refuse(status, &reason),
    }
}

fn unzipped(body: Bytes, is_zipped: bool) -> Result<Bytes, (StatusCode, String)> {
    if !is_zipped {
        return Ok(body);
    }
    let mut plain = Vec::new();
    match GzDecoder::new(&*body).read_to_end(&mut plain) {
        Ok(_) => Ok(plain.into()),
        Err(error) => Err((StatusCode::BAD_REQUEST, format!("gzip: {error}"))),
    }
}

fn decode(path: &str, body: Bytes) -> Result<Content, (StatusCode, String)> {
    let content = match path {
        "/v1/metrics" => ExportMetricsServiceRequest::decode(body).map(Content::Metrics),
        "/v1/traces" => ExportTraceServiceRequest::decode(body).map(Content::Traces),
        "/v1/logs" => ExportLogsServiceRequest::decode(body).map(Content::Logs),
        _ => return Err((StatusCode::NOT_FOUND, format!("{path} is no path of OTLP"))),
    };
    content.map_err(|error| (StatusCode::BAD_REQUEST, format!("protobuf: {error}")))
}

fn refuse(status: StatusCode, reason: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(reason.to_owned()));
    *response.status_mut() = status;
    response
}
