//! IMDS refuses what the real one refuses, and caches as the real one does.

use std::collections::HashSet;

use crate::client::{
    TOKEN_TARGET, ask_imds, ask_imds_more, call, get, started, token, until, without_body,
};
use azure_sim::{
    AzureSim, ExpiresInForm, ExpiresOnForm, Fault, FaultKind, Identity, ImdsRefusal, Options,
    Service, Settings,
};
use hyper::{Method, StatusCode};
use serde_json::Value;

const VERSION: &str = "api-version=2018-02-01";
const RESOURCE: &str = "resource=https://monitor.azure.com";

fn path(query: &str) -> String {
    format!("/metadata/identity/oauth2/token?{query}")
}

async fn expect(
    sim: &AzureSim,
    refusal: ImdsRefusal,
    status: u16,
    request: hyper::http::request::Builder,
) -> Value {
    let reply = call(sim.addresses().imds, without_body(request))
        .await
        .unwrap();
    assert_eq!(reply.status.as_u16(), status, "{refusal:?}");
    assert_eq!(
        sim.state().imds.refused.get(&refusal),
        Some(&1),
        "{refusal:?}"
    );
    serde_json::from_slice(&reply.body).unwrap_or_default()
}

fn asking(query: &str) -> hyper::http::request::Builder {
    get(&path(query)).header("metadata", "true")
}

#[tokio::test]
async fn every_rule_is_enforced_and_counted() {
    let sim = started().await;
    sim.change_settings(|settings| settings.rate_limit = false);
    let good = format!("{VERSION}&{RESOURCE}");
    let with = |more: &str| asking(&format!("{good}&{more}"));
    use ImdsRefusal as Rule;

    expect(
        &sim,
        Rule::UnknownPath,
        404,
        get("/metadata/identity/oauth2/Token"),
    )
    .await;
    expect(
        &sim,
        Rule::MethodNotAllowed,
        405,
        asking(&good).method(Method::POST),
    )
    .await;
    expect(
        &sim,
        Rule::ForwardedFor,
        400,
        asking(&good).header("x-forwarded-for", "10.0.0.1"),
    )
    .await;
    expect(&sim, Rule::MissingMetadataHeader, 400, get(&path(&good))).await;
    expect(&sim, Rule::DuplicateParameter, 400, with(RESOURCE)).await;
    expect(&sim, Rule::MissingApiVersion, 400, asking(RESOURCE)).await;
    let old = asking(&format!("api-version=2017-12-01&{RESOURCE}"));
    expect(&sim, Rule::UnknownApiVersion, 400, old).await;
    expect(&sim, Rule::MissingResource, 400, asking(VERSION)).await;
    let scope = asking(&format!("{VERSION}&{RESOURCE}/.default"));
    expect(&sim, Rule::ScopeInsteadOfResource, 400, scope).await;
    expect(
        &sim,
        Rule::SeveralSelectors,
        400,
        with("client_id=a&object_id=b"),
    )
    .await;
    let unknown = asking(&format!("{VERSION}&resource=https://monitor.example"));
    let error = expect(&sim, Rule::UnknownResource, 400, unknown).await;
    assert_eq!(error["error"], "invalid_resource");
    assert!(
        error["error_description"]
            .as_str()
            .unwrap()
            .starts_with("AADSTS500011: ")
    );
    let error = expect(&sim, Rule::IdentityNotFound, 400, with("client_id=nobody")).await;
    assert_eq!(error["error"], "invalid_request");
    assert_eq!(error["error_description"], "Identity not found");

    let state = sim.state().imds;
    assert_eq!(
        (state.calls, state.accepted, state.tokens_issued),
        (12, 0, 0)
    );
}

#[tokio::test]
async fn the_metadata_header_must_be_true_and_single() {
    let sim = started().await;
    for values in [vec!["false"], vec![""], vec!["true", "true"]] {
        let request = values
            .iter()
            .fold(get(TOKEN_TARGET), |r, v| r.header("metadata", *v));
        let reply = call(sim.addresses().imds, without_body(request))
            .await
            .unwrap();
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{values:?}");
    }
    assert_eq!(
        sim.state().imds.refused[&ImdsRefusal::MissingMetadataHeader],
        3
    );
}

