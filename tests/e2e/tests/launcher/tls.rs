//! The way to an https target: the right name asked for, the right certificate accepted and no
//! other, HTTP/2 where it is offered.

use std::io::Write;
use std::net::TcpListener;

use e2e::credentials::Authority;
use e2e::raw::Message;
use e2e::secure_target::{SecureTarget, Tls};
use e2e::{Proxy, free_port};
use hyper::Version;
use tokio_rustls::rustls::version::{TLS12, TLS13};

use crate::failures::unavailable;
use crate::headers::many_headers;
use crate::setup::proxy_with;

const GET: &[u8] = b"GET /a//b?c HTTP/1.1\r\nHost: x\r\n\r\n";

fn proxy_to(host: &str, authority: &Authority) -> Proxy {
    let store = authority.file();
    let store = store.to_str().expect("UTF-8");
    proxy_with(&[("TARGET_HOST", host), ("SSL_CERT_FILE", store)])
}

/// What a client gets from a target with a certificate for `names`, addressed as `host`.
fn asked_as(host: &str, names: &[&str], protocols: &[&str], tls: Tls) -> (Message, SecureTarget) {
    let authority = Authority::new("trusted");
    let target = SecureTarget::start(&authority, names, protocols, tls);
    let host = host.replace("{port}", &target.port().to_string());
    let proxy = proxy_to(&host, &authority);
    (proxy.send(GET), target)
}

#[test]
fn http_2_is_spoken_where_the_target_offers_it() {
    let (response, target) = asked_as(
        "localhost:{port}",
        &["localhost"],
        &["h2", "http/1.1"],
        Tls::Current,
    );
    assert_eq!(
        (response.status(), response.text().as_str()),
        (200, "hello")
    );
    let seen = target.last();
    assert_eq!(seen.version, Version::HTTP_2);
    assert_eq!(
        seen.uri,
        format!("https://localhost:{}/a//b?c", target.port())
    );
    assert_eq!(seen.server_name.as_deref(), Some("localhost"));
    assert_eq!(seen.header_names, [""; 0]);
}

#[test]
fn many_and_long_headers_pass_over_http_2_too() {
    let authority = Authority::new("trusted");
    let target = SecureTarget::start(&authority, &["localhost"], &["h2"], Tls::Current);
    let proxy = proxy_to(&format!("localhost:{}", target.port()), &authority);
    for (count, length) in [(200, 500), (900, 20), (1, 100_000)] {
        let headers = many_headers(count, length);
        let request = format!("GET /a HTTP/1.1\r\nHost: x\r\n{headers}\r\n");
        let response = proxy.send(request.as_bytes());
        assert_eq!(response.status(), 200, "{count} of {length}: {response:?}");
        let seen = target.last().header_names;
        for names in [response.header_names(), seen] {
            let passed = names.iter().filter(|name| name.starts_with("x-"));
            assert_eq!(passed.count(), count, "{count} of {length}");
        }
    }
}

#[test]
fn http_1_1_is_spoken_where_the_target_offers_nothing_else() {
    for protocols in [&["http/1.1"][..], &[]] {
        let (response, target) = asked_as(
            "https://localhost:{port}",
            &["localhost"],
            protocols,
            Tls::Current,
        );
        assert_eq!(response.status(), 200);
        let seen = target.last();
        assert_eq!(
            (seen.version, seen.uri.as_str()),
            (Version::HTTP_11, "/a//b?c")
        );
        assert_eq!(seen.host, Some(format!("localhost:{}", target.port())));
    }
}

#[test]
fn an_address_is_checked_in_the_certificate_and_not_sent_as_a_server_name() {
    let (response, target) = asked_as(
        "http://127.0.0.1:{port}",
        &["127.0.0.1"],
        &["h2"],
        Tls::Current,
    );
    // http:// names a loopback host here: that one is really spoken to in clear.
    unavailable(&response);
    assert_eq!(target.seen(), []);

    let (response, target) = asked_as("127.0.0.1:{port}", &["127.0.0.1"], &["h2"], Tls::Current);
    assert_eq!(response.status(), 200);
    assert_eq!(target.last().server_name, None);
    assert_eq!(
        target.last().host,
        Some(format!("127.0.0.1:{}", target.port()))
    );
}

