//! A configuration file with more than one target and port: where each request goes, and that each
//! target's settings are its own.

use e2e::raw::{self, Message};
use e2e::{Proxy, Recorder, free_port};

use crate::setup::{launch_of_file, proxy_of_file, wait_for_end};

/// Two targets on two hosts, one port for each, and a third for both by their `Host`.
struct Two {
    one: Recorder,
    other: Recorder,
    ports: [u16; 3],
    proxy: Proxy,
}

impl Two {
    /// With more fields for each target.
    fn with(answer: &'static [u8], of_one: &str, of_other: &str) -> Self {
        let recorder = || Recorder::answering(move |_, peer| peer.send(answer));
        let (one, other) = (recorder(), recorder());
        let ports = [free_port(), free_port(), free_port()];
        let [first, second, third] = ports;
        let text = format!(
            "identities: [{{ name: machine, type: systemAssigned }}]
targets:
- {{ name: one, url: 'http://127.0.0.1:{}', audience: 'api://x', identity: machine {of_one} }}
- {{ name: other, url: 'http://localhost:{}', audience: 'api://x', identity: machine {of_other} }}
listeners:
- {{ port: {first}, target: one }}
- {{ port: {second}, target: other }}
- {{ port: {third}, targets: [one, other] }}
",
            one.port(),
            other.port()
        );
        let proxy = proxy_of_file(&text, first);
        Self {
            one,
            other,
            ports,
            proxy,
        }
    }

    fn hosts(&self) -> [String; 2] {
        [
            format!("127.0.0.1:{}", self.one.port()),
            format!("localhost:{}", self.other.port()),
        ]
    }

