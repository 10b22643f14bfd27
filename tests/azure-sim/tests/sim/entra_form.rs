//! Entra reads a form strictly, and names what is wrong with it in Entra's words.

use azure_sim::{AzureCloud, AzureSim, EntraRefusal as Rule, Options, OtherTenant};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, StatusCode};
use uuid::Uuid;

use crate::client::{call, get, without_body};
use crate::entra_client::{
    SCOPE, SECRET, encoded, expect_refusal, post, secret_form, send, started_with_secret, v1, v2,
    with_form,
};

const GRANT: (&str, &str) = ("grant_type", "client_credentials");

#[tokio::test]
async fn every_rule_of_the_form_has_its_error() {
    let (sim, app) = started_with_secret().await;
    let id = ("client_id", app.client_id.as_str());
    let secret = ("client_secret", SECRET);
    let scope = ("scope", SCOPE);
    let kind = |kind| ("client_assertion_type", kind);
    let assertion = ("client_assertion", "x");
    let (v1, v2) = (v1(&sim), v2(&sim));
    let request = "invalid_request";
    for (target, form, rule, code, error) in [
        (&v2, vec![], Rule::MissingParameter, 900_144, request),
        (
            &v2,
            vec![GRANT, scope, secret],
            Rule::MissingParameter,
            900_144,
            request,
        ),
        (
            &v2,
            vec![GRANT, id, secret],
            Rule::MissingParameter,
            900_144,
            request,
        ),
        (
            &v2,
            vec![GRANT, id, secret, ("scope", "")],
            Rule::MissingParameter,
            900_144,
            request,
        ),
        (
            &v1,
            vec![GRANT, id, secret, scope],
            Rule::MissingParameter,
            900_144,
            request,
        ),
        (
            &v2,
            vec![GRANT, id, scope, assertion],
            Rule::MissingParameter,
            900_144,
            request,
        ),
        (
            &v2,
            vec![GRANT, id, id, scope, secret],
            Rule::DuplicateParameter,
            9_000_411,
            request,
        ),
        (
            &v2,
            vec![("grant_type", "password"), id, scope, secret],
            Rule::UnsupportedGrant,
            70_003,
            "unsupported_grant_type",
        ),
        (
            &v2,
            vec![
                GRANT,
                id,
                secret,
                scope,
                ("resource", "https://monitor.azure.com"),
            ],
            Rule::ResourceAtV2,
            901_002,
            request,
        ),
        (
            &v2,
            vec![GRANT, id, secret, ("scope", "https://monitor.azure.com")],
            Rule::ScopeWithoutDefault,
            1_002_012,
            "invalid_scope",
        ),
        (
            &v2,
            vec![
                GRANT,
                id,
                secret,
                ("scope", "https://a/.default https://b/.default"),
            ],
            Rule::InvalidScope,
            70_011,
            "invalid_scope",
        ),
        (
            &v2,
            vec![GRANT, id, secret, ("scope", "/.default")],
            Rule::InvalidScope,
            70_011,
            "invalid_scope",
        ),
        (
            &v2,
            vec![GRANT, id, secret, scope, ("claims", "[]")],
            Rule::InvalidClaims,
            90_100,
            request,
        ),
        (
            &v2,
            vec![GRANT, id, scope],
            Rule::NoCredential,
            7_000_218,
            "invalid_client",
        ),
        (
            &v2,
            vec![GRANT, id, scope, secret, assertion],
            Rule::SeveralCredentials,
            9_002_313,
            request,
        ),
        (
            &v2,
            vec![
                GRANT,
                id,
                scope,
                assertion,
                kind("urn:ietf:params:oauth:saml2"),
            ],
            Rule::InvalidAssertionType,
            90_100,
            request,
        ),
        (
            &v2,
            vec![
                GRANT,
                id,
                secret,
                ("scope", "https://monitor.example/.default"),
            ],
            Rule::UnknownResource,
            500_011,
            "invalid_resource",
        ),
        (
            &v1,
            vec![GRANT, id, secret, ("resource", "https://monitor.example")],
            Rule::UnknownResource,
            500_011,
            "invalid_resource",
        ),
    ] {
        let before = sim.state().entra.token_endpoint;
        let reply = send(&sim, target, &form).await;
        expect_refusal(&sim, &reply, rule, code, error);
        let after = sim.state().entra.token_endpoint;
        let count = |report: &azure_sim::SourceReport<Rule>| {
            report.refused.get(&rule).copied().unwrap_or_default()
        };
        assert_eq!(count(&after), count(&before) + 1, "{rule:?}");
        assert_eq!((after.accepted, after.calls), (0, before.calls + 1));
    }
    assert!(sim.state().tokens.is_empty());
}

#[tokio::test]
async fn the_missing_parameter_is_named() {
    let (sim, app) = started_with_secret().await;
    let form = secret_form(&app.client_id, SECRET);
    for missing in ["grant_type", "client_id", "scope"] {
        let rest: Vec<_> = form
            .into_iter()
            .filter(|(name, _)| *name != missing)
            .collect();
        let body = send(&sim, &v2(&sim), &rest).await.json();
        let description = body["error_description"].as_str().unwrap();
        let wanted = format!("must contain the following parameter: '{missing}'.");
        assert!(description.contains(&wanted), "{description}");
    }
}

