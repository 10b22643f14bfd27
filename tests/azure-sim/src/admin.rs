//! The admin service: the handle's functions over HTTP and JSON.
//!
//! | request | does |
//! |---|---|
//! | `GET /state` | everything counted ([`crate::StateReport`]) |
//! | `GET /series?name=&<label>=&full=1` | stored series ([`crate::SeriesReport`]) |
//! | `GET /requests?service=imds\|target&last=` | the last requests ([`crate::RequestRecord`]) |
//! | `GET /faults`, `POST /faults`, `DELETE /faults`, `DELETE /faults/{id}` | [`crate::Fault`] |
//! | `GET /settings`, `PUT /settings` | [`crate::Settings`]; a change may be partial |
//! | `POST /roles`, `DELETE /roles` | gives or takes a [`crate::RoleAssignment`] |
//! | `POST /revoke?cached=keep\|forget` | revokes all tokens issued so far |
//! | `GET /ca.pem`, `GET /.well-known/jwks.json` | what to trust |

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::Service;
use crate::cloud::{Cloud, lock};
use crate::faults::Fault;
use crate::http::{Body, answer, full, json, parameter};
use crate::report::{RequestRecord, SeriesQuery};
use crate::sim::CachedTokens;

/// The most that a request body may take, in bytes.
const MAX_BODY: usize = 8 << 20;

/// A request that cannot be done, and why.
struct Refused(StatusCode, String);

fn bad(problem: &str) -> Refused {
    Refused(StatusCode::BAD_REQUEST, problem.to_owned())
}

/// What the caller sent is wrong wherever reading it fails.
impl<E: std::error::Error> From<E> for Refused {
    fn from(error: E) -> Self {
        bad(&error.to_string())
    }
}

pub(crate) async fn handle(cloud: &Cloud, request: Request<Incoming>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let body = match Limited::new(body, MAX_BODY).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => {
            return json(
                StatusCode::BAD_REQUEST,
                &json!({ "error": error.to_string() }),
            );
        }
    };
    match route(
        cloud,
        &head.method,
        head.uri.path(),
        head.uri.query(),
        &body,
    ) {
        Ok(response) => response,
        Err(Refused(status, problem)) => json(status, &json!({ "error": problem })),
    }
}

fn route(
    cloud: &Cloud,
    method: &Method,
    path: &str,
    query: Option<&str>,
    body: &Bytes,
) -> Result<Response<Body>, Refused> {
    let ok = |content: Value| Ok(json(StatusCode::OK, &content));
    let done = || Ok(json(StatusCode::OK, &json!({})));
    match (method.as_str(), path) {
        ("GET", "/state") => Ok(json(StatusCode::OK, &cloud.report())),
        ("GET", "/series") => Ok(json(
            StatusCode::OK,
            &lock(&cloud.target.store).find(&series_query(query.unwrap_or_default())),
        )),
        ("GET", "/requests") => Ok(json(StatusCode::OK, &requests(cloud, query)?)),
        ("GET", "/faults") => Ok(json(StatusCode::OK, &cloud.faults().report())),
        ("POST", "/faults") => {
            let id = cloud.faults().inject(read::<Fault>(body)?)?;
            ok(json!({ "id": id }))
        }
        ("DELETE", "/faults") => {
            cloud.faults().end_all();
            done()
        }
        ("GET", "/settings") => Ok(json(StatusCode::OK, &*cloud.settings())),
        ("PUT", "/settings") => {
            let change = read::<Value>(body)?;
            let mut settings = cloud.settings();
            *settings = settings.changed_by(&change)?;
            Ok(json(StatusCode::OK, &*settings))
        }
        ("POST", "/roles") => {
            cloud.directory().grant(read(body)?);
            done()
        }
        ("DELETE", "/roles") => {
            cloud.directory().remove(read(body)?);
            done()
        }
        ("POST", "/revoke") => {
            let cached = match parameter(query, "cached").as_deref() {
                None | Some("keep") => CachedTokens::Keep,
                Some("forget") => CachedTokens::Forget,
                Some(_) => return Err(bad("cached must be 'keep' or 'forget'")),
            };
            ok(json!({ "revoked": cloud.revoke(cached) }))
        }
        ("GET", "/ca.pem") => Ok(answer(
            StatusCode::OK,
            "application/x-pem-file",
            full(cloud.ca_pem.clone()),
        )),
        ("GET", "/.well-known/jwks.json") => Ok(json(StatusCode::OK, cloud.tenant.jwks())),
        ("DELETE", _) if path.starts_with("/faults/") => {
            let id = path.trim_start_matches("/faults/").parse()?;
            if cloud.faults().end(id) {
                return done();
            }
            Err(Refused(
                StatusCode::NOT_FOUND,
                format!("no fault {id} is in force"),
            ))
        }
        _ => Err(Refused(
            StatusCode::NOT_FOUND,
            format!("no {method} {path} here"),
        )),
    }
}

fn read<T: DeserializeOwned>(body: &Bytes) -> Result<T, Refused> {
    Ok(serde_json::from_slice(body)?)
}

fn series_query(query: &str) -> SeriesQuery {
    let mut wanted = SeriesQuery::default();
    for (name, value) in form_urlencoded::parse(query.as_bytes()).into_owned() {
        match name.as_str() {
            "name" => wanted.name = Some(value),
            "full" => wanted.full = value == "1",
            _ => drop(wanted.labels.insert(name, value)),
        }
    }
    wanted
}

fn requests(cloud: &Cloud, query: Option<&str>) -> Result<Vec<RequestRecord>, Refused> {
    let last = match parameter(query, "last") {
        Some(text) => text.parse()?,
        None => 100,
    };
    let service = match parameter(query, "service").as_deref() {
        None | Some("imds") => Service::Imds,
        Some("target") => Service::Target,
        Some(_) => return Err(bad("service must be 'imds' or 'target'")),
    };
    Ok(cloud.last_requests(service, last))
}