    /// How many requests each has seen.
    fn seen(&self) -> [usize; 2] {
        [&self.one, &self.other].map(|target| target.received().len())
    }
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const FORBIDDEN: &[u8] = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno";

fn get(port: u16, path: &str, host: &str, more: &str) -> Message {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n");
    raw::exchange(port, request.as_bytes()).expect("an answer")
}

#[test]
fn each_port_leads_to_its_target_whatever_the_host() {
    let two = Two::with(OK, "", "");
    for (port, expected) in [(0, [1, 0]), (1, [1, 1]), (0, [2, 1])] {
        assert_eq!(get(two.ports[port], "/a?b", "x", "").status(), 200);
        assert_eq!(two.seen(), expected);
    }
    let [one, other] = two.hosts();
    assert_eq!(two.one.last_request().header("host"), Some(one.as_str()));
    assert_eq!(
        two.other.last_request().header("host"),
        Some(other.as_str())
    );
    assert_eq!(two.other.last_request().start, "GET /a?b HTTP/1.1");
}

#[test]
fn a_port_with_targets_leads_to_the_one_that_the_host_names() {
    let two = Two::with(OK, "", "");
    let [one, other] = two.hosts();
    let port = two.ports[2];
    for (host, expected) in [
        (&one, [1, 0]),
        (&other, [1, 1]),
        (&other.to_uppercase(), [1, 2]),
    ] {
        assert_eq!(get(port, "/", host, "").status(), 200, "{host}");
        assert_eq!(two.seen(), expected, "{host}");
    }
    assert_eq!(
        two.other.last_request().header("host"),
        Some(other.as_str())
    );
}

#[test]
fn another_host_is_refused_as_misdirected_and_seen_by_no_target() {
    let two = Two::with(OK, "", "");
    let port = two.ports[2];
    let [one, _] = two.hosts();
    for host in [
        "x",
        "localhost",
        "127.0.0.1",
        "localhost:1",
        &one.replace("127", "128"),
    ] {
        let refused = get(port, "/", host, "Authorization: Bearer x\r\n");
        assert_eq!(refused.status(), 421, "{host}");
        assert_eq!(refused.header("content-type"), Some("application/json"));
        let error = &refused.json()["error"];
        assert_eq!(error["code"], "unknown_host");
        let message = error["message"].as_str().expect("a message");
        assert!(
            message.ends_with(&format!("by the name {host}")),
            "{message}"
        );
    }
    // HTTP/1.0 may come without one, and then nobody is named.
    let without = raw::exchange(port, b"GET / HTTP/1.0\r\n\r\n").expect("an answer");
    assert!((400..500).contains(&without.status()), "{without:?}");
    assert_eq!(two.seen(), [0, 0]);
    // Probes name the pod's address.
    assert_eq!(get(port, "/health", "10.0.0.1:8080", "").status(), 200);
    assert_eq!(get(port, "/health", &one, "").status(), 200);
    assert_eq!(two.seen(), [0, 0]);
    drop(two.proxy);
}

#[test]
fn each_target_says_whose_403_become_503_where_they_share_a_port_too() {
    const REMOTE_WRITE: &str = "X-Prometheus-Remote-Write-Version: 0.1.0\r\n";
    for (of_one, of_other, expected) in [
        ("never", "always", [403, 403, 503, 503]),
        ("remoteWrite", "never", [403, 503, 403, 403]),
        ("always", "remoteWrite", [503, 503, 403, 503]),
        ("never", "never", [403, 403, 403, 403]),
    ] {
        let field = |value| format!(", authErrorsRetryable: {value}");
        let two = Two::with(FORBIDDEN, &field(of_one), &field(of_other));
        let [one, other] = two.hosts();
        let statuses = |first: u16, second: u16| {
            [
                get(first, "/", &one, "").status(),
                get(first, "/", &one, REMOTE_WRITE).status(),
                get(second, "/", &other, "").status(),
                get(second, "/", &other, REMOTE_WRITE).status(),
            ]
        };
        let [first, second, shared] = two.ports;
        assert_eq!(statuses(first, second), expected, "{of_one} {of_other}");
        assert_eq!(statuses(shared, shared), expected, "{of_one} {of_other}");
        if expected[2] == 503 {
            let answer = get(shared, "/", &other, "");
            assert_eq!(answer.json()["error"]["code"], "target_refuses_identity");
            assert_eq!(answer.header("retry-after"), Some("30"));
        }
    }
}

#[test]
fn each_target_gets_its_own_headers() {
    let two = Two::with(
        OK,
        ", requestHeaders: { X-A: of-one, X-B: { fromEnvironment: SECRET_OF_THIS_TEST } }",
        ", requestHeaders: { x-a: of-other }",
    );
    let [one, other] = two.hosts();
    for (host, expected) in [
        (&one, [Some("of-one"), Some("the-secret")]),
        (&other, [Some("of-other"), None]),
    ] {
        get(two.ports[2], "/", host, "X-A: of-client\r\n");
        let target = if host == &one { &two.one } else { &two.other };
        let request = target.last_request();
        let values = ["x-a", "x-b"].map(|name| request.header(name));
        assert_eq!(values, expected, "{host}");
    }
    assert!(!two.proxy.process().stderr().contains("the-secret"));
}

#[test]
fn a_port_that_is_taken_is_told_by_its_place_in_the_file() {
    let taken = std::net::TcpListener::bind("0.0.0.0:0").expect("a free port");
    let port = taken.local_addr().expect("an address").port();
    let text = format!(
        "identities: [{{ name: machine, type: systemAssigned }}]
targets: [{{ name: one, url: 'http://127.0.0.1:1', audience: 'api://x', identity: machine }}]
listeners: [{{ port: {}, target: one }}, {{ port: {port}, target: one }}]
",
        free_port()
    );
    let mut proxy = launch_of_file(&text, port, &[]);
    assert_eq!(wait_for_end(&mut proxy).code(), Some(64));
    let stderr = proxy.process().stderr();
    let expected = format!("listeners[1].port: is {port}, which cannot be listened on");
    assert!(stderr.contains(&expected), "{stderr}");
}
