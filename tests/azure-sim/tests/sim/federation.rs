//! Entra takes the tokens of others as assertions only from whom the application trusts, for
//! whom and for what it trusts them.

use azure_sim::{
    Application, AzureSim, EntraRefusal as Rule, FederatedClaims, FederatedCredential,
    FederationErrors, Identity, Service, TSIAM_ISSUER, TSIAM_NODE,
};
use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use crate::client::{ask_target, call, get, without_body};
use crate::entra_client::{
    JWT_BEARER, SECRET, Signer, ask_by_assertion, expect_refusal, send, started_with, v2,
};
use crate::token_check::part;

const CLUSTER: &str = "https://oidc.cluster.example/1234/";
const SUBJECT: &str = "system:serviceaccount:monitoring:prometheus";
const EXCHANGE: &str = "api://AzureADTokenExchange";

fn credential(issuer: &str, subject: &str) -> FederatedCredential {
    FederatedCredential {
        issuer: issuer.to_owned(),
        subject: subject.to_owned(),
        audience: EXCHANGE.to_owned(),
    }
}

fn cluster_claims() -> FederatedClaims {
    FederatedClaims::kubernetes(CLUSTER, "monitoring", "prometheus")
}

async fn started() -> (AzureSim, Application) {
    let trusted = credential(CLUSTER, SUBJECT);
    let app = Application::new("app").with_federated_credential(trusted);
    let (sim, app) = started_with(app).await;
    sim.add_issuer(CLUSTER).unwrap();
    (sim, app)
}

#[tokio::test]
async fn a_service_accounts_token_is_taken_again_and_again() {
    let (sim, app) = started().await;
    let token = sim.federated_token(&cluster_claims()).unwrap();
    let claims = part(&token, 1);
    assert_eq!(claims["sub"], SUBJECT);
    assert_eq!(claims["aud"], json!([EXCHANGE]));
    assert_eq!(
        claims["kubernetes.io"]["serviceaccount"]["name"],
        "prometheus"
    );
    for _ in 0..2 {
        let reply = ask_by_assertion(&sim, &app.client_id, &token).await;
        assert_eq!(reply.status, StatusCode::OK);
        let access_token = reply.json()["access_token"].as_str().unwrap().to_owned();
        let reply = ask_target(&sim, "/echo", &access_token).await;
        assert_eq!(reply.json()["token"]["oid"], app.object_id);
    }
    let shown = &sim.requests(Service::Entra, 1)[0].form;
    let found = format!("<verified: federated token of {CLUSTER} for {SUBJECT}>");
    assert!(shown.contains(&("client_assertion".to_owned(), found)));
}

#[tokio::test]
async fn what_no_credential_matches_is_named_in_the_error() {
    let (sim, app) = started().await;
    let other = "https://oidc.cluster.example/1234";
    sim.add_issuer(other).unwrap();
    let change = |change: fn(&mut FederatedClaims)| {
        let mut claims = cluster_claims();
        change(&mut claims);
        sim.federated_token(&claims).unwrap()
    };
    let tokens = [
        (
            change(|c| c.issuer = "https://oidc.cluster.example/1234".to_owned()),
            (
                Rule::IssuerMismatch,
                700_211,
                "issuer 'https://oidc.cluster.example/1234'",
            ),
        ),
        (
            change(|c| c.subject = "system:serviceaccount:monitoring:other".to_owned()),
            (
                Rule::SubjectMismatch,
                700_213,
                "subject 'system:serviceaccount:monitoring:other'",
            ),
        ),
        (
            change(|c| c.subject = SUBJECT.replace("prometheus", "Prometheus")),
            (
                Rule::SubjectCaseMismatch,
                7_002_138,
                "subject 'system:serviceaccount:monitoring:P",
            ),
        ),
        (
            change(|c| c.audience = "https://kubernetes.default.svc".to_owned()),
            (
                Rule::AudienceMismatch,
                700_212,
                "audience 'https://kubernetes.default.svc'",
            ),
        ),
    ];
    for errors in [FederationErrors::Detailed, FederationErrors::Generic] {
        sim.change_settings(|settings| settings.federation_errors = errors);
        for (token, (rule, code, named)) in &tokens {
            let reply = ask_by_assertion(&sim, &app.client_id, token).await;
            let (code, error) = match errors {
                FederationErrors::Detailed => (*code, "invalid_client"),
                FederationErrors::Generic => (70_021, "invalid_request"),
            };
            expect_refusal(&sim, &reply, *rule, code, error);
            let body = reply.json();
            let description = body["error_description"].as_str().unwrap();
            assert!(description.contains(named), "{description}");
        }
    }
    let refused = sim.state().entra.token_endpoint.refused;
    assert_eq!(refused[&Rule::SubjectMismatch], 2);
    assert!(sim.state().tokens.is_empty());

    // With a credential for each it is taken: nothing else was wrong.
    sim.change_application(&app.client_id, |app| {
        app.federated_credentials.push(credential(other, SUBJECT));
    });
    let reply = ask_by_assertion(&sim, &app.client_id, &tokens[0].0).await;
    assert_eq!(reply.status, StatusCode::OK);
}

