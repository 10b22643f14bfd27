//! Entra takes an assertion only if a registered certificate signed it, for Entra, for now, and
//! once.

use azure_sim::{Application, AzureSim, EntraRefusal as Rule, RegisteredCertificate, Service};
use hyper::StatusCode;
use serde_json::{Value, json};

use crate::client::call_tls;
use crate::entra_client::{
    JWT_BEARER, SCOPE, SECRET, Signer, ask, ask_by_assertion, claims, expect_refusal, post,
    started_with, token_endpoint, v1, v2, with_form,
};

async fn started() -> (AzureSim, Application) {
    let app = Application::new("app").with_certificate(Signer::usual().certificate());
    started_with(app).await
}

#[tokio::test]
async fn an_assertion_of_either_algorithm_and_by_either_hash_is_taken() {
    let (sim, app) = started().await;
    let signer = Signer::usual();
    for header in [
        json!({ "alg": "PS256", "typ": "JWT", "x5t#S256": signer.sha256() }),
        json!({ "alg": "RS256", "typ": "JWT", "x5t": signer.sha1() }),
        json!({ "alg": "PS256", "x5t": signer.sha1(), "x5t#S256": signer.sha256() }),
        json!({ "alg": "PS256", "x5t#S256": signer.sha256(), "x5c": [signer.x5c()] }),
    ] {
        let assertion = signer.jwt(&header, &claims(&sim, &app.client_id));
        let reply = ask_by_assertion(&sim, &app.client_id, &assertion).await;
        assert_eq!(reply.status, StatusCode::OK, "{header}");
    }
    let shown = &sim.requests(Service::Entra, 1)[0].form;
    let (_, found) = shown
        .iter()
        .find(|(name, _)| name == "client_assertion")
        .unwrap();
    assert_eq!(
        *found,
        format!("<verified: certificate {}>", signer.sha256())
    );
}

#[tokio::test]
async fn every_rule_about_the_header_has_its_error() {
    let (sim, app) = started().await;
    let (signer, other) = (Signer::usual(), Signer::other());
    let client = "invalid_client";
    for (header, rule, code, error) in [
        (
            json!({ "alg": "none", "x5t#S256": signer.sha256() }),
            Rule::UnsupportedAlgorithm,
            5_002_738,
            "invalid_request",
        ),
        (
            json!({ "alg": "ES256", "x5t#S256": signer.sha256() }),
            Rule::UnsupportedAlgorithm,
            5_002_738,
            "invalid_request",
        ),
        (
            json!({ "alg": "PS256" }),
            Rule::CertificateNotRegistered,
            700_027,
            client,
        ),
        (
            json!({ "alg": "PS256", "x5t#S256": other.sha256() }),
            Rule::CertificateNotRegistered,
            700_027,
            client,
        ),
        (
            json!({ "alg": "PS256", "x5t#S256": signer.sha1() }),
            Rule::CertificateNotRegistered,
            700_027,
            client,
        ),
        (
            json!({ "alg": "RS256", "x5t": signer.sha256() }),
            Rule::CertificateNotRegistered,
            700_027,
            client,
        ),
        (
            json!({ "alg": "PS256", "x5t": other.sha1(), "x5t#S256": signer.sha256() }),
            Rule::CertificateNotRegistered,
            700_027,
            client,
        ),
        (
            json!({ "alg": "PS256", "x5t#S256": signer.sha256(), "x5c": [other.x5c()] }),
            Rule::CertificateNotRegistered,
            700_027,
            client,
        ),
    ] {
        let assertion = signer.jwt(&header, &claims(&sim, &app.client_id));
        let reply = ask_by_assertion(&sim, &app.client_id, &assertion).await;
        expect_refusal(&sim, &reply, rule, code, error);
    }
    assert!(sim.state().tokens.is_empty());
}

