//! tsiam, the workload identity service of a Tailscale network:
//! `POST /token?resource=…` with a non-empty `X-Tsiam`.
//!
//! Its tokens are no access tokens of Azure: tsiam is a federated issuer with keys of its own,
//! and says which node asks. Entra takes them as assertions. The reply reads like one of IMDS:
//! strings. Source: tsiam's README and the routes of its server (`ItalyPaleAle/tsiam`).

use hyper::body::Incoming;
use hyper::header::{ALLOW, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde_json::{Map, json};

use crate::Service;
use crate::cloud::Cloud;
use crate::http::{Body, json, parameter, text};
use crate::issuers::FederatedClaims;
use crate::refusals::TsiamRefusal;
use crate::source::{TokenService, TokenSource};

/// The URL that this tsiam signs as. Entra knows its keys from the start.
pub const TSIAM_ISSUER: &str = "https://tsiam.azure-sim.ts.net";
/// The stable id of the Tailscale node that everyone who asks runs on: the subject of its
/// tokens.
pub const TSIAM_NODE: &str = "nAzureSim1CNTRL";

const TOKEN_PATH: &str = "/token";
const LONGEST_AUDIENCE: usize = 512;

/// What a request that breaks no rule asks for.
pub(crate) enum Asked {
    Token { audience: String },
    Keys,
}

pub(crate) struct Tsiam;

impl TokenService for Tsiam {
    const SERVICE: Service = Service::Tsiam;
    type Refusal = TsiamRefusal;
    type Asked = Asked;

    fn source(cloud: &Cloud) -> &TokenSource<TsiamRefusal> {
        &cloud.tsiam
    }

    fn check(cloud: &Cloud, request: &Request<Incoming>, _: u64) -> Result<Asked, TsiamRefusal> {
        check(cloud, request)
    }

    fn shown(_: &Result<Asked, TsiamRefusal>) -> String {
        "<not read>".to_owned()
    }

    fn refuse(_: &Cloud, refusal: TsiamRefusal) -> Response<Body> {
        refuse(refusal)
    }

    fn answer(cloud: &Cloud, asked: &Asked) -> Response<Body> {
        let answered = match asked {
            Asked::Token { audience } => token(cloud, audience),
            Asked::Keys => keys(cloud),
        };
        answered.unwrap_or_else(|problem| {
            error(
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal",
                &problem.to_string(),
            )
        })
    }
}

fn check(cloud: &Cloud, request: &Request<Incoming>) -> Result<Asked, TsiamRefusal> {
    match (request.method(), request.uri().path()) {
        (&Method::POST, TOKEN_PATH) => {}
        (_, TOKEN_PATH) => return Err(TsiamRefusal::MethodNotAllowed),
        (&Method::GET, "/.well-known/jwks.json") => return Ok(Asked::Keys),
        _ => return Err(TsiamRefusal::UnknownPath),
    }
    let header = request.headers().get("x-tsiam");
    if header.is_none_or(|value| value.as_bytes().is_empty()) {
        return Err(TsiamRefusal::MissingHeader);
    }
    let given = |name| {
        parameter(request.uri().query(), name)
            .map(|value| value.trim().to_owned())
            .filter(|value| !value.is_empty())
    };
    let audience = match (given("resource"), given("audience")) {
        (Some(resource), Some(audience)) if resource != audience => {
            return Err(TsiamRefusal::AudienceConflict);
        }
        (Some(audience), _) | (None, Some(audience)) => audience,
        (None, None) => return Err(TsiamRefusal::MissingAudience),
    };
    if audience.len() > LONGEST_AUDIENCE {
        return Err(TsiamRefusal::AudienceTooLong);
    }
    if !cloud.tsiam_audiences.contains(&audience) {
        return Err(TsiamRefusal::AudienceNotAllowed);
    }
    Ok(Asked::Token { audience })
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn token(cloud: &Cloud, audience: &str) -> Result<Response<Body>, Failure> {
    let lifetime_seconds = cloud.settings().tsiam_token_lifetime_seconds;
    let now = cloud.now();
    let mut more = Map::new();
    let node = json!({
        "nodeId": TSIAM_NODE,
        "name": "azure-sim.tailnet.ts.net",
        "hostname": "azure-sim",
        "tags": ["tag:proxy"],
    });
    more.insert("tsiam".to_owned(), node);
    cloud.issuers().add(TSIAM_ISSUER)?;
    let claims = FederatedClaims {
        issuer: TSIAM_ISSUER.to_owned(),
        subject: TSIAM_NODE.to_owned(),
        audience: audience.to_owned(),
        lifetime_seconds,
        more,
    };
    let token = cloud.federated_token(&claims, now)?;
    cloud.tsiam.traffic.count_token(true);
    let reply = json!({
        "access_token": token,
        "token_type": "Bearer",
        "expires_in": lifetime_seconds.to_string(),
        "expires_on": now.saturating_add(lifetime_seconds).to_string(),
        "not_before": now.to_string(),
    });
    Ok(json(StatusCode::OK, &reply))
}

fn keys(cloud: &Cloud) -> Result<Response<Body>, Failure> {
    let mut issuers = cloud.issuers();
    issuers.add(TSIAM_ISSUER)?;
    Ok(json(StatusCode::OK, &issuers.jwks(TSIAM_ISSUER)))
}

fn refuse(refusal: TsiamRefusal) -> Response<Body> {
    let bad = StatusCode::BAD_REQUEST;
    let (status, code, message) = match refusal {
        TsiamRefusal::UnknownPath => return text(StatusCode::NOT_FOUND, "404 page not found"),
        TsiamRefusal::MethodNotAllowed => {
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
            response
                .headers_mut()
                .insert(ALLOW, HeaderValue::from_static("POST"));
            return response;
        }
        TsiamRefusal::MissingHeader => (bad, "missing_header", "Header X-Tsiam is required"),
        TsiamRefusal::MissingAudience => {
            (bad, "missing_audience", "Parameter resource is required")
        }
        TsiamRefusal::AudienceConflict => (
            bad,
            "audience_conflict",
            "Parameters resource and audience differ",
        ),
        TsiamRefusal::AudienceTooLong => (
            bad,
            "audience_too_long",
            "Parameter resource is longer than 512 characters",
        ),
        TsiamRefusal::AudienceNotAllowed => (
            StatusCode::FORBIDDEN,
            "audience_not_allowed",
            "The requested audience is not allowed",
        ),
    };
    error(status, code, message)
}

fn error(status: StatusCode, code: &str, message: &str) -> Response<Body> {
    json(
        status,
        &json!({ "error": { "code": code, "message": message } }),
    )
}