#[tokio::test]
async fn issuer_subject_and_audience_must_match_in_one_credential() {
    let (sim, app) = started().await;
    let elsewhere = "https://oidc.other.example";
    sim.change_application(&app.client_id, |app| {
        app.federated_credentials
            .push(credential(elsewhere, "system:serviceaccount:a:b"));
    });
    sim.add_issuer(elsewhere).unwrap();
    let mut claims = cluster_claims();
    claims.issuer = elsewhere.to_owned();
    let token = sim.federated_token(&claims).unwrap();
    let reply = ask_by_assertion(&sim, &app.client_id, &token).await;
    expect_refusal(
        &sim,
        &reply,
        Rule::SubjectMismatch,
        700_213,
        "invalid_client",
    );
}

#[tokio::test]
async fn an_application_without_credentials_trusts_nobody() {
    let (sim, app) = started_with(Application::new("app").with_secret(SECRET)).await;
    sim.add_issuer(CLUSTER).unwrap();
    let token = sim.federated_token(&cluster_claims()).unwrap();
    let reply = ask_by_assertion(&sim, &app.client_id, &token).await;
    expect_refusal(
        &sim,
        &reply,
        Rule::NoFederatedCredentials,
        70_025,
        "invalid_client",
    );
}

#[tokio::test]
async fn a_federated_token_is_over_when_it_expires() {
    let (sim, app) = started().await;
    let mut claims = cluster_claims();
    claims.lifetime_seconds = 60;
    let token = sim.federated_token(&claims).unwrap();
    assert_eq!(
        ask_by_assertion(&sim, &app.client_id, &token).await.status,
        StatusCode::OK
    );
    sim.change_settings(|settings| settings.clock_skew_seconds = 60);
    let reply = ask_by_assertion(&sim, &app.client_id, &token).await;
    expect_refusal(
        &sim,
        &reply,
        Rule::OutsideValidity,
        700_024,
        "invalid_client",
    );
    let mut early = cluster_claims();
    early
        .more
        .insert("nbf".to_owned(), json!(sim.state().now + 400));
    let token = sim.federated_token(&early).unwrap();
    let reply = ask_by_assertion(&sim, &app.client_id, &token).await;
    expect_refusal(
        &sim,
        &reply,
        Rule::OutsideValidity,
        700_024,
        "invalid_client",
    );
}

#[tokio::test]
async fn keys_rotate_and_a_key_that_is_no_longer_published_signs_no_more() {
    let (sim, app) = started().await;
    let send = async |token: &str| ask_by_assertion(&sim, &app.client_id, token).await;
    let first = sim.federated_token(&cluster_claims()).unwrap();
    sim.rotate_issuer_key(CLUSTER, true).unwrap();
    let second = sim.federated_token(&cluster_claims()).unwrap();
    assert_ne!(part(&first, 0)["kid"], part(&second, 0)["kid"]);
    assert_eq!(send(&first).await.status, StatusCode::OK);
    assert_eq!(send(&second).await.status, StatusCode::OK);
    sim.rotate_issuer_key(CLUSTER, false).unwrap();
    for token in [&first, &second] {
        let reply = send(token).await;
        expect_refusal(
            &sim,
            &reply,
            Rule::InvalidSignature,
            700_027,
            "invalid_client",
        );
    }
    let third = sim.federated_token(&cluster_claims()).unwrap();
    assert_eq!(send(&third).await.status, StatusCode::OK);

    assert!(sim.remove_issuer(CLUSTER));
    let reply = send(&third).await;
    expect_refusal(
        &sim,
        &reply,
        Rule::IssuerUnreachable,
        90_061,
        "invalid_request",
    );
    assert!(sim.federated_token(&cluster_claims()).is_err());
    assert!(sim.rotate_issuer_key(CLUSTER, true).is_err());
}

