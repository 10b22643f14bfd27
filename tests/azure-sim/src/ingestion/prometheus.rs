//! Prometheus metrics, by remote write:
//! `POST /dataCollectionRules/{dcr}/streams/{stream}/api/v1/write?api-version=2023-04-24`.

use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};

use super::{Refusal, check_method, check_rule, check_stream, checked};
use crate::cloud::{Cloud, lock};
use crate::http::{Body, add_fields, empty, parameter};
use crate::remote_write::{self, DecodedWrite, NotRemoteWrite, Protocol};

/// The one stream of a data collection rule that takes remote write.
const STREAM: &str = "Microsoft-PrometheusMetrics";

/// Where a write goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Route {
    rule: String,
    stream: String,
}

/// The route that a path names, if it is one of remote write. Paths are compared as sent.
pub(super) fn route(path: &str) -> Option<Route> {
    let rest = path.strip_prefix("/dataCollectionRules/")?;
    let (rule, rest) = rest.split_once("/streams/")?;
    let stream = rest.strip_suffix("/api/v1/write")?;
    Some(Route {
        rule: rule.to_owned(),
        stream: stream.to_owned(),
    })
}

/// Checks, decodes and stores an authorised write.
pub(super) async fn take(
    cloud: &Cloud,
    request: Request<Incoming>,
    route: &Route,
) -> Response<Body> {
    match read(request, route).await {
        Ok(read) => store(cloud, read),
        Err(refusal) => {
            lock(&cloud.target.counts).writes.malformed += 1;
            refusal.answer()
        }
    }
}

async fn read(
    request: Request<Incoming>,
    route: &Route,
) -> Result<(Protocol, DecodedWrite), Refusal> {
    let head = check_head(&request, route);
    let (headers, body) = checked(request, head).await?;
    let decoded = remote_write::protocol(&headers)
        .and_then(|protocol| Ok((protocol, remote_write::decode(protocol, &body)?)));
    decoded.map_err(|problem| match problem {
        NotRemoteWrite::MediaType(_) => Refusal::unsupported_media_type(problem.to_string()),
        NotRemoteWrite::Content(_) => Refusal::bad_request(problem.to_string()),
    })
}

fn check_head(request: &Request<Incoming>, route: &Route) -> Result<(), Refusal> {
    check_method(request)?;
    if parameter(request.uri().query(), "api-version").is_none_or(|version| version.is_empty()) {
        let message = "The api-version query parameter is required.".to_owned();
        return Err(Refusal(
            StatusCode::BAD_REQUEST,
            "MissingApiVersionParameter",
            message,
        ));
    }
    check_rule(&route.rule)?;
    check_stream(&route.stream, STREAM)
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
