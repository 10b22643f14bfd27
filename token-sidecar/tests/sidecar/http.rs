//! The answers to requests, and the limits of a request.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use crate::support::jwt::{sha256, verify};
use crate::support::pki;
use crate::support::process::{Sidecar, exchange};
use crate::support::{ASSERTION, Files, TOKEN_ENDPOINT, get_at, now, settings};

/// A sidecar that signs with a certificate made for it.
fn sidecar(files: &Files, more: &[(&str, &str)]) -> (Sidecar, pki::Certificate) {
    let one = pki::lasting(&pki::ONE, "one");
    let path = files.write("one.pem", pki::bundle(&one, &pki::ONE));
    let more = [more, &[("AAD_CLIENT_CERTIFICATE_PATH", &path)]].concat();
    (Sidecar::start(files, &more), one)
}

/// The status, error and description of an answer made by the library.
fn error_of(files: &[(&str, &str)], path: &str) -> (u16, String, String) {
    let answer = get_at(&settings(files), path, now());
    assert_eq!(answer.content_type, "application/json");
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    let text = |name: &str| body[name].as_str().unwrap().to_owned();
    (
        answer.status.as_u16(),
        text("error"),
        text("error_description"),
    )
}

#[test]
fn an_assertion_is_the_whole_body_of_its_answer_and_is_not_to_be_stored() {
    let files = Files::new();
    let (sidecar, one) = sidecar(&files, &[]);
    let reply = sidecar.get(ASSERTION);
    assert_eq!(reply.status, 200);
    assert!(
        reply.head.contains("\r\ncontent-type: application/jwt"),
        "{reply:?}"
    );
    assert!(
        reply.head.contains("\r\ncache-control: no-store"),
        "{reply:?}"
    );
    assert!(reply.head.contains("\r\nconnection: close"), "{reply:?}");
    let health = sidecar.get("/health");
    let end: Timestamp = health.json()["certificate"]["not_after"]
        .as_str()
        .and_then(|end| end.parse().ok())
        .unwrap();
    let end = format!("\r\nx-certificate-not-after: {}\r\n", end.as_second());
    assert!(reply.head.contains(&end), "{reply:?}");
    assert!(!health.head.contains("not-after"), "{health:?}");
    assert_eq!(verify(&reply.body, &one.der).claims["aud"], TOKEN_ENDPOINT);
}

#[test]
fn another_audience_is_refused_and_not_repeated() {
    let files = Files::new();
    let one = pki::lasting(&pki::ONE, "one");
    let path = files.write("one.pem", pki::bundle(&one, &pki::ONE));
    let variables = [("AAD_CLIENT_CERTIFICATE_PATH", path.as_str())];
    let attacker = "https%3A%2F%2Fattacker.example".to_owned();
    for audience in [
        attacker,
        "x".repeat(5000),
        String::new(),
        TOKEN_ENDPOINT.to_owned() + "/",
    ] {
        let path = format!("/assertion?audience={audience}");
        let (status, error, description) = error_of(&variables, &path);
        assert_eq!((status, error.as_str()), (400, "invalid_audience"));
        let start = format!("Assertions are signed for {TOKEN_ENDPOINT} only. Make the audience");
        assert!(description.starts_with(&start), "{description}");
        assert!(
            !description.contains("attacker") && description.len() < 400,
            "{description}"
        );
    }
    for path in [
        "/assertion",
        "/assertion?audience=a&audience=b",
        "/assertion?Audience=a",
    ] {
        let (status, error, _) = error_of(&variables, path);
        assert_eq!((status, error.as_str()), (400, "invalid_request"), "{path}");
    }
}

#[test]
fn files_are_handed_out_as_they_are_at_that_moment() {
    let files = Files::new();
    let token = files.write("token", " a.b.c\n");
    let secret = files.write("secret", "s3cret");
    let variables = [
        ("AZURE_FEDERATED_TOKEN_FILE", token.as_str()),
        ("AAD_CLIENT_SECRET_FILE", secret.as_str()),
    ];
    let sidecar = Sidecar::start(&files, &variables);
    let reply = sidecar.get("/federated-token");
    assert_eq!((reply.status, reply.body.as_str()), (200, "a.b.c"));
    assert!(
        reply.head.contains("\r\ncontent-type: text/plain"),
        "{reply:?}"
    );
    assert!(
        reply.head.contains("\r\ncache-control: no-store"),
        "{reply:?}"
    );
    assert_eq!(sidecar.get("/client-secret").body, "s3cret");

    files.replace("token", "d.e.f");
    assert_eq!(sidecar.get("/federated-token").body, "d.e.f");

    files.replace("token", "");
    let reply = sidecar.get("/federated-token");
    assert_eq!(
        (reply.status, &reply.json()["error"]),
        (503, &"unreadable_file".into())
    );
    let said = reply.json()["error_description"]
        .as_str()
        .unwrap()
        .to_owned();
    let start = format!("AZURE_FEDERATED_TOKEN_FILE is {token:?}, which is empty. Fill it");
    assert!(said.starts_with(&start), "{said}");

    files.replace("token", "\u{feff}g.h.\u{200b}i\n");
    let reply = sidecar.get("/federated-token");
    assert_eq!(reply.status, 503, "{reply:?}");
    assert!(
        reply
            .body
            .contains("holds a zero width space (U+200B) as character 5. Write"),
        "{reply:?}"
    );
    files.replace("token", "\u{feff}g.h.i\n");
    assert_eq!(sidecar.get("/federated-token").body, "g.h.i");
}

