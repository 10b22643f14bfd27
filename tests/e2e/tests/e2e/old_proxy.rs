//! Defects that users of aad-auth-proxy met, and that no other test here is about. Where each of
//! the others is tested is in docs/guides/reliability.md.

use std::collections::BTreeSet;
use std::time::Duration;

use azure_sim::{Fault, FaultKind, Options, Service, Settings};
use e2e::azure::{Azure, ECHO};
use e2e::{Metrics, Proxy, eventually, http, raw};

/// The old proxy ended its process at the first refresh that failed.
#[test]
fn the_same_process_serves_through_refreshes_that_fail_and_after_them() {
    let azure = Azure::with(Settings {
        token_lifetime_seconds: 12,
        cache: false,
        ..Settings::default()
    });
    let mut proxy = azure
        .proxy()
        .set("AAD_TOKEN_REFRESH_INTERVAL_IN_PERCENTAGE", "80")
        .start();
    proxy.wait_until_ready();
    let outage = azure
        .inject(Fault::new(Service::Imds, FaultKind::status(500)))
        .expect("a fault");
    eventually(Duration::from_secs(30), "three failed refreshes", || {
        let answer = http::get(&proxy.url(ECHO))?;
        assert_eq!(answer.status, 200, "{}", answer.text());
        match azure.state().imds.calls {
            4.. => Ok(()),
            calls => Err(format!("{calls} calls")),
        }
    });
    azure.end_fault(outage);
    eventually(Duration::from_secs(30), "a second token", || {
        match azure.state().imds.tokens_issued {
            2.. => Ok(()),
            issued => Err(format!("{issued} tokens")),
        }
    });
    assert_eq!(http::get(&proxy.url(ECHO)).expect("an answer").status, 200);
    assert_eq!(proxy.process_mut().ended(), None);
}

/// Every name with its labels, but for the value.
fn series(metrics: &Metrics) -> BTreeSet<String> {
    metrics
        .samples()
        .map(|sample| format!("{} {:?}", sample.name, sample.labels))
        .collect()
}

fn send(proxy: &Proxy, number: usize) {
    let request = format!(
        "POST {ECHO}?secret-{number} HTTP/1.1\r\nHost: client-{number}.example\r\n\
         User-Agent: agent-{number}\r\nX-Number: {number}\r\n\
         Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    );
    let answer = raw::exchange(proxy.port(), request.into_bytes()).expect("an answer");
    assert_eq!(answer.status(), 200);
}

/// The old proxy's labels held the path and the user agent as the client had sent them, and a
/// body of unknown length counted as -1 byte.
#[test]
fn no_client_adds_a_time_series_and_a_body_of_unknown_length_takes_nothing_from_a_counter() {
    let azure = Azure::start(Options::default());
    let proxy = azure.proxy().set("ENVOY_CONCURRENCY", "1").start();
    // Histograms and counters show up with the first request of each kind.
    send(&proxy, 0);
    let settled = || {
        eventually(Duration::from_secs(10), "metrics are flushed", || {
            let before = proxy.metrics()?;
            std::thread::sleep(Duration::from_millis(1500));
            let after = proxy.metrics()?;
            match series(&before) == series(&after) {
                true => Ok(after),
                false => Err("new series still appear".to_owned()),
            }
        })
    };
    // Envoy shows a histogram from its second flush (5 s) on.
    let before = eventually(Duration::from_secs(30), "histograms", || {
        let metrics = settled();
        match metrics.sum("envoy_http_downstream_rq_time_count") {
            Some(_) => Ok(metrics),
            None => Err("none yet"),
        }
    });
    for number in 1..50 {
        send(&proxy, number);
    }
    let after = settled();
    let added: Vec<_> = series(&after)
        .difference(&series(&before))
        .cloned()
        .collect();
    assert_eq!(added, Vec::<String>::new());
    let negative: Vec<_> = after
        .samples()
        .filter(|sample| sample.value < 0.0)
        .collect();
    assert!(negative.is_empty(), "{negative:?}");
    let received = |metrics: &Metrics| {
        metrics
            .sum_with(
                "envoy_http_downstream_cx_rx_bytes_total",
                &[("envoy_http_conn_manager_prefix", "proxy")],
            )
            .expect("a counter of bytes")
    };
    assert!(received(&after) >= received(&before) + 49.0 * 5.0);
}
