//! tsiam gives a node a federated token for an audience that it allows.

use azure_sim::{
    AzureSim, Fault, FaultKind, Service, TSIAM_ISSUER, TSIAM_NODE, TsiamRefusal as Rule,
};
use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use crate::client::{Reply, call, call_tls, get, started, without_body};
use crate::token_check::part;

const EXCHANGE: &str = "api://AzureADTokenExchange";

fn asking(query: &str) -> hyper::http::request::Builder {
    get(&format!("/token?{query}"))
        .method(Method::POST)
        .header("x-tsiam", "1")
}

async fn send(sim: &AzureSim, request: hyper::http::request::Builder) -> Reply {
    call(sim.addresses().tsiam_plain, without_body(request))
        .await
        .unwrap()
}

#[tokio::test]
async fn a_reply_is_of_strings_and_lives_five_minutes() {
    let sim = started().await;
    let reply = send(&sim, asking(&format!("resource={EXCHANGE}")))
        .await
        .json();
    assert!(reply.as_object().unwrap().values().all(Value::is_string));
    assert_eq!(reply["expires_in"], "300");
    let token = reply["access_token"].as_str().unwrap();
    let claims = part(token, 1);
    assert_eq!(claims["iss"], TSIAM_ISSUER);
    assert_eq!(claims["sub"], TSIAM_NODE);
    assert_eq!(claims["aud"], json!([EXCHANGE]));
    assert_eq!(
        claims["exp"].to_string(),
        reply["expires_on"].as_str().unwrap()
    );
    assert_eq!(
        claims["nbf"].to_string(),
        reply["not_before"].as_str().unwrap()
    );

    let keys = get("/.well-known/jwks.json");
    let keys = send(&sim, keys).await.json();
    assert_eq!(keys["keys"][0]["kid"], part(token, 0)["kid"]);

    sim.change_settings(|settings| settings.tsiam_token_lifetime_seconds = 60);
    let again = send(&sim, asking(&format!("audience={EXCHANGE}")))
        .await
        .json();
    assert_eq!(again["expires_in"], "60");
    assert_ne!(again["access_token"], token);
    assert_eq!(sim.state().tsiam.tokens_issued, 2);
}

#[tokio::test]
async fn every_rule_is_enforced_and_counted() {
    let sim = started().await;
    let good = format!("resource={EXCHANGE}");
    let bare = || get(&format!("/token?{good}")).method(Method::POST);
    for (request, rule, status) in [
        (asking(&good).uri("/"), Rule::UnknownPath, 404),
        (
            asking(&good).method(Method::GET),
            Rule::MethodNotAllowed,
            405,
        ),
        (bare(), Rule::MissingHeader, 400),
        (bare().header("x-tsiam", ""), Rule::MissingHeader, 400),
        (asking(""), Rule::MissingAudience, 400),
        (asking("resource=%20"), Rule::MissingAudience, 400),
        (
            asking(&format!("{good}&audience=x")),
            Rule::AudienceConflict,
            400,
        ),
        (
            asking(&format!("resource={}", "x".repeat(513))),
            Rule::AudienceTooLong,
            400,
        ),
        (
            asking("resource=https://monitor.azure.com"),
            Rule::AudienceNotAllowed,
            403,
        ),
    ] {
        let reply = send(&sim, request).await;
        assert_eq!(reply.status.as_u16(), status, "{rule:?}");
        assert!(sim.state().tsiam.refused.contains_key(&rule), "{rule:?}");
        if matches!(status, 400 | 403) {
            assert!(reply.json()["error"]["code"].is_string());
        }
    }
    let report = sim.state().tsiam;
    assert_eq!(
        (report.calls, report.accepted, report.tokens_issued),
        (9, 0, 0)
    );
}

#[tokio::test]
async fn it_is_served_by_tls_too_and_can_fail() {
    let sim = started().await;
    sim.inject(Fault::new(Service::Tsiam, FaultKind::status(500)).times(1))
        .unwrap();
    for status in [500, 200] {
        let target = format!("/token?resource={EXCHANGE}");
        let request = asking("").uri(target);
        let reply = call_tls(
            sim.addresses().tsiam_tls,
            sim.ca_pem(),
            &["http/1.1"],
            without_body(request),
        )
        .await
        .unwrap();
        assert_eq!(reply.status, StatusCode::from_u16(status).unwrap());
    }
}
