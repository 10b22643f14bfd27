//! The target shows what arrived, answers slowly or oddly when asked, and speaks TLS, HTTP/1.1
//! and HTTP/2.

use std::time::{Duration, Instant};

use azure_sim::{AzureSim, EchoReport, Options, Service};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, StatusCode, Version};

use crate::client::{ask_target, call, call_tls, get, open, started, token, until, without_body};

#[tokio::test]
async fn an_echo_shows_the_request_target_byte_for_byte() {
    let sim = started().await;
    let token = token(&sim).await;
    let long = format!("/q?{}", "x".repeat(8192));
    for target in [
        "//a//b",
        "/a/../b/./c",
        "/a%2Fb%2f;v=1?x=%20&&y=;=",
        "/?",
        "/a?b?c",
        "*",
        long.as_str(),
    ] {
        let reply = ask_target(&sim, target, &token).await;
        assert_eq!(reply.status, StatusCode::OK);
        assert_eq!(reply.json()["target"], target);
    }
}

#[tokio::test]
async fn an_echo_shows_header_body_and_claims_but_no_token() {
    let sim = started().await;
    let token = token(&sim).await;
    let request = Request::builder()
        .method("PURGE")
        .uri("/x")
        .header("host", "some.host:1")
        .header("x-b", "1")
        .header("x-a", "2")
        .header("x-b", "3")
        .header("authorization", format!("Bearer {token}"))
        .body(Full::new(Bytes::from_static(b"hello")))
        .unwrap();
    let reply = call(sim.addresses().target_plain, request).await.unwrap();
    assert!(!String::from_utf8_lossy(&reply.body).contains(&token));
    assert!(reply.headers.contains_key("x-ms-request-id"));
    let echo: EchoReport = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(echo.request.method, "PURGE");
    assert_eq!(echo.request.version, "HTTP/1.1");
    assert_eq!(echo.body_length, 5);
    assert_eq!(
        echo.body_sha256,
        "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
    );
    assert_eq!(echo.token.generation, Some(1));
    let headers: Vec<_> = echo
        .request
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    assert_eq!(
        headers,
        [
            ("host", "some.host:1"),
            ("x-b", "1"),
            ("x-b", "3"),
            ("x-a", "2"),
            ("authorization", "Bearer <verified, generation 1>"),
            ("content-length", "5"),
        ]
    );
    assert_eq!(sim.requests(Service::Target, 1)[0], echo.request);
}

#[tokio::test]
async fn tls_serves_http2_and_http1_under_the_own_authority() {
    let sim = started().await;
    let bearer = format!("Bearer {}", token(&sim).await);
    for (offered, version) in [
        (["h2", "http/1.1"], "HTTP/2.0"),
        (["http/1.1", "x"], "HTTP/1.1"),
    ] {
        let request =
            Request::get("https://localhost/a//b?c").header("authorization", bearer.as_str());
        let address = sim.addresses().target_tls;
        let reply = call_tls(address, sim.ca_pem(), &offered, without_body(request)).await;
        let echo: EchoReport = serde_json::from_slice(&reply.unwrap().body).unwrap();
        assert_eq!(echo.request.version, version);
        if version == "HTTP/2.0" {
            assert_eq!(echo.request.target, "/a//b?c");
            assert_eq!(echo.authority.as_deref(), Some("localhost"));
        } else {
            assert_eq!(echo.request.target, "https://localhost/a//b?c");
            assert_eq!(echo.authority, None);
        }
    }
    let state = sim.state().target;
    assert_eq!(
        (state.versions["HTTP/1.1"], state.versions["HTTP/2.0"]),
        (1, 1)
    );
    assert_eq!(state.tls_connections.total, 2);
}

#[tokio::test]
async fn http2_can_be_left_out() {
    let options = Options {
        http2: false,
        ..Options::default()
    };
    let sim = AzureSim::start(options).await.unwrap();
    let request = without_body(get("/ready"));
    let address = sim.addresses().target_tls;
    let reply = call_tls(address, sim.ca_pem(), &["h2", "http/1.1"], request)
        .await
        .unwrap();
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(
        sim.state().target.versions.keys().collect::<Vec<_>>(),
        ["HTTP/1.1"]
    );
}

