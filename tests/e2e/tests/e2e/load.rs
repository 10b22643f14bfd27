//! A minute of ordinary load while tokens run out and are revoked: no client notices.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use azure_sim::{CachedTokens, Settings, TokenRefusal};
use e2e::azure::Azure;
use e2e::raw::Connection;

const SECONDS: u64 = 60;
const CONNECTIONS: usize = 64;
/// Between two requests of a connection.
const PAUSE: Duration = Duration::from_millis(40);
const TOKEN_SECONDS: i64 = 20;
/// Seconds at which the target revokes every token so far. The long pause lets a token grow old.
const REVOKED_AT: [u64; 4] = [5, 10, 35, 40];

/// Sends small GETs and larger POSTs by turns until the end; gives how often each status came.
fn client(port: u16, end: Instant) -> BTreeMap<u16, usize> {
    let get = b"GET /status/204 HTTP/1.1\r\nHost: x\r\n\r\n".to_vec();
    let mut post =
        b"POST /status/200 HTTP/1.1\r\nHost: x\r\nContent-Length: 20000\r\n\r\n".to_vec();
    post.resize(post.len() + 20_000, b'x');
    let mut connection = Connection::open(port).expect("a connection");
    let mut statuses = BTreeMap::new();
    for request in [get, post].iter().cycle() {
        if Instant::now() >= end {
            break;
        }
        connection.send(request).expect("sent");
        let answer = connection.answer().expect("an answer");
        *statuses.entry(answer.status()).or_default() += 1;
        thread::sleep(PAUSE);
    }
    statuses
}

#[test]
fn under_load_no_answer_but_2xx_while_tokens_run_out_and_are_revoked() {
    let azure = Azure::with(Settings {
        token_lifetime_seconds: TOKEN_SECONDS,
        cache: false,
        ..Settings::default()
    });
    let proxy = azure.proxy().set("ENVOY_CONCURRENCY", "2").start();
    proxy.wait_until_ready();
    let envoy = proxy.envoy();

    let begun = Instant::now();
    let (port, end) = (proxy.port(), begun + Duration::from_secs(SECONDS));
    let clients: Vec<_> = (0..CONNECTIONS)
        .map(|_| thread::spawn(move || client(port, end)))
        .collect();
    for second in REVOKED_AT {
        let at = begun + Duration::from_secs(second);
        thread::sleep(at.saturating_duration_since(Instant::now()));
        assert!(azure.revoke(CachedTokens::Forget) > 0);
    }
    let mut statuses = BTreeMap::new();
    for client in clients {
        for (status, count) in client.join().expect("a client") {
            *statuses.entry(status).or_insert(0) += count;
        }
    }

    let state = azure.state();
    println!("{statuses:?}; refused at first: {:?}", state.target.refused);
    assert!(statuses.keys().eq([&200, &204]), "{statuses:?}");
    let sent: usize = statuses.values().sum();
    assert!(sent as u64 >= CONNECTIONS as u64 * SECONDS, "{sent} only");
    // What was refused was sent again with the next token; none was sent that had run out.
    assert!(
        state.target.refused.keys().eq([&TokenRefusal::Revoked]),
        "{:?}",
        state.target.refused
    );
    assert_eq!(state.imds.max_in_flight, 1);
    let used = state.tokens.iter().filter(|token| token.authorized > 0);
    // One at the start, one for each revocation, and those that replace one that grows old.
    assert!(used.count() > REVOKED_AT.len() + 1, "{:?}", state.tokens);
    assert_eq!(proxy.envoy(), envoy, "another process");
}
