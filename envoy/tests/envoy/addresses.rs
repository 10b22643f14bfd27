//! Every way to write the target leads there, and clients come by IPv4 and IPv6.

use std::io::Write;
use std::net::TcpStream;

use crate::support::proxy::Proxy;
use crate::support::recorder::{OK, Recorder};
use crate::support::wire::Connection;

const GET: &[u8] = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n";

/// Without IPv6 there is nothing to show here; a machine for tests has it on its loopback.
fn ipv6_recorder() -> Recorder {
    Recorder::at("[::1]:0", |_, connection| connection.stream.write_all(OK))
}

#[test]
fn every_way_to_write_the_target_leads_to_it() {
    let v4 = Recorder::new();
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
        let port = target.port.to_string();
        let proxy = Proxy::with(&[("TARGET_HOST", &written.replace("{port}", &port))]);
        assert_eq!(proxy.send(GET).text(), "hello", "{written}");
        let host = host.replace("{port}", &port);
        assert_eq!(
            target.last_request().value("host"),
            Some(host.as_str()),
            "{written}"
        );
    }
}

#[test]
fn both_ports_are_open_to_ipv4_and_ipv6() {
    let target = Recorder::new();
    let proxy = Proxy::to(&target);
    for (port, path, text) in [
        (proxy.port, "/a", "hello"),
        (proxy.status_port, "/health", "OK\n"),
    ] {
        for address in ["127.0.0.1", "::1"] {
            let mut client = Connection::new(TcpStream::connect((address, port)).unwrap());
            client.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes());
            assert_eq!(client.response("GET").text(), text, "{address} {port}");
        }
    }
}