#[tokio::test]
async fn a_client_with_another_authority_is_not_served() {
    let (sim, other) = (started().await, started().await);
    let address = sim.addresses().target_tls;
    assert!(
        call_tls(
            address,
            other.ca_pem(),
            &["h2"],
            without_body(get("/ready"))
        )
        .await
        .is_err()
    );
    until(|| sim.state().target.tls_connections.failed_handshakes == 1).await;
    assert_eq!(sim.state().target.requests, 0);
}

#[tokio::test]
async fn the_health_paths_need_no_token_and_say_whose_they_are() {
    let sim = started().await;
    let plain = sim.addresses().target_plain;
    let reply = call(plain, without_body(get("/health"))).await.unwrap();
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(reply.json()["service"], "azure-sim target");
    assert_eq!(
        ask_target(&sim, "/ready", &token(&sim).await).await.json()["with_token"],
        true
    );
    let state = sim.state().target;
    assert_eq!(
        (state.probes.without_token, state.probes.with_token),
        (1, 1)
    );
    assert_eq!((state.authorized, state.refused.len()), (0, 0));
}

#[tokio::test]
async fn drip_sends_its_header_at_once_and_its_body_slowly() {
    let sim = started().await;
    let bearer = format!("Bearer {}", token(&sim).await);
    let begun = Instant::now();
    let request =
        get("/drip?chunks=3&bytes=7&interval_ms=150&first_ms=1000").header("authorization", bearer);
    let response = open(sim.addresses().target_plain, without_body(request))
        .await
        .unwrap();
    let head_at = begun.elapsed();
    let mut body = response.into_body();
    let mut pieces = Vec::new();
    while let Some(frame) = body.frame().await {
        pieces.push((frame.unwrap().into_data().unwrap(), begun.elapsed()));
    }
    assert_eq!(pieces.len(), 3);
    assert!(pieces.iter().all(|(data, _)| data.as_ref() == b"......\n"));
    assert!(pieces[0].1 - head_at >= Duration::from_millis(300));
    assert!(pieces[2].1 >= Duration::from_millis(1300));
}

#[tokio::test]
async fn sink_reports_the_bytes_it_took() {
    let sim = started().await;
    let request = Request::post("/sink")
        .header("host", "test")
        .header("authorization", format!("Bearer {}", token(&sim).await))
        .body(Full::new(Bytes::from(vec![7; 300_000])))
        .unwrap();
    let reply = call(sim.addresses().target_plain, request).await.unwrap();
    let last = reply
        .body
        .trim_ascii_end()
        .rsplit(|byte| *byte == b'\n')
        .next()
        .unwrap();
    let last: serde_json::Value = serde_json::from_slice(last).unwrap();
    assert_eq!(
        last,
        serde_json::json!({ "received": 300_000, "complete": true })
    );
}

#[tokio::test]
async fn status_answers_as_asked() {
    let sim = started().await;
    let target = "/status/418?header=x-one:%20a&header=x-one:b&body=short%20and%20stout";
    let reply = ask_target(&sim, target, &token(&sim).await).await;
    assert_eq!(reply.status.as_u16(), 418);
    assert_eq!(reply.body, "short and stout");
    assert_eq!(
        reply.headers.get_all("x-one").iter().collect::<Vec<_>>(),
        ["a", "b"]
    );
    let reply = ask_target(&sim, "/status/99", &token(&sim).await).await;
    assert_eq!(reply.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_head_request_gets_a_header_only() {
    let sim = started().await;
    let request = get("/x")
        .method("HEAD")
        .header("authorization", format!("Bearer {}", token(&sim).await));
    let response = open(sim.addresses().target_plain, without_body(request))
        .await
        .unwrap();
    assert_eq!(response.version(), Version::HTTP_11);
    assert!(response.headers().contains_key("content-length"));
    assert!(
        response
            .into_body()
            .collect()
            .await
            .unwrap()
            .to_bytes()
            .is_empty()
    );
}
