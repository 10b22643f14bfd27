//! With aad-auth-proxy's two settings: metrics under our names and under the old ones, and traces, by
//! gRPC.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use azure_sim::{CachedTokens, Fault, FaultKind, Options, Service};
use e2e::azure::{Azure, ECHO};
use e2e::otlp::{Attributes, Protocol, Receiver, Span, SpanKind, Value};
use e2e::{Proxy, eventually, http};
use rustix::process::Signal as OsSignal;

use super::{
    CALLER, EXPORTS, PATIENCE, TRACE, latest, number, of_page, of_trace, send, shows_no_secret,
    stands_still, sum,
};

/// One start of Envoy for all of it: each step says what it shows.
#[test]
fn metrics_with_old_and_new_names_and_traces_are_sent_by_grpc() {
    let azure = Azure::start(Options::default());
    let receiver = Receiver::start();
    let mut proxy = azure
        .proxy()
        .set(
            "OTEL_GRPC_ENDPOINT",
            format!("localhost:{}", receiver.port()),
        )
        .set("OTEL_SERVICE_NAME", "shop-proxy")
        .set("OTEL_METRIC_EXPORT_INTERVAL", "1000")
        .set("ENVOY_CONCURRENCY", "1")
        .set("DRAIN_SECONDS", "6")
        .start();
    proxy.wait_until_ready();

    for _ in 0..3 {
        assert_eq!(send(&proxy, "GET", ECHO, true).status, 200);
    }
    assert_eq!(send(&proxy, "POST", ECHO, true).status, 200);
    assert_eq!(send(&proxy, "BREW", ECHO, true).status, 200);
    assert_eq!(send(&proxy, "GET", "/status/404", true).status, 404);
    // Two attempts: the second one with a new token.
    azure.revoke(CachedTokens::Forget);
    assert_eq!(send(&proxy, "PUT", ECHO, true).status, 200);
    // The caller decides that this one is not sampled.
    assert_eq!(send(&proxy, "DELETE", ECHO, false).status, 200);
    for path in ["/health", "/ready"] {
        assert_eq!(http::get(&proxy.url(path)).expect("an answer").status, 200);
    }

    our_metrics_are_those_of_the_page(&proxy, &receiver);
    old_metrics_have_the_old_names(&azure, &receiver);
    traces_are_continued(&azure, &receiver);
    assert!(
        receiver.records().is_empty(),
        "no log unless it is asked for"
    );
    for export in receiver.exports() {
        assert_eq!(export.protocol, Protocol::Grpc);
        let envoys = export.headers.keys().find(|name| {
            name.as_str().starts_with("x-envoy-") || name.as_str().starts_with("x-forwarded-")
        });
        assert_eq!(envoys, None, "{:?}", export.headers);
    }
    let resources = receiver.points().into_iter().map(|point| point.resource);
    let resources = resources.chain(receiver.spans().into_iter().map(|span| span.resource));
    for resource in resources {
        assert_eq!(resource["service.name"], "shop-proxy");
    }
    shows_no_secret(&proxy, &azure, &receiver);
    what_was_counted_last_is_sent_before_the_end(&mut proxy, &azure, &receiver);
}

fn our_metrics_are_those_of_the_page(proxy: &Proxy, receiver: &Receiver) {
    eventually(
        PATIENCE,
        "the exported metrics are those of /metrics",
        || {
            let page = of_page(&proxy.metrics()?);
            let points = receiver.points();
            let exported = latest(points).into_iter();
            let exported =
                exported.filter(|((name, _), value)| stands_still(name) && number(value) != 0.0);
            let exported: BTreeMap<_, _> = exported
                .map(|(series, value)| (series, number(&value)))
                .collect();
            if exported == page && page.len() > 5 {
                Ok(())
            } else {
                Err(format!("{exported:#?} and not {page:#?}"))
            }
        },
    );
    let names = || -> BTreeSet<String> {
        let points = receiver.points().into_iter();
        points.map(|point| point.name).collect()
    };
    let others = [
        EXPORTS,
        "envoy_server_memory_allocated",
        "envoy_cluster_upstream_rq_total",
    ];
    eventually(PATIENCE, "some of Envoy's own", || {
        match others.iter().find(|name| !names().contains(**name)) {
            None => Ok(()),
            Some(name) => Err(format!("no {name} in {:#?}", names())),
        }
    });
    assert!(names().len() < 50, "{:#?}", names());
    assert!(receiver.points().iter().all(|point| !point.is_delta));
}

