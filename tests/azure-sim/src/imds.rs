//! The instance metadata service: `GET /metadata/identity/oauth2/token`.
//!
//! It refuses what the real one refuses, and gives the same token, with a shrinking
//! `expires_in`, until shortly before that expires.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use hyper::body::Incoming;
use hyper::header::{ALLOW, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde_json::json;
use uuid::Uuid;

use crate::Service;
use crate::cloud::{Cloud, lock};
use crate::directory::{NoIdentity, Selector};
use crate::http::{Body, json, text};
use crate::managed_identity::{self, Asked, parameters};
use crate::refusals::ImdsRefusal;
use crate::source::{TokenService, TokenSource};

const TOKEN_PATH: &str = "/metadata/identity/oauth2/token";
const API_VERSION: &str = "2018-02-01";
/// "20 requests per second and 5 concurrent requests" per machine.
const MAX_PER_SECOND: usize = 20;
const MAX_AT_ONCE: u64 = 5;

/// When the last requests came, as far as the rate limit needs it.
#[derive(Debug, Default)]
pub(crate) struct RecentRequests(Mutex<VecDeque<Instant>>);

impl RecentRequests {
    /// Counts a request; false when it is one too many for the last second.
    fn admit(&self, now: Instant) -> bool {
        let mut times = lock(&self.0);
        let second = Duration::from_secs(1);
        while times
            .front()
            .is_some_and(|first| now.duration_since(*first) >= second)
        {
            times.pop_front();
        }
        times.push_back(now);
        times.len() <= MAX_PER_SECOND
    }
}

pub(crate) struct Imds;

impl TokenService for Imds {
    const SERVICE: Service = Service::Imds;
    type Refusal = ImdsRefusal;
    type Asked = Asked;

    fn source(cloud: &Cloud) -> &TokenSource<ImdsRefusal> {
        &cloud.imds
    }

    fn check(
        cloud: &Cloud,
        request: &Request<Incoming>,
        at_once: u64,
    ) -> Result<Asked, ImdsRefusal> {
        check_limits(cloud, at_once)?;
        check(cloud, request)
    }

    fn shown(_: &Result<Asked, ImdsRefusal>) -> String {
        "<not read>".to_owned()
    }

    fn refuse(cloud: &Cloud, refusal: ImdsRefusal) -> Response<Body> {
        refuse(cloud, refusal)
    }

    fn answer(cloud: &Cloud, asked: &Asked) -> Response<Body> {
        token_answer(cloud, asked)
    }
}

fn check_limits(cloud: &Cloud, at_once: u64) -> Result<(), ImdsRefusal> {
    let in_rate = cloud.recent_imds_requests.admit(Instant::now());
    if !cloud.settings().rate_limit {
        return Ok(());
    }
    if !in_rate {
        return Err(ImdsRefusal::TooManyRequests);
    }
    if at_once > MAX_AT_ONCE {
        return Err(ImdsRefusal::TooManyAtOnce);
    }
    Ok(())
}

fn check(cloud: &Cloud, request: &Request<Incoming>) -> Result<Asked, ImdsRefusal> {
    if request.uri().path() != TOKEN_PATH {
        return Err(ImdsRefusal::UnknownPath);
    }
    if request.method() != Method::GET {
        return Err(ImdsRefusal::MethodNotAllowed);
    }
    if request.headers().contains_key("x-forwarded-for") {
        return Err(ImdsRefusal::ForwardedFor);
    }
    let mut metadata = request.headers().get_all("metadata").iter();
    match (metadata.next(), metadata.next()) {
        (Some(value), None) if value.as_bytes().eq_ignore_ascii_case(b"true") => {}
        _ => return Err(ImdsRefusal::MissingMetadataHeader),
    }
    check_query(cloud, request.uri().query())
}

fn check_query(cloud: &Cloud, query: Option<&str>) -> Result<Asked, ImdsRefusal> {
    let mut parameters = parameters(query).ok_or(ImdsRefusal::DuplicateParameter)?;
    match parameters.get("api-version").map(String::as_str) {
        Some(API_VERSION) => {}
        Some(_) => return Err(ImdsRefusal::UnknownApiVersion),
        None => return Err(ImdsRefusal::MissingApiVersion),
    }
    let resource = parameters
        .remove("resource")
        .filter(|r| !r.is_empty())
        .ok_or(ImdsRefusal::MissingResource)?;
    if resource.ends_with("/.default") {
        return Err(ImdsRefusal::ScopeInsteadOfResource);
    }
    let mut selectors: Vec<_> = [
        parameters.remove("client_id").map(Selector::ClientId),
        parameters.remove("object_id").map(Selector::ObjectId),
        parameters.remove("msi_res_id").map(Selector::ResourceId),
    ]
    .into_iter()
    .flatten()
    .collect();
    if selectors.len() > 1 {
        return Err(ImdsRefusal::SeveralSelectors);
    }
    let selector = selectors.pop().unwrap_or(Selector::Default);
    let directory = cloud.directory();
    let identity = directory.select(&selector).map_err(|none| match none {
        NoIdentity::NotFound => ImdsRefusal::IdentityNotFound,
        NoIdentity::Several => ImdsRefusal::SeveralIdentities,
    })?;
    if !directory.knows_resource(&resource) {
        return Err(ImdsRefusal::UnknownResource);
    }
    Ok(Asked {
        identity: identity.clone(),
        resource,
    })
}

fn refuse(cloud: &Cloud, refusal: ImdsRefusal) -> Response<Body> {
    let (code, description) = match refusal {
        ImdsRefusal::UnknownPath => return text(StatusCode::NOT_FOUND, "404 page not found"),
        ImdsRefusal::MethodNotAllowed => {
            let mut response = error(
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "The HTTP method is not allowed.",
            );
            response
                .headers_mut()
                .insert(ALLOW, HeaderValue::from_static("GET"));
            return response;
        }
        ImdsRefusal::TooManyRequests | ImdsRefusal::TooManyAtOnce => {
            return error(
                StatusCode::TOO_MANY_REQUESTS,
                "too_many_requests",
                "Too many requests: at most 20 a second and 5 at once.",
            );
        }
        ImdsRefusal::ForwardedFor => (
            "invalid_request",
            "Requests with an X-Forwarded-For header are not served",
        ),
        ImdsRefusal::MissingMetadataHeader => {
            ("invalid_request", "Required metadata header not specified")
        }
        ImdsRefusal::DuplicateParameter => (
            "invalid_request",
            "A query parameter is specified more than once",
        ),
        ImdsRefusal::MissingApiVersion => (
            "bad_request_102",
            "Required api-version parameter not specified",
        ),
        ImdsRefusal::UnknownApiVersion => (
            "invalid_request",
            "The specified api-version is not supported",
        ),
        ImdsRefusal::MissingResource => (
            "invalid_request",
            "Required audience parameter not specified",
        ),
        ImdsRefusal::ScopeInsteadOfResource => (
            "invalid_request",
            "The resource is a scope: ask for the resource without /.default",
        ),
        ImdsRefusal::SeveralSelectors => (
            "invalid_request",
            "Only one of client_id, object_id and msi_res_id may be specified",
        ),
        ImdsRefusal::IdentityNotFound => ("invalid_request", "Identity not found"),
        ImdsRefusal::SeveralIdentities => (
            "invalid_request",
            "Multiple user assigned identities exist, please specify the clientId / resourceId \
             of the identity in the token request",
        ),
        ImdsRefusal::UnknownResource => return unknown_resource(cloud),
    };
    error(StatusCode::BAD_REQUEST, code, description)
}

/// A token service's own words, as every source passes them on.
pub(crate) fn unknown_resource(cloud: &Cloud) -> Response<Body> {
    let description = format!(
        "AADSTS500011: The resource principal named in the request was not found in the tenant \
         named {}. This can happen if the application has not been installed by the \
         administrator of the tenant or consented to by any user in the tenant. You might have \
         sent your authentication request to the wrong tenant.\r\nTrace ID: {}\r\nCorrelation \
         ID: {}",
        cloud.tenant.id,
        Uuid::new_v4(),
        Uuid::new_v4()
    );
    error(StatusCode::BAD_REQUEST, "invalid_resource", &description)
}

pub(crate) fn error(status: StatusCode, code: &str, description: &str) -> Response<Body> {
    json(
        status,
        &json!({ "error": code, "error_description": description }),
    )
}

fn token_answer(cloud: &Cloud, asked: &Asked) -> Response<Body> {
    let form = cloud.settings().expires_in;
    match managed_identity::reply(cloud, Service::Imds, &cloud.imds.traffic, asked, form) {
        Ok(reply) => json(StatusCode::OK, &reply),
        Err(problem) => error(
            StatusCode::INTERNAL_SERVER_ERROR,
            "server_error",
            &problem.to_string(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twenty_requests_fit_into_any_second() {
        let recent = RecentRequests::default();
        let begin = Instant::now();
        let at = |milliseconds| recent.admit(begin + Duration::from_millis(milliseconds));
        assert!((0..20).all(|request| at(request * 10)));
        assert!(!at(999));
        // The first and the second of them are a second ago, one refused one is not.
        assert!(at(1010));
        assert!(!at(1011));
    }
}