#[tokio::test]
async fn every_value_of_a_reply_is_a_string() {
    let sim = started().await;
    sim.change_settings(|settings| settings.refresh_in_seconds = Some(43_200));
    let reply = ask_imds(&sim).await.json();
    let members = reply.as_object().unwrap();
    assert!(members.values().all(Value::is_string));
    let wanted = [
        "access_token",
        "expires_in",
        "expires_on",
        "not_before",
        "refresh_in",
        "resource",
    ];
    assert!(wanted.iter().all(|name| members.contains_key(*name)));
    assert_eq!(reply["token_type"], "Bearer");
    assert_eq!(reply["expires_in"], "86400");
    assert_eq!(reply["refresh_in"], "43200");
}

#[tokio::test]
async fn the_same_token_comes_with_a_shrinking_lifetime_until_shortly_before_expiry() {
    let sim = started().await;
    sim.change_settings(|settings| settings.token_lifetime_seconds = 3600);
    let first = ask_imds(&sim).await.json();
    let lifetime = |reply: &Value| {
        reply["expires_in"]
            .as_str()
            .unwrap()
            .parse::<i64>()
            .unwrap()
    };

    sim.change_settings(|settings| settings.clock_skew_seconds = 3400);
    let second = ask_imds(&sim).await.json();
    assert_eq!(second["access_token"], first["access_token"]);
    assert_eq!(second["expires_on"], first["expires_on"]);
    assert!(
        (190..=200).contains(&lifetime(&second)),
        "{}",
        lifetime(&second)
    );

    // A twentieth of an hour is 180 s.
    sim.change_settings(|settings| settings.clock_skew_seconds = 3421);
    let third = ask_imds(&sim).await.json();
    assert_ne!(third["access_token"], first["access_token"]);
    assert_eq!(lifetime(&third), 3600);

    let state = sim.state();
    assert_eq!(
        (state.imds.tokens_issued, state.imds.tokens_repeated),
        (2, 1)
    );
    assert_eq!(state.tokens[0].handed_out, 2);
}

#[tokio::test]
async fn a_new_token_comes_each_time_when_caching_is_off_or_forgotten() {
    let sim = started().await;
    let mut seen = HashSet::from([token(&sim).await]);
    assert!(!seen.insert(token(&sim).await));
    sim.forget_cached_tokens();
    assert!(seen.insert(token(&sim).await));
    sim.change_settings(|settings| settings.cache = false);
    assert!(seen.insert(token(&sim).await));
    assert!(seen.insert(token(&sim).await));
}

#[tokio::test]
async fn the_form_of_the_expiry_can_be_chosen() {
    let sim = started().await;
    for form in [
        ExpiresOnForm::UnixString,
        ExpiresOnForm::UnixNumber,
        ExpiresOnForm::Rfc3339,
        ExpiresOnForm::UsDateWithOffset,
        ExpiresOnForm::UsDate,
        ExpiresOnForm::IsoDate,
        ExpiresOnForm::Absent,
    ] {
        sim.change_settings(|settings| settings.expires_on = form);
        let reply = ask_imds(&sim).await.json();
        assert_eq!(
            reply["expires_on"].is_number(),
            form == ExpiresOnForm::UnixNumber
        );
        assert_eq!(
            reply.get("expires_on").is_none(),
            form == ExpiresOnForm::Absent
        );
    }
    sim.change_settings(|settings| settings.expires_in = ExpiresInForm::Number);
    assert!(ask_imds(&sim).await.json()["expires_in"].is_number());
    sim.change_settings(|settings| settings.expires_in = ExpiresInForm::Absent);
    assert!(ask_imds(&sim).await.json().get("expires_in").is_none());
}