#[tokio::test]
async fn every_rule_about_the_signature_has_its_error() {
    let (sim, app) = started().await;
    let (signer, other) = (Signer::usual(), Signer::other());
    let good = signer.jwt(&signer.header(), &claims(&sim, &app.client_id));
    let by_another_key = other.jwt(&signer.header(), &claims(&sim, &app.client_id));
    // Signed by PS256, but called RS256.
    let swapped = {
        let mut header = signer.header();
        header["alg"] = json!("RS256");
        let as_rs256 = signer.jwt(&header, &claims(&sim, &app.client_id));
        let (message, _) = as_rs256.rsplit_once('.').unwrap();
        format!("{message}.{}", good.rsplit('.').next().unwrap())
    };
    let cut = good[..good.len() - 4].to_owned();
    let without = format!("{}.", good.rsplit_once('.').unwrap().0);
    for assertion in [by_another_key, swapped, cut, without] {
        let reply = ask_by_assertion(&sim, &app.client_id, &assertion).await;
        expect_refusal(
            &sim,
            &reply,
            Rule::InvalidSignature,
            700_027,
            "invalid_client",
        );
    }
    for assertion in ["x", "a.b", "a.b.c", good.rsplit_once('.').unwrap().0] {
        let reply = ask_by_assertion(&sim, &app.client_id, assertion).await;
        expect_refusal(
            &sim,
            &reply,
            Rule::MalformedAssertion,
            50_027,
            "invalid_client",
        );
    }
}

#[tokio::test]
async fn every_rule_about_the_claims_has_its_error() {
    let (sim, app) = started().await;
    let signer = Signer::usual();
    let now = sim.state().now;
    let endpoint = token_endpoint(&sim);
    let wrong_audience = (Rule::WrongAudience, 700_023);
    let outside = (Rule::OutsideValidity, 700_024);
    let too_long = (Rule::TooLongValid, 700_024);
    let malformed = (Rule::MalformedAssertion, 50_027);
    let of_another = (Rule::AssertionOfAnother, 700_021);
    for (changes, (rule, code)) in [
        (json!({ "aud": format!("{endpoint}/") }), wrong_audience),
        (
            json!({ "aud": endpoint.replace("http:", "https:") }),
            wrong_audience,
        ),
        (
            json!({ "aud": "https://login.microsoftonline.com/common/oauth2/v2.0/token" }),
            wrong_audience,
        ),
        (
            json!({ "aud": endpoint.replace(&sim.state().tenant_id, "common") }),
            wrong_audience,
        ),
        (json!({ "aud": app.client_id }), wrong_audience),
        (json!({ "exp": now, "nbf": now - 60 }), outside),
        (json!({ "exp": now - 60, "nbf": now - 120 }), outside),
        (json!({ "nbf": now + 400, "exp": now + 900 }), outside),
        (json!({ "exp": now + 601 }), too_long),
        (json!({ "nbf": now - 300, "exp": now + 301 }), too_long),
        (json!({ "nbf": null, "exp": now + 3600 }), too_long),
        (json!({ "exp": null }), malformed),
        (json!({ "aud": null }), malformed),
        (json!({ "jti": null }), malformed),
        (json!({ "iss": "someone" }), of_another),
        (json!({ "sub": "someone" }), of_another),
    ] {
        let mut claims = claims(&sim, &app.client_id);
        (claims["nbf"], claims["exp"]) = (json!(now), json!(now + 600));
        for (name, value) in changes.as_object().unwrap() {
            match value {
                Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
                value => claims[name] = value.clone(),
            }
        }
        let assertion = signer.jwt(&signer.header(), &claims);
        let reply = ask_by_assertion(&sim, &app.client_id, &assertion).await;
        expect_refusal(&sim, &reply, rule, code, "invalid_client");
    }
    assert!(sim.state().tokens.is_empty());
}

#[tokio::test]
async fn a_clock_that_is_a_little_ahead_does_no_harm() {
    let (sim, app) = started().await;
    let signer = Signer::usual();
    sim.change_settings(|settings| settings.clock_skew_seconds = -200);
    let mut claims = claims(&sim, &app.client_id);
    let here = sim.state().now + 200;
    (claims["nbf"], claims["exp"]) = (json!(here), json!(here + 600));
    let assertion = signer.jwt(&signer.header(), &claims);
    let reply = ask_by_assertion(&sim, &app.client_id, &assertion).await;
    assert_eq!(reply.status, StatusCode::OK);
}