#[test]
fn what_is_not_configured_names_the_setting() {
    let files = Files::new();
    let secret = files.write("secret", "s3cret");
    let one = pki::lasting(&pki::ONE, "one");
    let one = files.write("one.pem", pki::bundle(&one, &pki::ONE));
    let with_secret = [("AAD_CLIENT_SECRET_FILE", secret.as_str())];
    let with_certificate = [("AAD_CLIENT_CERTIFICATE_PATH", one.as_str())];
    for (variables, path, setting) in [
        (&with_secret, ASSERTION, "AAD_CLIENT_CERTIFICATE_PATH"),
        (
            &with_secret,
            "/federated-token",
            "AZURE_FEDERATED_TOKEN_FILE",
        ),
        (
            &with_certificate,
            "/client-secret",
            "AAD_CLIENT_SECRET_FILE",
        ),
    ] {
        let (status, error, description) = error_of(variables, path);
        assert_eq!((status, error.as_str()), (404, "not_configured"));
        let start = format!("{setting} is not set. Set it to the ");
        assert!(description.starts_with(&start), "{description}");
    }
    assert_eq!(error_of(&with_secret, "/").1, "not_found");
}

#[test]
fn health_shows_the_certificate_and_never_its_key() {
    let files = Files::new();
    let (sidecar, one) = sidecar(&files, &[]);
    let reply = sidecar.get("/health");
    assert_eq!(reply.status, 200);
    let health = reply.json();
    assert_eq!(health["status"], "ok");
    assert_eq!(health["token_endpoint"], TOKEN_ENDPOINT);
    assert_eq!(health["last_reload_error"], Value::Null);
    let expected = serde_json::json!({
        "subject": "CN=one",
        "x5t#S256": sha256(&one.der),
        "not_before": "2020-01-01T00:00:00Z",
        "not_after": "2120-01-01T00:00:00Z",
        "algorithm": "PS256",
    });
    assert_eq!(health["certificate"], expected);
}

#[test]
fn only_get_is_served() {
    let files = Files::new();
    let (sidecar, _) = sidecar(&files, &[]);
    let reply = sidecar.send(&format!(
        "POST {ASSERTION} HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n"
    ));
    assert_eq!(reply.status, 405);
    assert!(reply.head.contains("\r\nallow: get"), "{reply:?}");
    assert_eq!(reply.json()["error"], "invalid_request");
}

#[test]
fn a_header_that_is_too_large_or_has_too_many_fields_is_refused() {
    let files = Files::new();
    let (sidecar, _) = sidecar(&files, &[]);
    let large = format!(
        "GET /health HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n",
        "x".repeat(20_000)
    );
    let many = format!(
        "GET /health HTTP/1.1\r\nhost: a\r\n{}\r\n",
        "x: y\r\n".repeat(80)
    );
    for request in [large, many] {
        // A reset before the whole request is sent is a refusal, too.
        if let Ok(reply) = exchange(sidecar.connect(), &request) {
            assert_eq!(reply.status, 431, "{reply:?}");
        }
        assert_eq!(sidecar.get("/health").status, 200);
    }
}

#[test]
fn silent_connections_are_closed_and_keep_nobody_out_for_long() {
    let files = Files::new();
    let (sidecar, _) = sidecar(&files, &[]);
    let silent: Vec<UnixStream> = (0..100)
        .map(|_| {
            let mut stream = sidecar.connect();
            stream.write_all(b"GET /health HT").unwrap();
            stream
        })
        .collect();
    let started = std::time::Instant::now();
    assert_eq!(sidecar.get("/health").status, 200);
    // At most 64 connections are served: this one waited until the silent ones timed out.
    assert!(
        started.elapsed() > Duration::from_secs(1),
        "{:?}",
        started.elapsed()
    );
    for mut stream in silent {
        let mut rest = Vec::new();
        // How it ends does not matter.
        let _ = stream.read_to_end(&mut rest);
    }
    assert_eq!(sidecar.get("/health").status, 200);
}
