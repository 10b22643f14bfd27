//! What Entra gives to whom, how it counts, and how it fails.

use azure_sim::{
    AccessTokenVersion, Application, CachedTokens, ClientSecret, EntraRefusal as Rule, Fault,
    FaultKind, METRICS_PUBLISHER, RoleAssignment, Service,
};
use hyper::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::client::{ask_target, call, call_tls, get, until, without_body};
use crate::entra_client::{
    SECRET, ask, expect_refusal, post, secret_form, send, started_with, started_with_secret, v1,
    v2, with_form,
};
use crate::token_check::part;

fn access_token(reply: &Value) -> String {
    reply["access_token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_reply_of_v2_has_numbers_and_one_of_v1_strings() {
    let (sim, app) = started_with_secret().await;
    let reply = ask(&sim, &app.client_id, SECRET).await;
    assert_eq!(reply.status, StatusCode::OK);
    let reply = reply.json();
    assert_eq!(reply["token_type"], "Bearer");
    assert_eq!(reply["expires_in"], 3599);
    assert_eq!(reply["ext_expires_in"], 3599);
    assert_eq!(reply.as_object().unwrap().len(), 4);

    sim.change_settings(|settings| settings.refresh_in_seconds = Some(1800));
    assert_eq!(
        ask(&sim, &app.client_id, SECRET).await.json()["refresh_in"],
        1800
    );

    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", &app.client_id),
        ("resource", "https://monitor.azure.com"),
        ("client_secret", SECRET),
    ];
    let reply = send(&sim, &v1(&sim), &form).await.json();
    assert!(reply.as_object().unwrap().values().all(Value::is_string));
    assert_eq!(reply["expires_in"], "3599");
    assert_eq!(reply["resource"], "https://monitor.azure.com");
    let claims = part(&access_token(&reply), 1);
    assert_eq!(reply["expires_on"], claims["exp"].to_string());
    assert_eq!(reply["not_before"], claims["nbf"].to_string());
}

#[tokio::test]
async fn a_token_says_whose_it_is_in_both_versions_and_the_target_takes_both() {
    let mut app = Application::new("app").with_secret(SECRET);
    app.app_roles = vec!["Reader".to_owned()];
    let (sim, app) = started_with(app).await;
    let tenant = sim.state().tenant_id;
    for (version, issuer, client) in [
        (
            AccessTokenVersion::V1,
            format!("https://sts.windows.net/{tenant}/"),
            "appid",
        ),
        (
            AccessTokenVersion::V2,
            format!("https://login.microsoftonline.com/{tenant}/v2.0"),
            "azp",
        ),
    ] {
        sim.change_settings(|settings| settings.access_token_version = version);
        let token = access_token(&ask(&sim, &app.client_id, SECRET).await.json());
        let claims = part(&token, 1);
        assert_eq!(claims["iss"], issuer);
        assert_eq!(claims["aud"], "https://monitor.azure.com");
        assert_eq!(claims["tid"], tenant);
        assert_eq!(claims[client], app.client_id);
        assert_eq!(claims["oid"], app.object_id);
        assert_eq!(claims["roles"], json!(["Reader"]));
        let reply = ask_target(&sim, "/echo", &token).await;
        assert_eq!(reply.status, StatusCode::OK);
        assert_eq!(reply.json()["token"]["appid"], app.client_id);
    }
}

#[tokio::test]
async fn each_request_gets_a_new_token_that_is_counted_and_can_be_revoked() {
    let (sim, app) = started_with_secret().await;
    let first = access_token(&ask(&sim, &app.client_id, SECRET).await.json());
    let second = access_token(&ask(&sim, &app.client_id, SECRET).await.json());
    assert_ne!(first, second);
    assert_eq!(sim.revoke(CachedTokens::Keep), 2);
    let third = access_token(&ask(&sim, &app.client_id, SECRET).await.json());
    for (token, status) in [(&second, 401), (&third, 200)] {
        assert_eq!(
            ask_target(&sim, "/echo", token).await.status.as_u16(),
            status
        );
    }
    let state = sim.state();
    let endpoint = &state.entra.token_endpoint;
    assert_eq!((endpoint.calls, endpoint.accepted), (3, 3));
    assert_eq!((endpoint.tokens_issued, endpoint.tokens_repeated), (3, 0));
    assert_eq!(endpoint.answers[&200], 3);
    assert_eq!(state.tokens[2].generation, 3);
    assert_eq!(state.tokens[2].source, Service::Entra);
    assert_eq!(state.tokens[2].object_id, app.object_id);
    assert_eq!(
        (state.tokens[1].refused, state.tokens[2].authorized),
        (1, 1)
    );
}

#[tokio::test]
async fn the_lifetime_of_its_tokens_is_a_setting_of_its_own() {
    let (sim, app) = started_with_secret().await;
    for lifetime in [5, 0, -7] {
        sim.change_settings(|settings| settings.entra_token_lifetime_seconds = lifetime);
        let reply = ask(&sim, &app.client_id, SECRET).await.json();
        assert_eq!(reply["expires_in"], lifetime);
    }
    let token = &sim.state().tokens[0];
    assert_eq!(token.expires_at - token.issued_at, 5);
}

