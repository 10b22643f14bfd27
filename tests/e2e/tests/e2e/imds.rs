//! What the proxy asks IMDS, and what it makes of the answers.

use std::time::Duration;

use azure_sim::{ExpiresInForm, ExpiresOnForm, Identity, Options, Service, Settings};
use e2e::azure::{Azure, ECHO};
use e2e::{Proxy, eventually, http};

fn echo(proxy: &Proxy) -> azure_sim::EchoReport {
    let answer = http::get(&proxy.url(ECHO)).expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json().expect("an echo")
}

#[test]
fn imds_is_asked_by_its_rules() {
    let azure = Azure::start(Options::default());
    let proxy = azure
        .proxy()
        .set("AUDIENCE", "https://monitor.azure.com/.default")
        .start();
    proxy.wait_until_ready();

    let state = azure.state();
    assert!(state.imds.refused.is_empty(), "{:?}", state.imds.refused);
    let requests = azure.requests(Service::Imds, 10);
    let [request] = requests.as_slice() else {
        panic!("{requests:?}")
    };
    assert_eq!(request.method, "GET");
    assert_eq!(
        request.target,
        "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fmonitor.azure.com"
    );
    let value = |name: &str| {
        let found: Vec<_> = request
            .headers
            .iter()
            .filter(|(n, _)| n.eq_ignore_ascii_case(name))
            .collect();
        assert!(found.len() <= 1, "{name} is there {} times", found.len());
        found.first().map(|(_, value)| value.as_str())
    };
    assert_eq!(value("metadata"), Some("true"));
    assert_eq!(value("x-forwarded-for"), None);
    assert_eq!(value("authorization"), None);
}

#[test]
fn a_user_assigned_identity_is_found_by_each_of_its_three_names() {
    let (one, two) = (
        Identity::user_assigned("one"),
        Identity::user_assigned("two"),
    );
    for (variable, value) in [
        ("AAD_CLIENT_ID", &two.client_id),
        ("AAD_OBJECT_ID", &two.object_id),
        ("AAD_RESOURCE_ID", &two.resource_id),
    ] {
        let user_assigned = vec![one.clone(), two.clone()];
        let azure = Azure::start(Options {
            user_assigned,
            ..Options::default()
        });
        let proxy = azure
            .proxy()
            .set("IDENTITY_TYPE", "userAssigned")
            .set(variable, value.as_str())
            .start();
        proxy.wait_until_ready();
        let token = echo(&proxy).token;
        assert_eq!(
            (token.oid, token.appid),
            (two.object_id.clone(), two.client_id.clone()),
            "{variable}"
        );
    }
}

#[test]
fn every_form_in_which_imds_may_say_when_a_token_ends_is_understood() {
    use ExpiresInForm as In;
    use ExpiresOnForm as On;

    let azure = Azure::start(Options::default());
    for (expires_in, expires_on) in [
        (In::String, On::UnixString),
        (In::Number, On::UnixNumber),
        (In::String, On::Absent),
        (In::Absent, On::UnixString),
        (In::Absent, On::UnixNumber),
        (In::Absent, On::Rfc3339),
        (In::Absent, On::UsDateWithOffset),
        (In::Absent, On::UsDate),
        (In::Absent, On::IsoDate),
    ] {
        azure.change_settings(|settings| {
            settings.expires_in = expires_in;
            settings.expires_on = expires_on;
            settings.token_lifetime_seconds = 3600;
        });
        azure.forget_cached_tokens();
        let proxy = azure.proxy().start();
        proxy.wait_until_ready();
        let exp = echo(&proxy).token.exp as f64;
        let expiry = proxy
            .metrics()
            .expect("metrics")
            .sum("entra_auth_token_expiry_timestamp_seconds");
        let off = (expiry.expect("an expiry") - exp).abs();
        assert!(off <= 2.0, "{expires_in:?} {expires_on:?}: off by {off} s");
    }
}

/// IMDS gives the same token until shortly before it ends.
#[test]
fn a_caching_imds_is_asked_again_until_it_gives_the_next_token_and_no_request_notices() {
    let azure = Azure::with(Settings {
        token_lifetime_seconds: 20,
        cache: true,
        cache_until_remaining_seconds: Some(2),
        ..Settings::default()
    });
    let proxy = azure
        .proxy()
        .set("AAD_TOKEN_REFRESH_INTERVAL_IN_PERCENTAGE", "30")
        .start();
    proxy.wait_until_ready();
    let mut generation = None;
    eventually(
        Duration::from_secs(60),
        "the third generation is in use",
        || {
            generation = echo(&proxy).token.generation;
            if generation >= Some(3) {
                Ok(())
            } else {
                Err(format!("{generation:?}"))
            }
        },
    );
    let state = azure.state();
    assert!(
        state.imds.tokens_repeated > 0,
        "IMDS never repeated a token"
    );
    assert!(
        state.imds.calls < 40,
        "{} calls for three tokens",
        state.imds.calls
    );
    assert!(
        state.target.refused.is_empty(),
        "{:?}",
        state.target.refused
    );
}
