//! The agent of Azure Arc: `GET /metadata/identity/oauth2/token` as at IMDS, in two steps.
//!
//! The first request gets 401 and `WWW-Authenticate: Basic realm=<path of a key file>`. Who can
//! read that file may have tokens: the second request carries its content as
//! `Authorization: Basic <content>`. Each challenge has a file of its own, whose name ends in
//! `.key`, and a key works once. Source: "Access Azure resources with managed identity on Azure
//! Arc-enabled servers".

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use hyper::body::Incoming;
use hyper::header::{ALLOW, AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE};
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use tempfile::TempDir;
use uuid::Uuid;

use crate::Service;
use crate::cloud::{Cloud, lock};
use crate::http::{Body, json, text};
use crate::imds::{error, unknown_resource};
use crate::managed_identity::{self, Asked, parameters};
use crate::refusals::ArcRefusal;
use crate::report::reason_text;
use crate::secrets::SecretKind;
use crate::source::{TokenService, TokenSource};

const TOKEN_PATH: &str = "/metadata/identity/oauth2/token";
const API_VERSIONS: [&str; 2] = ["2020-06-01", "2019-11-01"];

/// The keys of open challenges and the folder with their files, which goes when this does.
pub(crate) struct KeyFiles {
    folder: TempDir,
    open: Mutex<HashMap<String, PathBuf>>,
}

impl KeyFiles {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            folder: TempDir::new()?,
            open: Mutex::default(),
        })
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Opens a challenge; returns its key and where that stands.
    fn challenge(&self) -> io::Result<(String, PathBuf)> {
        let key = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        let path = self.folder().join(format!("{}.key", Uuid::new_v4()));
        std::fs::write(&path, &key)?;
        lock(&self.open).insert(key.clone(), path.clone());
        Ok((key, path))
    }

    /// Closes the challenge with this key; false when none is open.
    fn redeem(&self, key: &str) -> bool {
        let Some(path) = lock(&self.open).remove(key) else {
            return false;
        };
        // The folder goes with the stand-in, so a file that stays does no harm.
        drop(std::fs::remove_file(path));
        true
    }
}

/// What a request that breaks no rule gets.
pub(crate) enum Step {
    Challenge,
    Token(Asked),
}

pub(crate) struct Arc;

impl TokenService for Arc {
    const SERVICE: Service = Service::Arc;
    type Refusal = ArcRefusal;
    type Asked = Step;

    fn source(cloud: &Cloud) -> &TokenSource<ArcRefusal> {
        &cloud.arc
    }

    fn check(cloud: &Cloud, request: &Request<Incoming>, _: u64) -> Result<Step, ArcRefusal> {
        check(cloud, request)
    }

    fn shown(judged: &Result<Step, ArcRefusal>) -> String {
        match judged {
            Ok(Step::Token(_)) => "Basic <the key of a challenge>".to_owned(),
            Err(ArcRefusal::WrongKey) => {
                format!("<refused: {}>", reason_text(ArcRefusal::WrongKey))
            }
            Ok(Step::Challenge) | Err(_) => "<not read>".to_owned(),
        }
    }

    fn refuse(cloud: &Cloud, refusal: ArcRefusal) -> Response<Body> {
        refuse(cloud, refusal)
    }

    fn answer(cloud: &Cloud, step: &Step) -> Response<Body> {
        let answered = match step {
            Step::Challenge => challenge(cloud).map_err(|problem| problem.to_string()),
            Step::Token(asked) => token(cloud, asked).map_err(|problem| problem.to_string()),
        };
        answered.unwrap_or_else(|problem| {
            error(StatusCode::INTERNAL_SERVER_ERROR, "server_error", &problem)
        })
    }
}