#[tokio::test]
async fn an_assertion_serves_once() {
    let (sim, app) = started().await;
    let signer = Signer::usual();
    let assertion = signer.jwt(&signer.header(), &claims(&sim, &app.client_id));
    let first = ask_by_assertion(&sim, &app.client_id, &assertion).await;
    assert_eq!(first.status, StatusCode::OK);
    let second = ask_by_assertion(&sim, &app.client_id, &assertion).await;
    expect_refusal(&sim, &second, Rule::Replayed, 50_027, "invalid_client");
    assert_eq!(sim.state().entra.token_endpoint.refused[&Rule::Replayed], 1);
}

#[tokio::test]
async fn the_audience_is_the_endpoint_that_was_called_or_its_other_version() {
    let (sim, app) = started().await;
    let signer = Signer::usual();
    let base = format!(
        "https://login.microsoftonline.com/{}",
        sim.state().tenant_id
    );
    for audience in [
        v2(&sim),
        v1(&sim),
        format!("/{}/v2.0", sim.state().tenant_id),
    ] {
        let mut claims = claims(&sim, &app.client_id);
        claims["aud"] = json!(format!("https://login.microsoftonline.com{audience}"));
        let assertion = signer.jwt(&signer.header(), &claims);
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", &app.client_id),
            ("scope", SCOPE),
            ("client_assertion_type", JWT_BEARER),
            ("client_assertion", &assertion),
        ];
        let mut request = with_form(post(&sim, &format!("{base}/oauth2/v2.0/token"), &form));
        request.headers_mut().remove("host");
        let reply = call_tls(sim.addresses().entra_tls, sim.ca_pem(), &["h2"], request)
            .await
            .unwrap();
        assert_eq!(reply.status, StatusCode::OK, "{audience}");
    }
}

#[tokio::test]
async fn certificates_are_registered_removed_and_expire() {
    let (sim, app) = started_with(Application::new("app").with_secret(SECRET)).await;
    let id = &app.client_id;
    let assert = async |signer: &Signer| {
        let assertion = signer.jwt(&signer.header(), &claims(&sim, id));
        ask_by_assertion(&sim, id, &assertion).await
    };
    let reply = assert(Signer::usual()).await;
    expect_refusal(
        &sim,
        &reply,
        Rule::NoCertificates,
        700_026,
        "invalid_client",
    );

    // Two at once, as while one replaces the other.
    for signer in [Signer::usual(), Signer::other()] {
        sim.change_application(id, |app| app.certificates.push(signer.certificate()));
    }
    assert_eq!(assert(Signer::usual()).await.status, StatusCode::OK);
    assert_eq!(assert(Signer::other()).await.status, StatusCode::OK);
    sim.change_application(id, |app| drop(app.certificates.remove(0)));
    let reply = assert(Signer::usual()).await;
    expect_refusal(
        &sim,
        &reply,
        Rule::CertificateNotRegistered,
        700_027,
        "invalid_client",
    );
    assert_eq!(assert(Signer::other()).await.status, StatusCode::OK);

    for (first, last) in [(2019, 2020), (2190, 2200)] {
        let signer = Signer::new(first, last);
        sim.change_application(id, |app| app.certificates.push(signer.certificate()));
        let reply = assert(&signer).await;
        expect_refusal(
            &sim,
            &reply,
            Rule::CertificateExpired,
            700_027,
            "invalid_client",
        );
    }
    // Beside certificates a secret stays good.
    assert_eq!(ask(&sim, id, SECRET).await.status, StatusCode::OK);
}

#[test]
fn only_a_certificate_with_an_rsa_key_can_be_registered() {
    let error = RegisteredCertificate::from_der(b"rubbish").unwrap_err();
    assert!(error.to_string().starts_with("invalid certificate: "));
    let pair = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    let der = params.self_signed(&pair).unwrap().der().to_vec();
    let error = RegisteredCertificate::from_der(&der)
        .unwrap_err()
        .to_string();
    assert!(error.contains("not an RSA key"), "{error}");
}
