//! Entra: `POST /{tenant}/oauth2/v2.0/token`, `POST /{tenant}/oauth2/token` (v1), and the keys
//! and metadata of the tenant.
//!
//! Only the grant `client_credentials` is served. A request is judged once, as it arrives; each
//! accepted one gets a new token. Sources: "OAuth 2.0 client credentials flow on the Microsoft
//! identity platform" and the ones named in this folder.

mod assertion;
mod caller;
mod form;
mod judge;
mod refusal;
mod trusted_subject;

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper::header::{ALLOW, HOST, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};

use crate::Service;
use crate::applications::Applications;
use crate::cloud::{Cloud, lock};
use crate::fault_play::play;
use crate::http::{Aborted, Body, json, text};
use crate::options::{AzureCloud, OtherTenant};
use crate::report::{EntraReport, reason_text};
use crate::requests::record;
use crate::server::Connection;
use crate::settings::FederationErrors;
use crate::source::TokenSource;

pub(crate) use assertion::is_signed;
use caller::{Caller, RequestIds};
use form::Form;
use judge::{Asked, Grant, check_tenant, judge};
pub use refusal::EntraRefusal;
use refusal::refuse;

/// The most that a form may take, in bytes.
const MAX_FORM: usize = 1 << 20;
/// A domain name of the tenant, which may stand for its id.
const DOMAIN: &str = "azure-sim.onmicrosoft.com";

/// What Entra knows and has counted.
pub(crate) struct EntraState {
    pub(crate) endpoint: TokenSource<EntraRefusal>,
    pub(crate) applications: Mutex<Applications>,
    /// The (client id, `jti`) of assertions that were accepted.
    used_assertions: Mutex<HashSet<(String, String)>>,
    other_tenants: Vec<OtherTenant>,
    cloud: AzureCloud,
    request_ids: Mutex<RequestIds>,
    discovery: AtomicU64,
}

impl EntraState {
    pub(crate) fn new(cloud: AzureCloud, other_tenants: Vec<OtherTenant>) -> Self {
        Self {
            endpoint: TokenSource::default(),
            applications: Mutex::default(),
            used_assertions: Mutex::default(),
            other_tenants,
            cloud,
            request_ids: Mutex::default(),
            discovery: AtomicU64::default(),
        }
    }

