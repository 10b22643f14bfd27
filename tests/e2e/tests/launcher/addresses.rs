//! Every way to write the target leads there, and clients come by IPv4 and IPv6.

use std::net::TcpStream;
use std::time::Duration;

use e2e::raw::Connection;
use e2e::{Recorder, eventually_ok, free_port};

use crate::setup::{accepts, launch_with, proxy_of_file, proxy_to, proxy_with};

const GET: &[u8] = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n";

/// How long Envoy may take to start on a busy machine.
const START: Duration = Duration::from_secs(60);

/// Without IPv6 there is nothing to show here; a machine for tests has it on its loopback.
fn ipv6_recorder() -> Recorder {
    Recorder::at("[::1]:0", |_, connection| connection.send(Recorder::OK))
}

#[test]
fn every_way_to_write_the_target_leads_to_it() {
    let v4 = Recorder::start();
    let v6 = ipv6_recorder();
    let cases = [
        (&v4, "http://127.0.0.1:{port}", "127.0.0.1:{port}"),
        (&v4, "HTTP://127.0.0.1:{port}/", "127.0.0.1:{port}"),
        (&v4, "http://localhost:{port}", "localhost:{port}"),
        (&v4, "http://LocalHost.:{port}/", "localhost:{port}"),
        (&v6, "http://[::1]:{port}", "[::1]:{port}"),
        (&v6, "http://[0:0:0:0:0:0:0:1]:{port}/", "[::1]:{port}"),
        (&v6, "http://localhost:{port}", "localhost:{port}"),
    ];
    for (target, written, host) in cases {
        let port = target.port().to_string();
        let proxy = proxy_with(&[("TARGET_HOST", &written.replace("{port}", &port))]);
        assert_eq!(proxy.send(GET).text(), "hello", "{written}");
        let host = host.replace("{port}", &port);
        assert_eq!(
            target.last_request().header("host"),
            Some(host.as_str()),
            "{written}"
        );
    }
}

#[test]
fn each_port_is_open_on_the_address_that_is_said_alone() {
    let target = Recorder::start();
    let port = free_port();
    let text = format!(
        "
identities: [{{ name: machine, type: systemAssigned }}]
targets: [{{ name: t, url: 'http://127.0.0.1:{}', identity: machine, audience: 'api://x' }}]
listeners:
- {{ port: {port}, address: 127.0.0.1, target: t }}
- {{ port: {port}, address: '::1', target: t }}
",
        target.port()
    );
    let proxy = proxy_of_file(&text, port);
    for (address, is_open) in [("127.0.0.1", true), ("::1", true), ("127.0.0.2", false)] {
        let connected = TcpStream::connect((address, port));
        assert_eq!(connected.is_ok(), is_open, "{address}");
        if let Ok(stream) = connected {
            let mut client = Connection::new(stream).expect("a socket");
            client.send(GET).expect("the proxy takes it");
            assert_eq!(
                client.answer_to("GET").expect("an answer").text(),
                "hello",
                "{address}"
            );
        }
    }
    // Nothing was said of the other one.
    TcpStream::connect(("127.0.0.2", proxy.status_port())).expect("it is open on all addresses");
}

#[test]
fn a_status_port_on_an_address_of_its_own_answers_there_and_to_the_proxy_port() {
    let target = Recorder::start();
    let url = target.url();
    let variables = [
        ("TARGET_HOST", url.as_str()),
        ("STATUS_ADDRESS", "127.0.0.2"),
    ];
    let proxy = launch_with(&variables);
    let connected = eventually_ok(START, "the status port is open", || {
        TcpStream::connect(("127.0.0.2", proxy.status_port()))
    });
    let stream = connected.unwrap_or_else(|reason| panic!("{reason}\n{}", proxy.process().tail()));
    let mut client = Connection::new(stream).expect("a socket");
    client
        .send(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        .expect("the proxy takes it");
    assert_eq!(client.answer_to("GET").expect("an answer").text(), "OK\n");
    assert!(!accepts(proxy.status_port()), "127.0.0.1 is open");
    // Whatever it says: it comes from there, and not from an Envoy that reaches nobody.
    let ready = proxy.send(b"GET /ready HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(!ready.text().contains("connection"), "{}", ready.text());
}

#[test]
fn both_ports_are_open_to_ipv4_and_ipv6() {
    let target = Recorder::start();
    let proxy = proxy_to(&target);
    for (port, path, text) in [
        (proxy.port(), "/a", "hello"),
        (proxy.status_port(), "/health", "OK\n"),
    ] {
        for address in ["127.0.0.1", "::1"] {
            let mut client =
                Connection::new(TcpStream::connect((address, port)).unwrap()).expect("a socket");
            client
                .send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes())
                .expect("the proxy takes it");
            assert_eq!(
                client.answer_to("GET").expect("an answer").text(),
                text,
                "{address} {port}"
            );
        }
    }
}