#[tokio::test]
async fn only_a_form_that_is_posted_is_read() {
    let (sim, app) = started_with_secret().await;
    let form = secret_form(&app.client_id, SECRET);
    for content_type in ["application/json", "text/plain", ""] {
        let mut request = with_form(post(&sim, &v2(&sim), &form));
        request
            .headers_mut()
            .insert("content-type", content_type.parse().unwrap());
        let reply = call(sim.addresses().entra_plain, request).await.unwrap();
        expect_refusal(&sim, &reply, Rule::NotAForm, 900_144, "invalid_request");
    }
    let with_charset = "Application/x-www-form-urlencoded; charset=utf-8";
    let mut request = with_form(post(&sim, &v2(&sim), &form));
    request
        .headers_mut()
        .insert("content-type", with_charset.parse().unwrap());
    let reply = call(sim.addresses().entra_plain, request).await.unwrap();
    assert_eq!(reply.status, StatusCode::OK);

    for method in [Method::GET, Method::PUT] {
        let request = with_form(post(&sim, &v2(&sim), &form).method(method));
        let reply = call(sim.addresses().entra_plain, request).await.unwrap();
        expect_refusal(
            &sim,
            &reply,
            Rule::MethodNotAllowed,
            900_561,
            "invalid_request",
        );
        assert_eq!(reply.headers["allow"], "POST");
    }
    // A query is no form.
    let target = format!("{}?{}", v2(&sim), encoded(&form));
    let reply = send(&sim, &target, &[]).await;
    expect_refusal(
        &sim,
        &reply,
        Rule::MissingParameter,
        900_144,
        "invalid_request",
    );
}

#[tokio::test]
async fn what_is_longer_than_a_megabyte_is_not_read() {
    let (sim, app) = started_with_secret().await;
    let mut form = encoded(&secret_form(&app.client_id, SECRET));
    form.push_str("&x=");
    form.push_str(&"x".repeat(1 << 20));
    let request = post(&sim, &v2(&sim), &[])
        .body(Full::from(Bytes::from(form)))
        .unwrap();
    let reply = call(sim.addresses().entra_plain, request).await.unwrap();
    expect_refusal(
        &sim,
        &reply,
        Rule::MissingParameter,
        900_144,
        "invalid_request",
    );
}

async fn with_other_tenants() -> AzureSim {
    let other = |id: &str, cloud| OtherTenant {
        id: id.to_owned(),
        cloud,
    };
    let options = Options {
        other_tenants: vec![
            other("contoso.onmicrosoft.com", AzureCloud::Public),
            other("contoso.onmicrosoft.us", AzureCloud::UsGovernment),
        ],
        ..Options::default()
    };
    AzureSim::start(options).await.unwrap()
}

#[tokio::test]
async fn every_rule_about_the_tenant_has_its_error() {
    let sim = with_other_tenants().await;
    let unknown = Uuid::new_v4().to_string();
    let id = Uuid::new_v4().to_string();
    for (tenant, rule, code, error) in [
        (
            "not a tenant",
            Rule::MalformedTenant,
            900_023,
            "invalid_request",
        ),
        ("no-dot", Rule::MalformedTenant, 900_023, "invalid_request"),
        (
            unknown.as_str(),
            Rule::UnknownTenant,
            90_002,
            "invalid_request",
        ),
        (
            "nobody.example",
            Rule::UnknownTenant,
            90_002,
            "invalid_request",
        ),
        (
            "contoso.onmicrosoft.us",
            Rule::OtherCloud,
            90_038,
            "invalid_request",
        ),
        (
            "contoso.onmicrosoft.com",
            Rule::UnknownApplication,
            700_016,
            "unauthorized_client",
        ),
    ] {
        let target = format!("/{}/oauth2/v2.0/token", tenant.replace(' ', "~"));
        let reply = send(&sim, &target, &secret_form(&id, SECRET)).await;
        expect_refusal(&sim, &reply, rule, code, error);
    }
}

#[tokio::test]
async fn a_tenant_is_known_by_its_id_in_any_case_and_by_its_domain() {
    let (sim, app) = started_with_secret().await;
    for tenant in [
        sim.state().tenant_id.to_uppercase(),
        "azure-sim.onmicrosoft.com".to_owned(),
    ] {
        let target = format!("/{tenant}/oauth2/v2.0/token");
        let reply = send(&sim, &target, &secret_form(&app.client_id, SECRET)).await;
        assert_eq!(reply.status, StatusCode::OK, "{tenant}");
    }
}

#[tokio::test]
async fn the_entra_of_another_cloud_does_not_serve_the_tenant() {
    let (sim, app) = started_with_secret().await;
    for (host, is_ours) in [
        ("login.microsoftonline.com", true),
        ("LOGIN.microsoftonline.com:443", true),
        ("login.microsoftonline.us", false),
        ("login.chinacloudapi.cn", false),
        ("login.partner.microsoftonline.cn", false),
        ("localhost", true),
    ] {
        let mut request = with_form(post(&sim, &v2(&sim), &secret_form(&app.client_id, SECRET)));
        request.headers_mut().insert("host", host.parse().unwrap());
        let reply = call(sim.addresses().entra_plain, request).await.unwrap();
        if is_ours {
            assert_eq!(reply.status, StatusCode::OK, "{host}");
        } else {
            expect_refusal(&sim, &reply, Rule::OtherCloud, 90_038, "invalid_request");
        }
    }
}

#[tokio::test]
async fn there_is_nothing_at_other_paths() {
    let (sim, _) = started_with_secret().await;
    let tenant = sim.state().tenant_id;
    for path in [
        "/",
        "/oauth2/v2.0/token",
        &format!("/{tenant}/oauth2/v2.0/token/"),
        &format!("/{tenant}/oauth2/V2.0/token"),
        &format!("/{tenant}/oauth2/v2.0/authorize"),
    ] {
        let reply = call(sim.addresses().entra_plain, without_body(get(path)))
            .await
            .unwrap();
        assert_eq!(reply.status, StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(
        sim.state().entra.token_endpoint.refused[&Rule::UnknownPath],
        5
    );
}