    pub(crate) fn report(&self) -> EntraReport {
        EntraReport {
            token_endpoint: self.endpoint.report(),
            request_ids: lock(&self.request_ids).report(),
            discovery: self.discovery.load(Ordering::Relaxed),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    V1,
    V2,
}

/// What a path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Endpoint {
    Token(Version),
    Keys,
    Metadata(Version),
}

/// The tenant and the endpoint that a path names.
fn route(path: &str) -> Option<(&str, Endpoint)> {
    let (tenant, rest) = path.strip_prefix('/')?.split_once('/')?;
    let endpoint = match rest {
        "oauth2/v2.0/token" => Endpoint::Token(Version::V2),
        "oauth2/token" => Endpoint::Token(Version::V1),
        "discovery/v2.0/keys" | "discovery/keys" => Endpoint::Keys,
        "v2.0/.well-known/openid-configuration" => Endpoint::Metadata(Version::V2),
        ".well-known/openid-configuration" => Endpoint::Metadata(Version::V1),
        _ => return None,
    };
    Some((tenant, endpoint))
}

pub(crate) async fn handle(
    cloud: &Cloud,
    connection: &Connection,
    scheme: &str,
    request: Request<Incoming>,
) -> Result<Response<Body>, Aborted> {
    let authority = match request.uri().authority() {
        Some(authority) => authority.to_string(),
        None => request
            .headers()
            .get(HOST)
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
            .unwrap_or_default(),
    };
    let origin = format!("{scheme}://{authority}");
    let path = request.uri().path().to_owned();
    match route(&path) {
        Some((tenant, Endpoint::Token(version))) => {
            token(cloud, connection, request, tenant, version, &origin).await
        }
        Some((tenant, endpoint)) => {
            cloud.entra.discovery.fetch_add(1, Ordering::Relaxed);
            log(cloud, &request, Vec::new());
            let fault = cloud.faults().take(Service::Entra, &path);
            play(fault, connection, request, |request| async move {
                let caller = Caller::of(request.headers());
                discovery(cloud, caller, tenant, endpoint, &origin)
            })
            .await
        }
        None => {
            log(cloud, &request, Vec::new());
            cloud.entra.endpoint.count(Some(EntraRefusal::UnknownPath));
            Ok(text(StatusCode::NOT_FOUND, ""))
        }
    }
}

async fn token(
    cloud: &Cloud,
    connection: &Connection,
    request: Request<Incoming>,
    tenant: &str,
    version: Version,
    origin: &str,
) -> Result<Response<Body>, Aborted> {
    let source = &cloud.entra.endpoint;
    let _in_flight = source.traffic.in_flight.enter();
    let (head, body) = request.into_parts();
    // What is cut off or too long is read as an empty form.
    let body = Limited::new(body, MAX_FORM).collect().await;
    let body = body.map(http_body_util::Collected::to_bytes);
    let form = Form::read(&head.headers, &body.unwrap_or_default());
    let request = Request::from_parts(head, Empty::<Bytes>::new());
    let asked = Asked {
        tenant,
        version,
        origin,
        form: &form,
    };
    let alike = source.traffic.alike(&asked.token_name());
    let _alike = alike.enter();
    lock(&cloud.entra.request_ids).count(request.headers());
    form.note_secrets(&mut cloud.secrets());

    let judged = if request.method() == Method::POST {
        judge(cloud, &asked)
    } else {
        let message = format!(
            "The endpoint only accepts POST requests. Received a {} request.",
            request.method()
        );
        refuse(EntraRefusal::MethodNotAllowed, message)
    };
    source.count(judged.as_ref().err().map(|refused| refused.rule));
    let found = match &judged {
        Ok(grant) => grant.proof.shown(),
        Err(refused) => format!("<refused: {}>", reason_text(refused.rule)),
    };
    log(cloud, &request, form.shown(&found));
    let caller = Caller::of(request.headers());
    let mut answered = match judged {
        Ok(grant) => {
            let fault = cloud.faults().take(Service::Entra, request.uri().path());
            play(fault, connection, request, |_| async {
                issue(cloud, &grant)
            })
            .await?
        }
        Err(refused) => {
            let mut response = refused.reply(&caller, cloud.now(), federation_errors(cloud));
            if refused.rule == EntraRefusal::MethodNotAllowed {
                let allowed = HeaderValue::from_static("POST");
                response.headers_mut().insert(ALLOW, allowed);
            }
            response
        }
    };
    caller.sign(&mut answered);
    Ok(answered)
}

fn federation_errors(cloud: &Cloud) -> FederationErrors {
    cloud.settings().federation_errors
}

/// Remembers a request. A query, which has no business here, is not shown.
fn log<B>(cloud: &Cloud, request: &Request<B>, form: Vec<(String, String)>) {
    let mut entry = record(Service::Entra, request, "<not read>");
    entry.form = form;
    if request.uri().query().is_some() {
        entry.target = format!("{}?<not shown>", request.uri().path());
    }
    lock(&cloud.entra.endpoint.traffic.requests).push(entry);
}

/// The reply with a new token: numbers at v2, strings at v1.
fn issue(cloud: &Cloud, grant: &Grant) -> Response<Body> {
    let token = match cloud.application_token(&grant.holder, &grant.resource) {
        Ok(token) => token,
        Err(problem) => {
            let error =
                json!({ "error": "server_error", "error_description": problem.to_string() });
            return json(StatusCode::INTERNAL_SERVER_ERROR, &error);
        }
    };
    cloud.entra.endpoint.traffic.count_token(true);
    let lifetime = token.expires_at.saturating_sub(token.issued_at);
    let refresh_in = cloud.settings().refresh_in_seconds;
    let number = |number: i64| match grant.version {
        Version::V1 => Value::from(number.to_string()),
        Version::V2 => Value::from(number),
    };
    let mut reply = json!({
        "token_type": "Bearer",
        "expires_in": number(lifetime),
        "ext_expires_in": number(lifetime),
        "access_token": token.jwt,
    });
    if let Some(refresh_in) = refresh_in {
        reply["refresh_in"] = number(refresh_in);
    }
    if grant.version == Version::V1 {
        reply["expires_on"] = number(token.expires_at);
        reply["not_before"] = number(token.not_before);
        reply["resource"] = Value::from(grant.resource.clone());
    }
    json(StatusCode::OK, &reply)
}

fn discovery(
    cloud: &Cloud,
    caller: Caller,
    tenant: &str,
    endpoint: Endpoint,
    origin: &str,
) -> Response<Body> {
    let form = Form::default();
    let asked = Asked {
        tenant,
        version: Version::V2,
        origin,
        form: &form,
    };
    let base = format!("{origin}/{tenant}");
    match (check_tenant(cloud, &asked), endpoint) {
        (Err(refused), _) => refused.reply(&caller, cloud.now(), federation_errors(cloud)),
        (Ok(_), Endpoint::Metadata(version)) => {
            let (issuer, path) = match version {
                Version::V1 => (cloud.tenant.issuer_v1(), "oauth2/token"),
                Version::V2 => (cloud.tenant.issuer_v2(), "oauth2/v2.0/token"),
            };
            json(
                StatusCode::OK,
                &json!({
                    "issuer": issuer,
                    "token_endpoint": format!("{base}/{path}"),
                    "jwks_uri": format!("{base}/discovery/v2.0/keys"),
                    "token_endpoint_auth_methods_supported":
                        ["client_secret_post", "private_key_jwt"],
                    "id_token_signing_alg_values_supported": ["RS256"],
                }),
            )
        }
        (Ok(_), Endpoint::Keys | Endpoint::Token(_)) => json(StatusCode::OK, cloud.tenant.jwks()),
    }
}