#[test]
fn the_name_is_sent_in_lower_case() {
    let (response, target) = asked_as(
        "HTTPS://LOCALHOST:{port}/",
        &["localhost"],
        &["h2"],
        Tls::Current,
    );
    assert_eq!(response.status(), 200);
    assert_eq!(target.last().server_name.as_deref(), Some("localhost"));
    assert_eq!(
        target.last().host,
        Some(format!("localhost:{}", target.port()))
    );
}

#[test]
fn a_target_with_tls_1_2_is_served() {
    let (response, _) = asked_as("localhost:{port}", &["localhost"], &["h2"], Tls::Only12);
    assert_eq!(response.status(), 200);
}

#[test]
fn a_target_that_has_no_curve_but_p_384_is_served() {
    for version in [&TLS12, &TLS13] {
        for key in [
            &rcgen::PKCS_ECDSA_P256_SHA256,
            &rcgen::PKCS_ECDSA_P384_SHA384,
            &rcgen::PKCS_ECDSA_P521_SHA512,
        ] {
            let tls = Tls::P384Alone(version, key);
            let (response, _) = asked_as("localhost:{port}", &["localhost"], &["h2"], tls);
            assert_eq!(response.status(), 200, "{:?} {key:?}", version.version);
        }
    }
}

#[test]
fn a_certificate_for_another_host_is_503_with_the_reason() {
    // A name has several addresses, and Envoy tells the failure of the last one.
    for (host, names, reason) in [
        ("localhost:{port}", &["other.example", "127.0.0.1"][..], ""),
        (
            "127.0.0.1:{port}",
            &["localhost", "127.0.0.2"],
            "SAN matcher",
        ),
    ] {
        let (response, target) = asked_as(host, names, &["h2"], Tls::Current);
        let message = unavailable(&response).replace('_', " ");
        assert!(message.contains(reason), "{message}");
        assert_eq!(target.seen(), []);
    }
}

#[test]
fn a_certificate_of_an_unknown_authority_is_503_with_the_reason() {
    let known = Authority::new("known");
    let unknown = Authority::new("unknown");
    let target = SecureTarget::start(&unknown, &["127.0.0.1"], &["h2"], Tls::Current);
    let proxy = proxy_to(&format!("127.0.0.1:{}", target.port()), &known);
    let message = unavailable(&proxy.send(GET));
    assert!(message.contains("CERTIFICATE_VERIFY_FAILED"), "{message}");
    assert_eq!(target.seen(), []);
}

/// As `cat` leaves a file whose first part has no line break at its end, and an editor of Windows one
/// that it has saved: Envoy itself would refuse the one, and not find what is first in the other.
#[test]
fn authorities_that_stand_in_one_line_or_behind_a_mark_are_trusted() {
    let first = Authority::new("first");
    let second = Authority::new("second");
    let pem = |it: &Authority| std::fs::read_to_string(it.file()).unwrap();
    let glued = format!("\u{feff}{}{}", pem(&first).trim_end(), pem(&second));
    std::fs::write(first.file(), glued).unwrap();
    for authority in [&first, &second] {
        let target = SecureTarget::start(authority, &["127.0.0.1"], &["h2"], Tls::Current);
        let proxy = proxy_to(&format!("127.0.0.1:{}", target.port()), &first);
        assert_eq!(
            proxy.send(GET).status(),
            200,
            "{}",
            proxy.process().stderr()
        );
    }
}

#[test]
fn a_target_without_tls_is_503_with_the_reason() {
    let authority = Authority::new("trusted");
    let plain = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = plain.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in plain.incoming().flatten() {
            let refusal = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
            stream.write_all(refusal).expect("Envoy listens");
        }
    });
    let proxy = proxy_to(&format!("127.0.0.1:{port}"), &authority);
    let message = unavailable(&proxy.send(GET));
    assert!(message.contains("WRONG_VERSION_NUMBER"), "{message}");
}

#[test]
fn the_proxy_serves_while_the_targets_name_cannot_be_resolved() {
    let authority = Authority::new("trusted");
    let proxy = proxy_to(&format!("nowhere.invalid:{}", free_port()), &authority);
    unavailable(&proxy.send(GET));
    assert_eq!(
        proxy
            .send(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            .status(),
        200
    );
}
