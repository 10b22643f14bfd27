//! App Service's identity endpoint refuses what the real one refuses, in its own words.

use azure_sim::{
    AppServiceRefusal as Rule, AzureSim, ExpiresInForm, Fault, FaultKind, Identity, Options,
    Service,
};
use hyper::{Method, StatusCode};

use crate::client::{Reply, ask_target, call, get, started, without_body};

const GOOD: &str = "api-version=2019-08-01&resource=https://monitor.azure.com";

fn asking(sim: &AzureSim, query: &str) -> hyper::http::request::Builder {
    get(&format!("/msi/token?{query}")).header("X-IDENTITY-HEADER", sim.identity_header())
}

async fn send(sim: &AzureSim, request: hyper::http::request::Builder) -> Reply {
    call(sim.addresses().app_service, without_body(request))
        .await
        .unwrap()
}

#[tokio::test]
async fn every_rule_is_enforced_and_counted() {
    let sim = started().await;
    let header = sim.identity_header().to_owned();
    let path = format!("/msi/token?{GOOD}");
    let with = |more: &str| asking(&sim, &format!("{GOOD}&{more}"));
    for (request, rule, status) in [
        (asking(&sim, GOOD).uri("/msi/Token"), Rule::UnknownPath, 404),
        (
            asking(&sim, GOOD).method(Method::POST),
            Rule::MethodNotAllowed,
            405,
        ),
        (get(&path), Rule::MissingIdentityHeader, 401),
        (
            with("x=y").header("x-identity-header", &header),
            Rule::MissingIdentityHeader,
            401,
        ),
        (
            get(&path).header("x-identity-header", header.to_lowercase()),
            Rule::WrongIdentityHeader,
            401,
        ),
        (
            get(&path).header("x-identity-header", ""),
            Rule::WrongIdentityHeader,
            401,
        ),
        (with("resource=x"), Rule::DuplicateParameter, 400),
        (asking(&sim, "resource=x"), Rule::MissingApiVersion, 400),
        (
            asking(&sim, "api-version=2017-09-01&resource=x"),
            Rule::UnknownApiVersion,
            400,
        ),
        (
            asking(&sim, "api-version=2019-08-01"),
            Rule::MissingResource,
            400,
        ),
        (
            asking(&sim, &format!("{GOOD}/.default")),
            Rule::ScopeInsteadOfResource,
            400,
        ),
        (
            asking(
                &sim,
                "api-version=2019-08-01&resource=https://monitor.example",
            ),
            Rule::UnknownResource,
            400,
        ),
        (with("client_id=a&mi_res_id=b"), Rule::SeveralSelectors, 400),
        (with("principal_id=nobody"), Rule::IdentityNotFound, 400),
    ] {
        let before = sim.state().app_service.refused.get(&rule).copied();
        let reply = send(&sim, request).await;
        assert_eq!(reply.status.as_u16(), status, "{rule:?}");
        let refused = sim.state().app_service.refused[&rule];
        assert_eq!(refused, before.unwrap_or_default() + 1, "{rule:?}");
        if status != 404 {
            let body = reply.json();
            assert_eq!(body["statusCode"], status, "{rule:?}");
            assert!(body["message"].is_string() && body["correlationId"].is_string());
        }
    }
    let report = sim.state().app_service;
    assert_eq!(
        (report.calls, report.accepted, report.tokens_issued),
        (14, 0, 0)
    );
}

#[tokio::test]
async fn a_reply_is_of_strings_and_without_a_lifetime() {
    let sim = started().await;
    let reply = send(&sim, asking(&sim, GOOD)).await;
    assert_eq!(reply.status, StatusCode::OK);
    let reply = reply.json();
    let members = reply.as_object().unwrap();
    let names: Vec<_> = members.keys().map(String::as_str).collect();
    let wanted = [
        "access_token",
        "client_id",
        "expires_on",
        "not_before",
        "resource",
        "token_type",
    ];
    assert_eq!(names, wanted);
    assert!(members.values().all(serde_json::Value::is_string));
    let token = reply["access_token"].as_str().unwrap();
    assert_eq!(
        ask_target(&sim, "/echo", token).await.status,
        StatusCode::OK
    );
    let again = send(&sim, asking(&sim, GOOD)).await.json();
    assert_eq!(again["access_token"], token);
    sim.change_settings(|settings| settings.app_service_expires_in = ExpiresInForm::String);
    let reply = send(&sim, asking(&sim, GOOD)).await.json();
    assert!(reply["expires_in"].is_string());
    let report = sim.state().app_service;
    assert_eq!((report.tokens_issued, report.tokens_repeated), (1, 2));
    assert_eq!(sim.state().tokens[0].source, Service::AppService);
}

#[tokio::test]
async fn each_selector_chooses_its_identity_and_none_the_system_assigned_one() {
    let a = Identity::user_assigned("a");
    let resource_id = a.resource_id.replace('/', "%2F");
    let mut options = Options {
        user_assigned: vec![a.clone()],
        ..Options::default()
    };
    let sim = AzureSim::start(options.clone()).await.unwrap();
    for (query, wanted) in [
        (String::new(), &Identity::system_assigned()),
        (format!("&client_id={}", a.client_id), &a),
        (format!("&principal_id={}", a.object_id), &a),
        (format!("&mi_res_id={resource_id}"), &a),
    ] {
        let reply = send(&sim, asking(&sim, &format!("{GOOD}{query}")))
            .await
            .json();
        assert_eq!(reply["client_id"], wanted.client_id, "{query}");
    }
    options.system_assigned = None;
    let sim = AzureSim::start(options).await.unwrap();
    let reply = send(&sim, asking(&sim, GOOD)).await;
    assert_eq!(reply.status, StatusCode::BAD_REQUEST);
    assert_eq!(sim.state().app_service.refused[&Rule::IdentityNotFound], 1);
}

#[tokio::test]
async fn faults_are_played_and_its_header_is_not_shown() {
    let sim = started().await;
    sim.inject(Fault::new(Service::AppService, FaultKind::status(500)).times(1))
        .unwrap();
    assert_eq!(send(&sim, asking(&sim, GOOD)).await.status.as_u16(), 500);
    let wrong = get(&format!("/msi/token?{GOOD}")).header("x-identity-header", "another-header");
    send(&sim, wrong).await;
    let shown: Vec<_> = sim
        .requests(Service::AppService, 2)
        .into_iter()
        .flat_map(|record| record.headers)
        .filter_map(|(name, value)| (name == "x-identity-header").then_some(value))
        .collect();
    assert_eq!(
        shown,
        ["<the identity header>", "<refused: wrong_identity_header>"]
    );
}