fn check(cloud: &Cloud, request: &Request<Incoming>) -> Result<Step, ArcRefusal> {
    if request.uri().path() != TOKEN_PATH {
        return Err(ArcRefusal::UnknownPath);
    }
    if request.method() != Method::GET {
        return Err(ArcRefusal::MethodNotAllowed);
    }
    let mut metadata = request.headers().get_all("metadata").iter();
    match (metadata.next(), metadata.next()) {
        (Some(value), None) if value.as_bytes().eq_ignore_ascii_case(b"true") => {}
        _ => return Err(ArcRefusal::MissingMetadataHeader),
    }
    let mut parameters = parameters(request.uri().query()).ok_or(ArcRefusal::DuplicateParameter)?;
    let version = parameters
        .get("api-version")
        .ok_or(ArcRefusal::MissingApiVersion)?;
    if !API_VERSIONS.contains(&version.as_str()) {
        return Err(ArcRefusal::UnknownApiVersion);
    }
    let resource = parameters
        .remove("resource")
        .filter(|resource| !resource.is_empty())
        .ok_or(ArcRefusal::MissingResource)?;
    if resource.ends_with("/.default") {
        return Err(ArcRefusal::ScopeInsteadOfResource);
    }
    let selectors = [
        "client_id",
        "object_id",
        "principal_id",
        "msi_res_id",
        "mi_res_id",
    ];
    if selectors.iter().any(|name| parameters.contains_key(*name)) {
        return Err(ArcRefusal::IdentityNamed);
    }
    let identity = {
        let directory = cloud.directory();
        if !directory.knows_resource(&resource) {
            return Err(ArcRefusal::UnknownResource);
        }
        directory
            .system_assigned()
            .ok_or(ArcRefusal::IdentityNotFound)?
            .clone()
    };
    if !request.headers().contains_key(AUTHORIZATION) {
        return Ok(Step::Challenge);
    }
    let key = basic(request.headers()).ok_or(ArcRefusal::WrongKey)?;
    if !cloud.key_files.redeem(key) {
        let mut secrets = cloud.secrets();
        secrets.add(SecretKind::ArcKey, key, "sent, wrong");
        return Err(ArcRefusal::WrongKey);
    }
    Ok(Step::Token(Asked { resource, identity }))
}

fn basic(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    value.to_str().ok()?.strip_prefix("Basic ")
}

fn challenge(cloud: &Cloud) -> io::Result<Response<Body>> {
    let (key, path) = cloud.key_files.challenge()?;
    cloud
        .secrets()
        .add(SecretKind::ArcKey, &key, "of a challenge");
    let mut response = error(
        StatusCode::UNAUTHORIZED,
        "unauthorized_client",
        "Missing Basic Authorization header",
    );
    if let Ok(value) = HeaderValue::try_from(format!("Basic realm={}", path.display())) {
        response.headers_mut().insert(WWW_AUTHENTICATE, value);
    }
    Ok(response)
}

fn token(cloud: &Cloud, asked: &Asked) -> jsonwebtoken::errors::Result<Response<Body>> {
    let form = cloud.settings().expires_in;
    let traffic = &cloud.arc.traffic;
    let reply = managed_identity::reply(cloud, Service::Arc, traffic, asked, form)?;
    Ok(json(StatusCode::OK, &reply))
}

fn refuse(cloud: &Cloud, refusal: ArcRefusal) -> Response<Body> {
    use ArcRefusal as Rule;
    let description = match refusal {
        Rule::UnknownPath => return text(StatusCode::NOT_FOUND, "404 page not found"),
        Rule::MethodNotAllowed => {
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
        Rule::WrongKey => {
            return error(
                StatusCode::UNAUTHORIZED,
                "unauthorized_client",
                "Invalid Basic Authorization header",
            );
        }
        Rule::UnknownResource => return unknown_resource(cloud),
        Rule::MissingMetadataHeader => "Required metadata header not specified",
        Rule::DuplicateParameter => "A query parameter is specified more than once",
        Rule::MissingApiVersion => "Required api-version parameter not specified",
        Rule::UnknownApiVersion => "The specified api-version is not supported",
        Rule::MissingResource => "Required audience parameter not specified",
        Rule::ScopeInsteadOfResource => {
            "The resource is a scope: ask for the resource without /.default"
        }
        Rule::IdentityNamed => "A machine of Azure Arc has its system-assigned identity only",
        Rule::IdentityNotFound => "Identity not found",
    };
    error(StatusCode::BAD_REQUEST, "invalid_request", description)
}
