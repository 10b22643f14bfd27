//! The admin service: the handle's functions over HTTP and JSON.
//!
//! | request | does |
//! |---|---|
//! | `GET /state` | everything counted ([`crate::StateReport`]) |
//! | `GET /series?name=&<label>=&full=1` | stored series ([`crate::SeriesReport`]) |
//! | `GET /requests?service=imds\|entra\|target\|…&last=` | the last requests ([`crate::RequestRecord`]) |
//! | `GET /faults`, `POST /faults`, `DELETE /faults`, `DELETE /faults/{id}` | [`crate::Fault`] |
//! | `GET /settings`, `PUT /settings` | [`crate::Settings`]; a change may be partial |
//! | `POST /roles`, `DELETE /roles` | gives or takes a [`crate::RoleAssignment`] |
//! | `POST /applications`, `DELETE /applications/{client id}` | registers or replaces an [`crate::Application`], removes one |
//! | `POST /issuers`, `POST /issuers/rotate`, `DELETE /issuers` | `{"issuer", "keep_old"}`: makes Entra reach an issuer of federated tokens, changes its key, undoes it |
//! | `GET /issuers/jwks.json?issuer=` | the keys that it publishes |
//! | `POST /secrets/search` | which secrets the body, a text, holds ([`crate::FoundSecret`]) |
//! | `POST /revoke?cached=keep\|forget` | revokes all tokens issued so far |
//! | `GET /ca.pem`, `GET /.well-known/jwks.json` | what to trust |

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::Service;
use crate::applications::Application;
use crate::cloud::{Cloud, lock};
use crate::faults::Fault;
use crate::http::{Body, BoxError, answer, full, json, parameter};
use crate::report::{RequestRecord, SeriesQuery};
use crate::sim::CachedTokens;

/// The most that a request body may take, in bytes.
const MAX_BODY: usize = 8 << 20;

/// A request that cannot be done, and why.
struct Refused(StatusCode, String);

fn bad(problem: &str) -> Refused {
    Refused(StatusCode::BAD_REQUEST, problem.to_owned())
}

/// What the caller sent is wrong wherever it cannot be done.
impl<E: Into<BoxError>> From<E> for Refused {
    fn from(error: E) -> Self {
        bad(&error.into().to_string())
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
        ("POST", "/applications") => {
            cloud.register_application(read::<Application>(body)?);
            done()
        }
        ("POST", "/issuers") => {
            cloud.issuers().add(&read::<IssuerChange>(body)?.issuer)?;
            done()
        }
        ("POST", "/issuers/rotate") => {
            let change = read::<IssuerChange>(body)?;
            cloud.issuers().rotate(&change.issuer, change.keep_old)?;
            done()
        }
        ("DELETE", "/issuers") => {
            let issuer = read::<IssuerChange>(body)?.issuer;
            if cloud.issuers().remove(&issuer) {
                return done();
            }
            Err(none_of("issuer", &issuer))
        }
        ("GET", "/issuers/jwks.json") => {
            let issuer = parameter(query, "issuer").unwrap_or_default();
            match cloud.issuers().jwks(&issuer) {
                Some(keys) => Ok(json(StatusCode::OK, &keys)),
                None => Err(none_of("issuer", &issuer)),
            }
        }
        ("POST", "/secrets/search") => {
            let text = String::from_utf8_lossy(body);
            let found = cloud.secrets().found_in(&text);
            Ok(json(StatusCode::OK, &found))
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
        ("DELETE", _) if path.starts_with("/applications/") => {
            let id = path.trim_start_matches("/applications/");
            if lock(&cloud.entra.applications).remove(id) {
                return done();
            }
            Err(none_of("application", id))
        }
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

/// Which issuer to change, and whether its old key stays published.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IssuerChange {
    issuer: String,
    #[serde(default)]
    keep_old: bool,
}

fn none_of(kind: &str, name: &str) -> Refused {
    Refused(StatusCode::NOT_FOUND, format!("no {kind} '{name}'"))
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
    let service = parameter(query, "service").unwrap_or_else(|| "imds".to_owned());
    let service: Service = serde_json::from_value(Value::from(service))?;
    Ok(cloud.last_requests(service, last))
}
