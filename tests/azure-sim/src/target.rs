//! The target: the token check in front of everything, and the way to what lies behind it.

use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE};
use hyper::{HeaderMap, Request, Response, StatusCode};
use serde_json::json;

use crate::Service;
use crate::cloud::{Cloud, lock};
use crate::directory::METRICS_PUBLISHER;
use crate::fault_play::play;
use crate::http::{Aborted, Body, discard, json};
use crate::refusals::TokenRefusal;
use crate::report::{RequestRecord, TokenSummary, reason_text};
use crate::requests::version_text;
use crate::secrets::SecretKind;
use crate::server::Connection;
use crate::{diagnostics, ingestion, target_trust};

/// Who sent a request.
pub(crate) struct Caller {
    pub(crate) token: TokenSummary,
    /// What stands for the token wherever the request is shown.
    pub(crate) shown: String,
}

pub(crate) async fn handle(
    cloud: &Cloud,
    connection: &Connection,
    request: Request<Incoming>,
) -> Result<Response<Body>, Aborted> {
    let _in_flight = cloud.target.in_flight.enter();
    let caller = check(cloud, request.headers());
    let is_probe = matches!(request.uri().path(), "/health" | "/ready");
    count(cloud, &request, &caller, is_probe);
    let shown = match &caller {
        Ok(caller) => caller.shown.clone(),
        Err(refusal) => format!("<refused: {}>", reason_text(refusal)),
    };
    let record = lock(&cloud.target.requests).add(Service::Target, &request, &shown);
    let fault = cloud.faults().take(Service::Target, request.uri().path());
    play(fault, connection, request, |request| async move {
        if is_probe {
            return probe(&request, caller.is_ok());
        }
        match caller {
            Ok(caller) => authorized(cloud, request, &caller, record).await,
            Err(refusal) => {
                discard(request.into_body()).await;
                refuse(cloud, refusal)
            }
        }
    })
    .await
}

async fn authorized(
    cloud: &Cloud,
    request: Request<Incoming>,
    caller: &Caller,
    record: RequestRecord,
) -> Response<Body> {
    match ingestion::route(request.uri().path()) {
        Some(route) => ingestion::take(cloud, request, &route).await,
        None => diagnostics::answer(request, caller, record).await,
    }
}

fn count(
    cloud: &Cloud,
    request: &Request<Incoming>,
    caller: &Result<Caller, TokenRefusal>,
    is_probe: bool,
) {
    let mut counts = lock(&cloud.target.counts);
    counts.requests += 1;
    *counts
        .versions
        .entry(version_text(request.version()))
        .or_default() += 1;
    match caller {
        Ok(_) if is_probe => counts.probes.with_token += 1,
        Err(_) if is_probe => counts.probes.without_token += 1,
        Ok(_) => counts.authorized += 1,
        Err(refusal) => *counts.refused.entry(*refusal).or_default() += 1,
    }
}

/// Checks the bearer token and the role, and counts the use of the token.
fn check(cloud: &Cloud, headers: &HeaderMap) -> Result<Caller, TokenRefusal> {
    let jwt = bearer(headers)?;
    // What has not the form of an Entra token is the client's own text, which its proxy may log.
    if jwt.split('.').count() == 3 {
        cloud
            .secrets()
            .add_jwt(SecretKind::AccessToken, jwt, "sent to the target");
    }
    if let Some(judged) = target_trust::check(cloud, jwt) {
        return judged.map(|token| Caller {
            shown: format!("Bearer <verified, of {}>", token.iss),
            token,
        });
    }
    let checked = cloud
        .tenant
        .check(jwt, &cloud.target_audiences, cloud.now());
    let uti = match &checked {
        Ok(claims) => Some(claims.uti.clone()),
        // Of a token that is ours but refused, the register still counts the use.
        Err(TokenRefusal::Expired | TokenRefusal::WrongAudience) => cloud
            .tenant
            .verified_claims(jwt)
            .ok()
            .map(|claims| claims.uti),
        Err(_) => None,
    };
    let may_write = |object_id: &str| {
        let directory = cloud.directory();
        let mut audiences = cloud.target_audiences.iter();
        audiences.any(|audience| directory.has_role(object_id, audience, METRICS_PUBLISHER))
    };
    let has_role = checked.as_ref().is_ok_and(|claims| may_write(&claims.oid));
    let mut register = cloud.register();
    let mut entry = uti.and_then(|uti| register.by_uti(&uti));
    let verdict = match checked {
        Ok(_) if entry.as_ref().is_some_and(|entry| entry.revoked) => Err(TokenRefusal::Revoked),
        Ok(_) if !has_role => Err(TokenRefusal::MissingRole),
        other => other,
    };
    if let Some(entry) = &mut entry {
        match &verdict {
            Ok(_) => entry.authorized += 1,
            Err(_) => entry.refused += 1,
        }
    }
    let generation = entry.map(|entry| entry.generation);
    let claims = verdict?;
    Ok(Caller {
        shown: match generation {
            Some(generation) => format!("Bearer <verified, generation {generation}>"),
            None => "Bearer <verified>".to_owned(),
        },
        token: TokenSummary {
            aud: claims.aud,
            iss: claims.iss,
            oid: claims.oid,
            appid: claims.appid,
            exp: claims.exp,
            generation,
        },
    })
}

fn bearer(headers: &HeaderMap) -> Result<&str, TokenRefusal> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or(TokenRefusal::MissingAuthorization)?;
    if values.next().is_some() {
        return Err(TokenRefusal::SeveralAuthorizations);
    }
    let value = value.to_str().map_err(|_| TokenRefusal::Malformed)?;
    let (scheme, token) = value.split_once(' ').ok_or(TokenRefusal::NotBearer)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(TokenRefusal::NotBearer);
    }
    Ok(token)
}

fn refuse(cloud: &Cloud, refusal: TokenRefusal) -> Response<Body> {
    let reason = reason_text(refusal);
    if refusal == TokenRefusal::MissingRole {
        return json(
            StatusCode::FORBIDDEN,
            &json!({ "error": {
                "code": "OperationFailed",
                "message": "The authentication token provided does not have access to ingest \
                            data for the data collection rule.",
            }}),
        );
    }
    let mut response = json(
        StatusCode::UNAUTHORIZED,
        &json!({ "error": {
            "code": "InvalidToken",
            "message": format!("Authentication failed. ({reason})"),
        }}),
    );
    let challenge = format!(
        "Bearer authorization_uri=\"https://login.microsoftonline.com/{}\", \
         error=\"invalid_token\", error_description=\"{reason}\"",
        cloud.tenant.id
    );
    if let Ok(value) = HeaderValue::try_from(challenge) {
        response.headers_mut().insert(WWW_AUTHENTICATE, value);
    }
    response
}

/// The target's own health paths say whose they are, so that a test sees whether a request got
/// through to the target.
fn probe(request: &Request<Incoming>, with_token: bool) -> Response<Body> {
    json(
        StatusCode::OK,
        &json!({
            "service": "azure-sim target",
            "path": request.uri().path(),
            "with_token": with_token,
        }),
    )
}
