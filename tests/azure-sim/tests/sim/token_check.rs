//! The target accepts a token only for good reasons, and names the reason when it does not.

use crate::client::{ask_target, call, get, started, token, without_body};
use azure_sim::{
    AZURE_MONITOR, AzureSim, CachedTokens, Identity, METRICS_PUBLISHER, Options, RoleAssignment,
    TokenRefusal,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hyper::StatusCode;
use hyper::header::WWW_AUTHENTICATE;
use serde_json::{Value, json};

/// The header or the claims of a token.
pub(crate) fn part(token: &str, index: usize) -> Value {
    let text = token.split('.').nth(index).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap()
}

fn encoded(part: &Value) -> String {
    URL_SAFE_NO_PAD.encode(part.to_string())
}

async fn expect(sim: &AzureSim, refusal: TokenRefusal, token: &str) {
    let before = sim
        .state()
        .target
        .refused
        .get(&refusal)
        .copied()
        .unwrap_or_default();
    let reply = ask_target(sim, "/echo", token).await;
    let wanted = match refusal {
        TokenRefusal::MissingRole => StatusCode::FORBIDDEN,
        _ => StatusCode::UNAUTHORIZED,
    };
    assert_eq!(reply.status, wanted, "{refusal:?}");
    assert!(reply.json()["error"]["code"].is_string());
    assert_eq!(
        reply.headers.contains_key(WWW_AUTHENTICATE),
        wanted == StatusCode::UNAUTHORIZED
    );
    let state = sim.state().target;
    assert_eq!(
        state.refused.get(&refusal),
        Some(&(before + 1)),
        "{:?}",
        state.refused
    );
}

#[tokio::test]
async fn a_good_token_is_accepted_with_and_without_the_slash_in_its_audience() {
    let sim = started().await;
    for resource in [AZURE_MONITOR.to_owned(), format!("{AZURE_MONITOR}/")] {
        sim.forget_cached_tokens();
        let token = sim.token(&Identity::system_assigned(), &resource).unwrap();
        let reply = ask_target(&sim, "/echo", &token).await;
        assert_eq!(reply.status, StatusCode::OK);
        assert_eq!(reply.json()["token"]["aud"], resource);
    }
    assert_eq!(sim.state().target.authorized, 2);
}

#[tokio::test]
async fn a_forged_token_is_refused_for_what_is_wrong_with_it() {
    let sim = started().await;
    let good = token(&sim).await;
    let [header, claims, signature] = good.split('.').collect::<Vec<_>>().try_into().unwrap();

    expect(&sim, TokenRefusal::Malformed, "not-a-token").await;
    expect(&sim, TokenRefusal::Malformed, &format!("{header}.{claims}")).await;
    let mut tampered = part(&good, 1);
    tampered["oid"] = json!("11111111-2222-4333-8444-555555555555");
    let tampered = format!("{header}.{}.{signature}", encoded(&tampered));
    expect(&sim, TokenRefusal::BadSignature, &tampered).await;
    expect(
        &sim,
        TokenRefusal::BadSignature,
        &format!("{header}.{claims}.AAAA"),
    )
    .await;
    expect(
        &sim,
        TokenRefusal::BadSignature,
        &format!("{header}.{claims}."),
    )
    .await;
    for algorithm in ["none", "HS256", "PS256"] {
        let mut header = part(&good, 0);
        header["alg"] = json!(algorithm);
        let forged = format!("{}.{claims}.{signature}", encoded(&header));
        expect(&sim, TokenRefusal::BadAlgorithm, &forged).await;
    }
    let other = started().await;
    expect(&sim, TokenRefusal::UnknownKey, &token(&other).await).await;
    assert_eq!(sim.state().target.authorized, 0);
}

#[tokio::test]
async fn a_signed_token_is_refused_for_what_its_claims_say() {
    let sim = started().await;
    let good = part(&token(&sim).await, 1);
    let now = sim.state().now;
    for (claim, value, refusal) in [
        (
            "iss",
            json!("https://sts.windows.net/other/"),
            TokenRefusal::WrongIssuer,
        ),
        (
            "aud",
            json!("https://management.azure.com"),
            TokenRefusal::WrongAudience,
        ),
        (
            "aud",
            json!("https://monitor.azure.com//"),
            TokenRefusal::WrongAudience,
        ),
        ("exp", json!(now), TokenRefusal::Expired),
        ("nbf", json!(now + 60), TokenRefusal::NotYetValid),
        ("exp", json!("tomorrow"), TokenRefusal::Malformed),
        ("oid", Value::Null, TokenRefusal::Malformed),
    ] {
        let mut claims = good.clone();
        claims[claim] = value;
        expect(&sim, refusal, &sim.sign(&claims).unwrap()).await;
    }
}

#[tokio::test]
async fn exactly_one_bearer_header_is_wanted() {
    let sim = started().await;
    let bearer = format!("Bearer {}", token(&sim).await);
    for (values, refusal) in [
        (vec![], TokenRefusal::MissingAuthorization),
        (
            vec![bearer.as_str(), bearer.as_str()],
            TokenRefusal::SeveralAuthorizations,
        ),
        (vec!["Basic dXNlcjpwYXNz"], TokenRefusal::NotBearer),
    ] {
        let request = values
            .iter()
            .fold(get("/echo"), |r, v| r.header("authorization", *v));
        let reply = call(sim.addresses().target_plain, without_body(request))
            .await
            .unwrap();
        assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
        assert_eq!(
            sim.state().target.refused.get(&refusal),
            Some(&1),
            "{refusal:?}"
        );
    }
}

#[tokio::test]
async fn an_expired_token_is_refused_to_the_second() {
    let sim = started().await;
    sim.change_settings(|settings| settings.token_lifetime_seconds = 60);
    let token = token(&sim).await;
    sim.change_settings(|settings| settings.clock_skew_seconds = 55);
    assert_eq!(
        ask_target(&sim, "/echo", &token).await.status,
        StatusCode::OK
    );
    sim.change_settings(|settings| settings.clock_skew_seconds = 60);
    expect(&sim, TokenRefusal::Expired, &token).await;
    let used = &sim.state().tokens[0];
    assert_eq!((used.authorized, used.refused), (1, 1));
}

#[tokio::test]
async fn a_revoked_token_is_refused_and_imds_hands_it_out_until_told_otherwise() {
    let sim = started().await;
    let first = token(&sim).await;
    assert_eq!(sim.revoke(CachedTokens::Keep), 1);
    assert_eq!(token(&sim).await, first);
    expect(&sim, TokenRefusal::Revoked, &first).await;

    assert_eq!(sim.revoke(CachedTokens::Forget), 0);
    let second = token(&sim).await;
    assert_ne!(second, first);
    assert_eq!(
        ask_target(&sim, "/echo", &second).await.status,
        StatusCode::OK
    );
    let tokens = sim.state().tokens;
    assert_eq!(
        (tokens[0].authorized, tokens[0].refused, tokens[0].revoked),
        (0, 1, true)
    );
    assert_eq!(
        (tokens[1].authorized, tokens[1].refused, tokens[1].revoked),
        (1, 0, false)
    );
}

#[tokio::test]
async fn a_role_counts_from_the_moment_it_is_given_and_needs_no_new_token() {
    let identity = Identity::system_assigned().without_roles();
    let options = Options {
        system_assigned: Some(identity.clone()),
        ..Options::default()
    };
    let sim = AzureSim::start(options).await.unwrap();
    let token = token(&sim).await;
    expect(&sim, TokenRefusal::MissingRole, &token).await;
    let role = RoleAssignment {
        object_id: identity.object_id,
        audience: format!("{AZURE_MONITOR}/"),
        role: METRICS_PUBLISHER.to_owned(),
    };
    sim.grant_role(role.clone());
    assert_eq!(
        ask_target(&sim, "/echo", &token).await.status,
        StatusCode::OK
    );
    sim.remove_role(role);
    expect(&sim, TokenRefusal::MissingRole, &token).await;
}

#[tokio::test]
async fn the_published_keys_verify_the_tokens() {
    let sim = started().await;
    let token = token(&sim).await;
    let keys: jsonwebtoken::jwk::JwkSet = serde_json::from_value(sim.jwks()).unwrap();
    let key = keys.find(part(&token, 0)["kid"].as_str().unwrap()).unwrap();
    let mut validation = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::RS256);
    validation.set_audience(&[AZURE_MONITOR]);
    let key = jsonwebtoken::DecodingKey::from_jwk(key).unwrap();
    let decoded = jsonwebtoken::decode::<Value>(&token, &key, &validation).unwrap();
    assert_eq!(decoded.claims["tid"], sim.state().tenant_id);
}
