//! A token stands in no log, at no level; and every proxy of every test is searched for secrets
//! when it ends.

use std::panic::{AssertUnwindSafe, catch_unwind};

use azure_sim::{FederatedClaims, Options};
use e2e::azure::{Azure, ECHO};
use e2e::{Envoy, free_port, http};

use crate::downstream;

/// How every JWT begins: `{"` in base64url.
const JWT: &str = "eyJ";

#[test]
fn no_token_is_in_any_log_at_debug_or_trace_level() {
    for level in ["debug", "trace"] {
        let azure = Azure::start(Options::default());
        let proxy = azure.proxy().set("LOG_LEVEL", level).start();
        let request = http::Request::post(proxy.url(ECHO))
            .header("Authorization", "Bearer eyJ-the-clients-own")
            .body(vec![b'x'; 10_000])
            .expect("a request");
        assert_eq!(http::send(request).expect("an answer").status, 200);
        for path in ["/metrics", "/status", "/ready"] {
            let body = http::get(&proxy.status_url(path))
                .expect("an answer")
                .text();
            assert!(!body.contains(JWT), "{path} shows a token");
        }

        let logs = proxy.process().logs();
        assert!(logs.contains("[debug]"), "the level was not in force");
        // Envoy prints what the client sent, before anything of ours runs.
        let shown = logs
            .lines()
            .filter(|line| line.contains(JWT) && !line.contains("eyJ-the-clients-own"));
        assert_eq!(shown.collect::<Vec<_>>(), Vec::<&str>::new(), "at {level}");
        let access_log = proxy.process().stdout();
        assert!(access_log.contains(r#""path":"/echo""#), "{access_log}");
        assert!(!access_log.contains(JWT));
    }
}

/// Downstream, Envoy itself prints request headers at debug level. That this shows up proves
/// that the test above would see a token.
#[test]
fn the_search_for_tokens_in_logs_finds_one_where_envoy_is_known_to_print_it() {
    let azure = Azure::start(Options::default());
    let port = free_port();
    let envoy = Envoy::start_with(
        &downstream::bootstrap(&azure, port, &downstream::plugin(&azure)),
        port,
        &["--log-level", "debug"],
    )
    .that_may_log_secrets();
    let url = format!("http://127.0.0.1:{port}{ECHO}");
    let request = http::Request::get(url)
        .header("Host", downstream::TARGET)
        .body(Vec::new())
        .expect("a request");
    assert_eq!(http::send(request).expect("an answer").status, 200);
    assert!(envoy.process().logs().contains(JWT));
}

/// Values of request headers reach Envoy by its environment. That a token there is found proves
/// that one would be found which got there by mistake.
#[test]
fn a_proxy_that_shows_a_secret_fails_its_test() {
    const ISSUER: &str = "https://oidc.secrecy.example/";
    let azure = Azure::start(Options::default());
    azure.add_issuer(ISSUER).expect("an issuer");
    let claims = FederatedClaims::kubernetes(ISSUER, "monitoring", "prometheus");
    let token = azure.federated_token(&claims).expect("a token");
    let headers = format!(r#"{{"x-token": "{token}"}}"#);
    let proxy = azure
        .proxy()
        .set("OVERRIDE_REQUEST_HEADERS", headers)
        .start();

    let panic = catch_unwind(AssertUnwindSafe(|| drop(proxy))).expect_err("a panic");
    let message = panic.downcast_ref::<String>().expect("a message");
    assert!(
        message.contains("environ of envoy shows federated_token"),
        "{message}"
    );
    assert!(!message.contains(JWT), "the message holds a token");
}