#[tokio::test]
async fn a_role_is_given_to_the_applications_object_id() {
    let mut app = Application::new("app").with_secret(SECRET);
    app.roles.clear();
    let (sim, app) = started_with(app).await;
    let token = access_token(&ask(&sim, &app.client_id, SECRET).await.json());
    assert_eq!(
        ask_target(&sim, "/echo", &token).await.status,
        StatusCode::FORBIDDEN
    );
    sim.grant_role(RoleAssignment {
        object_id: app.object_id,
        audience: "https://monitor.azure.com".to_owned(),
        role: METRICS_PUBLISHER.to_owned(),
    });
    assert_eq!(
        ask_target(&sim, "/echo", &token).await.status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn every_rule_about_the_application_and_its_secret_has_its_error() {
    let (sim, app) = started_with_secret().await;
    let id = &app.client_id;
    let upper = id.to_uppercase();
    assert_eq!(ask(&sim, &upper, SECRET).await.status, StatusCode::OK);

    let reply = ask(&sim, &Uuid::new_v4().to_string(), SECRET).await;
    expect_refusal(
        &sim,
        &reply,
        Rule::UnknownApplication,
        700_016,
        "unauthorized_client",
    );
    for wrong in [
        "another-secret",
        &SECRET.to_uppercase(),
        &format!("{SECRET} "),
    ] {
        let reply = ask(&sim, id, wrong).await;
        expect_refusal(&sim, &reply, Rule::WrongSecret, 7_000_215, "invalid_client");
    }
    assert_eq!(
        sim.state().entra.token_endpoint.refused[&Rule::WrongSecret],
        3
    );

    let now = sim.state().now;
    assert!(sim.change_application(id, |app| app.secrets[0].expires_at = Some(now + 60)));
    assert_eq!(ask(&sim, id, SECRET).await.status, StatusCode::OK);
    sim.change_settings(|settings| settings.clock_skew_seconds = 60);
    let reply = ask(&sim, id, SECRET).await;
    expect_refusal(
        &sim,
        &reply,
        Rule::ExpiredSecret,
        7_000_222,
        "invalid_client",
    );
    // The second of two secrets is as good as the first.
    sim.change_application(id, |app| {
        app.secrets.push(ClientSecret {
            value: "the-next-secret".to_owned(),
            expires_at: None,
        });
    });
    assert_eq!(
        ask(&sim, id, "the-next-secret").await.status,
        StatusCode::OK
    );

    sim.change_application(id, |app| app.disabled = true);
    let reply = ask(&sim, id, "the-next-secret").await;
    expect_refusal(
        &sim,
        &reply,
        Rule::DisabledApplication,
        7_000_112,
        "unauthorized_client",
    );

    assert!(sim.remove_application(id));
    let reply = ask(&sim, id, "the-next-secret").await;
    expect_refusal(
        &sim,
        &reply,
        Rule::UnknownApplication,
        700_016,
        "unauthorized_client",
    );
    assert!(!sim.remove_application(id));
    assert!(!sim.change_application(id, |_| ()));
}

#[tokio::test]
async fn the_clients_request_id_comes_back_and_its_freshness_is_counted() {
    let (sim, app) = started_with_secret().await;
    let form = secret_form(&app.client_id, "another-secret");
    let id = Uuid::new_v4().to_string();
    for _ in 0..2 {
        let request = post(&sim, &v2(&sim), &form)
            .header("client-request-id", &id)
            .header("return-client-request-id", "true");
        let reply = call(sim.addresses().entra_plain, with_form(request))
            .await
            .unwrap();
        assert_eq!(reply.headers["client-request-id"], id);
        assert_eq!(reply.json()["correlation_id"], id);
    }
    let silent =
        post(&sim, &v2(&sim), &form).header("client-request-id", Uuid::new_v4().to_string());
    let reply = call(sim.addresses().entra_plain, with_form(silent))
        .await
        .unwrap();
    assert!(!reply.headers.contains_key("client-request-id"));
    let malformed = post(&sim, &v2(&sim), &form).header("client-request-id", "1");
    call(sim.addresses().entra_plain, with_form(malformed))
        .await
        .unwrap();
    send(&sim, &v2(&sim), &form).await;
    let ids = sim.state().entra.request_ids;
    assert_eq!(
        (ids.fresh, ids.repeated, ids.malformed, ids.missing),
        (2, 1, 1, 1)
    );
}

#[tokio::test]
async fn client_capabilities_asked_for_in_claims_stand_in_the_token() {
    let (sim, app) = started_with_secret().await;
    let claims =
        r#"{"access_token":{"nbf":{"essential":true,"value":"1"},"xms_cc":{"values":["cp1"]}}}"#;
    let mut form = secret_form(&app.client_id, SECRET).to_vec();
    form.push(("claims", claims));
    let reply = send(&sim, &v2(&sim), &form).await.json();
    assert_eq!(part(&access_token(&reply), 1)["xms_cc"], json!(["cp1"]));
    let log = sim.requests(Service::Entra, 1);
    assert!(
        log[0]
            .form
            .contains(&("claims".to_owned(), claims.to_owned()))
    );
    let without = ask(&sim, &app.client_id, SECRET).await.json();
    assert_eq!(part(&access_token(&without), 1)["xms_cc"], Value::Null);
}

#[tokio::test]
async fn it_is_served_by_tls_with_both_protocols_and_publishes_its_keys() {
    let (sim, app) = started_with_secret().await;
    let tenant = sim.state().tenant_id;
    for offered in ["h2", "http/1.1"] {
        let at_localhost = format!("https://localhost{}", v2(&sim));
        let mut request = with_form(post(
            &sim,
            &at_localhost,
            &secret_form(&app.client_id, SECRET),
        ));
        request.headers_mut().remove("host");
        if offered == "http/1.1" {
            *request.uri_mut() = v2(&sim).parse().unwrap();
            request
                .headers_mut()
                .insert("host", "localhost".parse().unwrap());
        }
        let reply = call_tls(sim.addresses().entra_tls, sim.ca_pem(), &[offered], request)
            .await
            .unwrap();
        assert_eq!(reply.status, StatusCode::OK, "{offered}");
        let version = &sim.requests(Service::Entra, 1)[0].version;
        assert_eq!(version.starts_with("HTTP/2"), offered == "h2");
    }
    let path = format!("/{tenant}/v2.0/.well-known/openid-configuration");
    let address = sim.addresses().entra_plain;
    let metadata = call(address, without_body(get(&path)))
        .await
        .unwrap()
        .json();
    assert_eq!(metadata["issuer"], sim.managed_identity_issuer());
    assert_eq!(
        metadata["token_endpoint"],
        format!("http://test/{tenant}/oauth2/v2.0/token")
    );
    let keys = metadata["jwks_uri"]
        .as_str()
        .unwrap()
        .strip_prefix("http://test")
        .unwrap();
    let keys = call(address, without_body(get(keys))).await.unwrap().json();
    assert_eq!(keys, sim.jwks());
    let nobody = "/nobody.example/discovery/v2.0/keys";
    let reply = call(address, without_body(get(nobody))).await.unwrap();
    assert_eq!(reply.json()["error_codes"], json!([90_002]));
    assert_eq!(sim.state().entra.discovery, 3);
}

#[tokio::test]
async fn requests_for_one_token_at_once_are_told_from_those_for_several() {
    let (sim, app) = started_with_secret().await;
    let other = Application::new("other").with_secret(SECRET);
    sim.register_application(other.clone());
    sim.inject(Fault::new(Service::Entra, FaultKind::Hang))
        .unwrap();
    let address = sim.addresses().entra_plain;
    for id in [&app.client_id, &app.client_id, &other.client_id] {
        let request = with_form(post(&sim, &v2(&sim), &secret_form(id, SECRET)));
        tokio::spawn(call(address, request));
    }
    until(|| sim.state().entra.token_endpoint.in_flight == 3).await;
    let endpoint = sim.state().entra.token_endpoint;
    assert_eq!(
        (endpoint.max_in_flight, endpoint.max_in_flight_alike),
        (3, 2)
    );
}

#[tokio::test]
async fn faults_are_played_on_good_requests_and_it_stays_strict() {
    let (sim, app) = started_with_secret().await;
    let fault = Fault::new(Service::Entra, FaultKind::status_with_retry_after(429, 60));
    sim.inject(fault.times(1)).unwrap();
    let reply = ask(&sim, &app.client_id, "another-secret").await;
    expect_refusal(&sim, &reply, Rule::WrongSecret, 7_000_215, "invalid_client");
    let reply = ask(&sim, &app.client_id, SECRET).await;
    assert_eq!(reply.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(reply.headers["retry-after"], "60");
    assert!(sim.state().tokens.is_empty());

    let lost = Fault::new(Service::Entra, FaultKind::status(503)).after_handling();
    sim.inject(lost.times(1)).unwrap();
    assert_eq!(ask(&sim, &app.client_id, SECRET).await.status.as_u16(), 503);
    assert_eq!(sim.state().tokens.len(), 1);
    assert_eq!(
        ask(&sim, &app.client_id, SECRET).await.status,
        StatusCode::OK
    );
    sim.inject(Fault::new(Service::Entra, FaultKind::ResetBefore))
        .unwrap();
    let request = with_form(post(&sim, &v2(&sim), &secret_form(&app.client_id, SECRET)));
    assert!(call(sim.addresses().entra_plain, request).await.is_err());
    assert_eq!(sim.state().entra.token_endpoint.aborted, 1);
}