#[tokio::test]
async fn absurd_lifetimes_are_handed_out_as_asked() {
    let sim = started().await;
    for lifetime in [0, -5, i64::MAX] {
        sim.change_settings(|settings| settings.token_lifetime_seconds = lifetime);
        sim.forget_cached_tokens();
        assert_eq!(ask_imds(&sim).await.status, StatusCode::OK, "{lifetime}");
    }
    assert_eq!(sim.state().tokens[2].expires_at, i64::MAX);
}

#[tokio::test]
async fn each_selector_chooses_its_identity() {
    let (a, b) = (Identity::user_assigned("a"), Identity::user_assigned("b"));
    let options = Options {
        user_assigned: vec![a.clone(), b.clone()],
        ..Options::default()
    };
    let sim = AzureSim::start(options).await.unwrap();
    let resource_id = b.resource_id.replace('/', "%2F");
    for (query, wanted) in [
        (String::new(), &Identity::system_assigned()),
        (format!("&client_id={}", a.client_id), &a),
        (format!("&object_id={}", b.object_id), &b),
        (format!("&msi_res_id={resource_id}"), &b),
        (format!("&client_id={}", a.client_id.to_uppercase()), &a),
    ] {
        let reply = ask_imds_more(&sim, &query).await.json();
        assert_eq!(reply["client_id"], wanted.client_id, "{query}");
    }
}

#[tokio::test]
async fn without_a_system_assigned_identity_a_selector_is_needed_unless_one_is_alone() {
    for (count, status) in [(0, 400), (1, 200), (2, 400)] {
        let user_assigned = (0..count).map(|_| Identity::user_assigned("x")).collect();
        let options = Options {
            system_assigned: None,
            user_assigned,
            ..Options::default()
        };
        let sim = AzureSim::start(options).await.unwrap();
        assert_eq!(
            ask_imds(&sim).await.status.as_u16(),
            status,
            "{count} identities"
        );
    }
}

#[tokio::test]
async fn more_than_twenty_requests_a_second_are_refused() {
    let sim = started().await;
    let mut accepted = 0;
    while ask_imds(&sim).await.status == StatusCode::OK {
        accepted += 1;
        assert!(accepted < 10_000, "no request was refused");
    }
    assert!(accepted >= 20);
    assert_eq!(sim.state().imds.refused[&ImdsRefusal::TooManyRequests], 1);
    sim.change_settings(|settings| settings.rate_limit = false);
    assert_eq!(ask_imds(&sim).await.status, StatusCode::OK);
}

#[tokio::test]
async fn more_than_five_requests_at_once_are_refused() {
    let sim = started().await;
    sim.inject(Fault::new(Service::Imds, FaultKind::Hang))
        .unwrap();
    for _ in 0..5 {
        let request = without_body(get(TOKEN_TARGET).header("metadata", "true"));
        tokio::spawn(call(sim.addresses().imds, request));
    }
    until(|| sim.state().imds.in_flight == 5).await;
    assert_eq!(ask_imds(&sim).await.status, StatusCode::TOO_MANY_REQUESTS);
    let state = sim.state().imds;
    assert_eq!(state.refused[&ImdsRefusal::TooManyAtOnce], 1);
    assert_eq!((state.in_flight, state.max_in_flight), (5, 6));
    assert_eq!(state.max_in_flight_alike, 6);
}

#[tokio::test]
async fn neither_the_state_nor_the_requests_show_a_token() {
    let sim = started().await;
    let token = token(&sim).await;
    crate::client::ask_target(&sim, "/echo", &token).await;
    let shown = [
        serde_json::to_string(&sim.state()).unwrap(),
        serde_json::to_string(&sim.requests(Service::Imds, 10)).unwrap(),
        serde_json::to_string(&sim.requests(Service::Target, 10)).unwrap(),
        format!("{sim:?}"),
    ];
    let signature = token.rsplit('.').next().unwrap();
    assert!(shown.iter().all(|text| !text.contains(signature)));
}

#[test]
fn the_default_settings_are_those_of_the_real_service() {
    let settings = Settings::default();
    assert_eq!(settings.token_lifetime_seconds, 24 * 60 * 60);
    assert!(settings.cache && settings.rate_limit);
}
