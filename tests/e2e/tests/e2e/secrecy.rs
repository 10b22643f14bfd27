//! A token stands in no log, at no level.

use azure_sim::Options;
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
    );
    let url = format!("http://127.0.0.1:{port}{ECHO}");
    let request = http::Request::get(url)
        .header("Host", downstream::TARGET)
        .body(Vec::new())
        .expect("a request");
    assert_eq!(http::send(request).expect("an answer").status, 200);
    assert!(envoy.process().logs().contains(JWT));
}