fn old_metrics_have_the_old_names(azure: &Azure, receiver: &Receiver) {
    const REQUESTS: &str = "aad_auth_proxy_requests_total";
    let target = format!("localhost:{}", azure.addresses().target_tls.port());
    let of = |method: &str, status: &str| {
        Attributes::from([
            ("target_host".to_owned(), target.clone()),
            ("method".to_owned(), method.to_owned()),
            ("status_code".to_owned(), status.to_owned()),
        ])
    };
    let expected = [
        (of("DELETE", "200"), 1.0),
        (of("GET", "200"), 3.0),
        (of("GET", "404"), 1.0),
        (of("POST", "200"), 1.0),
        (of("PUT", "200"), 1.0),
        // What a client makes up adds no series.
        (of("other", "200"), 1.0),
    ];
    let series = eventually(PATIENCE, "the old proxy's metrics", || {
        let series = latest(receiver.points());
        let found = expected.iter().all(|(attributes, count)| {
            let value = series.get(&(REQUESTS.to_owned(), attributes.clone()));
            value.is_some_and(|value| *value == Value::Sum(*count))
        });
        let old = series
            .into_iter()
            .filter(|((name, _), _)| name.starts_with("aad_auth_proxy_"));
        let old: BTreeMap<_, _> = old.collect();
        if found {
            Ok(old)
        } else {
            Err(format!("{old:#?}"))
        }
    });
    let of_name = |name: &str| {
        let series = series.iter().filter(|((of, _), _)| of == name);
        series.collect::<Vec<_>>()
    };
    assert_eq!(of_name(REQUESTS).len(), expected.len(), "{series:#?}");
    for name in ["request_duration_milliseconds", "response_bytes_total"] {
        let name = format!("aad_auth_proxy_{name}");
        let attributes: Vec<_> = of_name(&name)
            .iter()
            .map(|((_, of), _)| of.clone())
            .collect();
        let wanted: Vec<_> = expected.iter().map(|(of, _)| of.clone()).collect();
        assert_eq!(attributes.len(), wanted.len(), "{name}: {attributes:#?}");
        assert!(
            wanted.iter().all(|it| attributes.contains(it)),
            "{name}: {attributes:#?}"
        );
    }
    let durations = of_name("aad_auth_proxy_request_duration_milliseconds");
    let counted: f64 = durations.iter().map(|(_, value)| number(value)).sum();
    assert!((counted - 8.0).abs() < 0.1, "{series:#?}");
}

fn traces_are_continued(azure: &Azure, receiver: &Receiver) {
    let spans = eventually(PATIENCE, "the spans of seven requests", || {
        let spans = of_trace(receiver);
        let servers = spans.iter().filter(|span| span.kind == SpanKind::Server);
        match servers.count() {
            7 => Ok(spans.clone()),
            count => Err(format!("{count}: {spans:#?}")),
        }
    });
    // Probes begin a trace of their own, if they are traced.
    assert_eq!(
        receiver.spans().len(),
        spans.len(),
        "{:#?}",
        receiver.spans()
    );
    let is_server = |span: &&Span| span.kind == SpanKind::Server;
    for server in spans.iter().filter(is_server) {
        assert_eq!(server.parent, CALLER, "{server:?}");
        let attempts: Vec<_> = spans
            .iter()
            .filter(|span| span.parent == server.span_id)
            .collect();
        assert!(attempts.iter().all(|span| span.kind == SpanKind::Client));
        let expected = if server.name.starts_with("PUT") { 2 } else { 1 };
        assert_eq!(attempts.len(), expected, "{server:?}: {attempts:#?}");
    }
    // What the target gets is the attempt's span, sampled as the caller's is.
    for request in azure.requests(Service::Target, usize::MAX) {
        let header = |name: &str| {
            let found = request.headers.iter().find(|(of, _)| of == name);
            found.map(|(_, value)| value.as_str())
        };
        let Some(parent) = header("traceparent") else {
            assert!(request.target.starts_with("/health") || request.target.starts_with("/ready"));
            continue;
        };
        let [version, trace, span, flags] =
            <[&str; 4]>::try_from(parent.split('-').collect::<Vec<_>>()).expect("four parts");
        assert_eq!((version, trace), ("00", TRACE));
        if request.method == "DELETE" {
            assert_eq!(flags, "00");
            continue;
        }
        assert_eq!(flags, "01", "{request:?}");
        let attempt = spans.iter().find(|it| it.span_id == span);
        assert!(
            attempt.is_some_and(|it| it.kind == SpanKind::Client),
            "{parent}"
        );
    }
}

fn what_was_counted_last_is_sent_before_the_end(
    proxy: &mut Proxy,
    azure: &Azure,
    receiver: &Receiver,
) {
    receiver.forget();
    for _ in 0..5 {
        assert_eq!(send(proxy, "GET", ECHO, true).status, 200);
    }
    // Its answer comes when the proxy takes no more connections, and waits for this request alone.
    let late = Fault::new(Service::Target, FaultKind::DelayMs(2500));
    azure.inject(late.times(1)).expect("a fault");
    std::thread::scope(|scope| {
        let answered = scope.spawn(|| send(proxy, "GET", ECHO, true).status);
        eventually(PATIENCE, "the request is under way", || {
            match azure.state().target.in_flight {
                1.. => Ok(()),
                0 => Err("it is not"),
            }
        });
        proxy.process().signal(OsSignal::TERM);
        assert_eq!(answered.join().expect("no panic"), 200);
    });
    let ended = proxy.process_mut().wait(Duration::from_secs(15));
    assert!(ended.expect("an end").success());
    let get = ("method", "GET");
    let counted = sum(receiver.points(), "aad_auth_proxy_requests_total", get);
    assert!((counted - 10.0).abs() < 0.1, "{counted} and not 10");
    let servers = of_trace(receiver)
        .into_iter()
        .filter(|span| span.kind == SpanKind::Server);
    assert_eq!(servers.count(), 6);
}
