//! The identity endpoint of App Service, Functions and Container Apps:
//! `GET /msi/token?api-version=2019-08-01&resource=…` with `X-IDENTITY-HEADER`.
//!
//! It follows Microsoft's "REST endpoint reference" for managed identities in App Service. Two
//! things differ from IMDS: the reply has no `expires_in`, and an error is
//! `{"statusCode", "message", "correlationId"}`.

use hyper::body::Incoming;
use hyper::header::{ALLOW, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde_json::json;
use uuid::Uuid;

use crate::Service;
use crate::cloud::Cloud;
use crate::directory::Selector;
use crate::http::{Body, json, text};
use crate::managed_identity::{self, Asked, parameters};
use crate::refusals::AppServiceRefusal;
use crate::report::reason_text;
use crate::secrets::SecretKind;
use crate::source::{TokenService, TokenSource};

const TOKEN_PATH: &str = "/msi/token";
const API_VERSION: &str = "2019-08-01";

pub(crate) struct AppService;

impl TokenService for AppService {
    const SERVICE: Service = Service::AppService;
    type Refusal = AppServiceRefusal;
    type Asked = Asked;

    fn source(cloud: &Cloud) -> &TokenSource<AppServiceRefusal> {
        &cloud.app_service
    }

    fn check(
        cloud: &Cloud,
        request: &Request<Incoming>,
        _: u64,
    ) -> Result<Asked, AppServiceRefusal> {
        check(cloud, request)
    }

    fn shown(judged: &Result<Asked, AppServiceRefusal>) -> String {
        match judged {
            Err(
                refusal @ (AppServiceRefusal::MissingIdentityHeader
                | AppServiceRefusal::WrongIdentityHeader),
            ) => format!("<refused: {}>", reason_text(refusal)),
            Err(AppServiceRefusal::UnknownPath | AppServiceRefusal::MethodNotAllowed) => {
                "<not read>".to_owned()
            }
            Ok(_) | Err(_) => "<the identity header>".to_owned(),
        }
    }

    fn refuse(cloud: &Cloud, refusal: AppServiceRefusal) -> Response<Body> {
        refuse(cloud, refusal)
    }

    fn answer(cloud: &Cloud, asked: &Asked) -> Response<Body> {
        let form = cloud.settings().app_service_expires_in;
        let traffic = &cloud.app_service.traffic;
        match managed_identity::reply(cloud, Service::AppService, traffic, asked, form) {
            Ok(reply) => json(StatusCode::OK, &reply),
            Err(problem) => error(StatusCode::INTERNAL_SERVER_ERROR, &problem.to_string()),
        }
    }
}

fn check(cloud: &Cloud, request: &Request<Incoming>) -> Result<Asked, AppServiceRefusal> {
    if request.uri().path() != TOKEN_PATH {
        return Err(AppServiceRefusal::UnknownPath);
    }
    if request.method() != Method::GET {
        return Err(AppServiceRefusal::MethodNotAllowed);
    }
    let mut values = request.headers().get_all("x-identity-header").iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(AppServiceRefusal::MissingIdentityHeader);
    };
    if value.as_bytes() != cloud.identity_header.as_bytes() {
        let sent = String::from_utf8_lossy(value.as_bytes());
        cloud
            .secrets()
            .add(SecretKind::IdentityHeader, &sent, "sent, wrong");
        return Err(AppServiceRefusal::WrongIdentityHeader);
    }
    let mut parameters =
        parameters(request.uri().query()).ok_or(AppServiceRefusal::DuplicateParameter)?;
    match parameters.get("api-version").map(String::as_str) {
        Some(API_VERSION) => {}
        Some(_) => return Err(AppServiceRefusal::UnknownApiVersion),
        None => return Err(AppServiceRefusal::MissingApiVersion),
    }
    let resource = parameters
        .remove("resource")
        .filter(|resource| !resource.is_empty())
        .ok_or(AppServiceRefusal::MissingResource)?;
    if resource.ends_with("/.default") {
        return Err(AppServiceRefusal::ScopeInsteadOfResource);
    }
    let mut selectors: Vec<_> = [
        parameters.remove("client_id").map(Selector::ClientId),
        parameters.remove("principal_id").map(Selector::ObjectId),
        parameters.remove("mi_res_id").map(Selector::ResourceId),
    ]
    .into_iter()
    .flatten()
    .collect();
    if selectors.len() > 1 {
        return Err(AppServiceRefusal::SeveralSelectors);
    }
    let directory = cloud.directory();
    // Without a selector App Service means the system-assigned identity and no other.
    let identity = match selectors.pop() {
        Some(selector) => directory.select(&selector).ok(),
        None => directory.system_assigned(),
    };
    let identity = identity.ok_or(AppServiceRefusal::IdentityNotFound)?;
    if !directory.knows_resource(&resource) {
        return Err(AppServiceRefusal::UnknownResource);
    }
    Ok(Asked {
        identity: identity.clone(),
        resource,
    })
}

fn refuse(cloud: &Cloud, refusal: AppServiceRefusal) -> Response<Body> {
    use AppServiceRefusal as Rule;
    let message = match refusal {
        Rule::UnknownPath => return text(StatusCode::NOT_FOUND, "Not Found"),
        Rule::MethodNotAllowed => {
            let mut response = error(
                StatusCode::METHOD_NOT_ALLOWED,
                "The requested resource does not support this method.",
            );
            response
                .headers_mut()
                .insert(ALLOW, HeaderValue::from_static("GET"));
            return response;
        }
        Rule::MissingIdentityHeader | Rule::WrongIdentityHeader => {
            return error(
                StatusCode::UNAUTHORIZED,
                "The X-IDENTITY-HEADER header is missing or is not the value of IDENTITY_HEADER.",
            );
        }
        Rule::DuplicateParameter => "A query parameter is specified more than once.".to_owned(),
        Rule::MissingApiVersion | Rule::UnknownApiVersion => {
            "Unsupported MSI API version.".to_owned()
        }
        Rule::MissingResource => "The resource parameter is missing.".to_owned(),
        Rule::ScopeInsteadOfResource => {
            "The resource is a scope: ask for the resource without /.default.".to_owned()
        }
        Rule::SeveralSelectors => {
            "Only one of client_id, principal_id and mi_res_id may be specified.".to_owned()
        }
        Rule::IdentityNotFound => {
            "No Managed Identity found for specified ClientId/ResourceId/PrincipalId.".to_owned()
        }
        Rule::UnknownResource => format!(
            "AADSTS500011: The resource principal named in the request was not found in the \
             tenant named {}.",
            cloud.tenant.id
        ),
    };
    error(StatusCode::BAD_REQUEST, &message)
}

fn error(status: StatusCode, message: &str) -> Response<Body> {
    json(
        status,
        &json!({
            "statusCode": status.as_u16(),
            "message": message,
            "correlationId": Uuid::new_v4().to_string(),
        }),
    )
}