#[tokio::test]
async fn a_forged_federated_token_is_refused() {
    let (sim, app) = started().await;
    let good = sim.federated_token(&cluster_claims()).unwrap();
    let (header, claims) = (part(&good, 0), part(&good, 1));
    let forged = Signer::usual().jwt(&header, &claims);
    let reply = ask_by_assertion(&sim, &app.client_id, &forged).await;
    expect_refusal(
        &sim,
        &reply,
        Rule::InvalidSignature,
        700_027,
        "invalid_client",
    );
    let mut other = header.clone();
    other["alg"] = json!("PS256");
    let forged = Signer::usual().jwt(&other, &claims);
    let reply = ask_by_assertion(&sim, &app.client_id, &forged).await;
    expect_refusal(
        &sim,
        &reply,
        Rule::UnsupportedAlgorithm,
        5_002_738,
        "invalid_request",
    );
}

async fn imds_token(sim: &AzureSim, resource: &str) -> String {
    let target =
        format!("/metadata/identity/oauth2/token?api-version=2018-02-01&resource={resource}");
    let request = without_body(get(&target).header("metadata", "true"));
    let reply = call(sim.addresses().imds, request).await.unwrap();
    reply.json()["access_token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_managed_identity_can_stand_in_for_an_application() {
    let (sim, app) = started_with(Application::new("app")).await;
    let identity = Identity::system_assigned();
    let issuer = sim.managed_identity_issuer().to_owned();
    sim.change_application(&app.client_id, |app| {
        app.federated_credentials
            .push(credential(&issuer, &identity.object_id));
    });
    let token = imds_token(&sim, EXCHANGE).await;
    let reply = ask_by_assertion(&sim, &app.client_id, &token).await;
    assert_eq!(reply.status, StatusCode::OK);
    let access_token = reply.json()["access_token"].as_str().unwrap().to_owned();
    assert_eq!(part(&access_token, 1)["oid"], app.object_id);

    // A token for another resource names an issuer that the credential does not.
    let token = imds_token(&sim, "https://monitor.azure.com").await;
    let reply = ask_by_assertion(&sim, &app.client_id, &token).await;
    expect_refusal(
        &sim,
        &reply,
        Rule::IssuerMismatch,
        700_211,
        "invalid_client",
    );
    // And one of another cloud's exchange is for another audience.
    let token = imds_token(&sim, "api://AzureADTokenExchangeChina").await;
    let reply = ask_by_assertion(&sim, &app.client_id, &token).await;
    expect_refusal(
        &sim,
        &reply,
        Rule::AudienceMismatch,
        700_212,
        "invalid_client",
    );
}

#[tokio::test]
async fn a_token_of_tsiam_can_stand_in_for_an_application() {
    let app =
        Application::new("app").with_federated_credential(credential(TSIAM_ISSUER, TSIAM_NODE));
    let (sim, app) = started_with(app).await;
    let target = format!("/token?resource={EXCHANGE}");
    let request = get(&target).method(Method::POST).header("x-tsiam", "1");
    let reply = call(sim.addresses().tsiam_plain, without_body(request))
        .await
        .unwrap();
    let token = reply.json()["access_token"].as_str().unwrap().to_owned();
    let reply = ask_by_assertion(&sim, &app.client_id, &token).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.json());
    // It is no access token.
    assert_eq!(
        ask_target(&sim, "/echo", &token).await.status,
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn the_assertion_type_is_wanted_for_federated_tokens_too() {
    let (sim, app) = started().await;
    let token = sim.federated_token(&cluster_claims()).unwrap();
    let mut form = vec![
        ("grant_type", "client_credentials"),
        ("client_id", app.client_id.as_str()),
        ("scope", "https://monitor.azure.com/.default"),
        ("client_assertion", token.as_str()),
    ];
    let reply = send(&sim, &v2(&sim), &form).await;
    expect_refusal(
        &sim,
        &reply,
        Rule::MissingParameter,
        900_144,
        "invalid_request",
    );
    form.push(("client_assertion_type", JWT_BEARER));
    let reply = send(&sim, &v2(&sim), &form).await;
    assert!(matches!(reply.json()["access_token"], Value::String(_)));
}
