//! The admin service does over HTTP what the handle does, and the handle's life is the
//! stand-in's.

use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream};

use azure_sim::{
    AzureSim, ExpiresOnForm, FaultReport, Identity, Options, RequestRecord, SeriesReport, Settings,
    StateReport, TokenRefusal,
};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use crate::client::{Reply, ask_imds, ask_target, call, get, started, token};

pub(crate) async fn admin(sim: &AzureSim, method: Method, target: &str, body: Value) -> Reply {
    let body = if body.is_null() {
        Bytes::new()
    } else {
        Bytes::from(body.to_string())
    };
    let request = get(target).method(method).body(Full::new(body)).unwrap();
    call(sim.addresses().admin, request).await.unwrap()
}

#[tokio::test]
async fn the_state_over_http_is_the_state_of_the_handle() {
    let sim = started().await;
    ask_target(&sim, "/x?y", &token(&sim).await).await;
    ask_target(&sim, "/x", "rubbish").await;
    let reply = admin(&sim, Method::GET, "/state", Value::Null).await;
    let mut state: StateReport = serde_json::from_slice(&reply.body).unwrap();
    let handle = sim.state();
    // The clock moves, and connections end when they end.
    state.now = handle.now;
    state.imds.connections = handle.imds.connections.clone();
    state.target.plain_connections = handle.target.plain_connections.clone();
    assert_eq!(state, handle);
    assert_eq!(state.target.refused[&TokenRefusal::Malformed], 1);

    let reply = admin(
        &sim,
        Method::GET,
        "/requests?service=target&last=1",
        Value::Null,
    )
    .await;
    let requests: Vec<RequestRecord> = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!((requests.len(), requests[0].target.as_str()), (1, "/x"));
    let reply = admin(&sim, Method::GET, "/requests", Value::Null).await;
    assert_eq!(reply.json()[0]["service"], "imds");
    let reply = admin(
        &sim,
        Method::GET,
        "/series?name=up&job=a&full=1",
        Value::Null,
    )
    .await;
    assert!(
        serde_json::from_slice::<Vec<SeriesReport>>(&reply.body)
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn settings_change_in_part_and_as_a_whole_or_not_at_all() {
    let sim = started().await;
    let change = json!({ "token_lifetime_seconds": 60, "expires_on": "rfc3339" });
    let reply = admin(&sim, Method::PUT, "/settings", change).await;
    assert_eq!(reply.status, StatusCode::OK);
    let wanted = Settings {
        token_lifetime_seconds: 60,
        expires_on: ExpiresOnForm::Rfc3339,
        ..Settings::default()
    };
    assert_eq!(sim.settings(), wanted);
    for wrong in [
        json!({ "cache": false, "token_lifetime": 5 }),
        json!({ "cache": false, "expires_on": "roman" }),
        json!([]),
    ] {
        let reply = admin(&sim, Method::PUT, "/settings", wrong).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST);
        assert!(
            reply.json()["error"]
                .as_str()
                .unwrap()
                .starts_with("invalid settings: ")
        );
    }
    assert_eq!(sim.settings(), wanted);
    let reply = admin(&sim, Method::GET, "/settings", Value::Null).await;
    assert_eq!(
        serde_json::from_slice::<Settings>(&reply.body).unwrap(),
        wanted
    );
}

#[tokio::test]
async fn faults_are_given_and_ended_over_http() {
    let sim = started().await;
    for (kind, status) in [
        (
            json!({ "status": { "code": 503, "headers": { "retry-after": "1" } } }),
            503,
        ),
        (
            json!({ "raw_body": { "content_type": "a/b", "body": { "text": "x" } } }),
            200,
        ),
        (json!({ "delay_ms": 1 }), 200),
    ] {
        let fault = json!({ "service": "imds", "kind": kind, "path_prefix": "/metadata" });
        let id = admin(&sim, Method::POST, "/faults", fault).await.json()["id"].clone();
        assert_eq!(ask_imds(&sim).await.status.as_u16(), status);
        let one = format!("/faults/{id}");
        assert_eq!(
            admin(&sim, Method::DELETE, &one, Value::Null).await.status,
            StatusCode::OK
        );
        let again = admin(&sim, Method::DELETE, &one, Value::Null).await;
        assert_eq!(again.status, StatusCode::NOT_FOUND);
    }
    let hang = json!({ "service": "target", "kind": "hang", "times": 3 });
    admin(&sim, Method::POST, "/faults", hang).await;
    admin(&sim, Method::DELETE, "/faults", Value::Null).await;
    let reply = admin(&sim, Method::GET, "/faults", Value::Null).await;
    let faults: Vec<FaultReport> = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(faults.len(), 4);
    assert!(faults.iter().all(|fault| !fault.active));
    for wrong in [
        json!({ "service": "imds", "kind": "hang", "time": 3 }),
        json!({ "service": "moon", "kind": "hang" }),
        json!({ "service": "imds", "kind": { "status": { "code": 7 } } }),
    ] {
        let reply = admin(&sim, Method::POST, "/faults", wrong).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST);
    }
}

#[tokio::test]
async fn tokens_are_revoked_and_roles_taken_over_http() {
    let sim = started().await;
    let first = token(&sim).await;
    let reply = admin(&sim, Method::POST, "/revoke", Value::Null).await;
    assert_eq!(reply.json()["revoked"], 1);
    assert_eq!(token(&sim).await, first);
    admin(&sim, Method::POST, "/revoke?cached=forget", Value::Null).await;
    let second = token(&sim).await;
    assert_ne!(second, first);

    let role = json!({
        "object_id": Identity::system_assigned().object_id,
        "audience": "https://monitor.azure.com",
        "role": "Monitoring Metrics Publisher",
    });
    admin(&sim, Method::DELETE, "/roles", role.clone()).await;
    assert_eq!(
        ask_target(&sim, "/x", &second).await.status,
        StatusCode::FORBIDDEN
    );
    admin(&sim, Method::POST, "/roles", role).await;
    assert_eq!(ask_target(&sim, "/x", &second).await.status, StatusCode::OK);
}

#[tokio::test]
async fn what_to_trust_is_published_and_unknown_paths_are_refused() {
    let sim = started().await;
    let ca = admin(&sim, Method::GET, "/ca.pem", Value::Null).await;
    assert_eq!(ca.body, sim.ca_pem());
    let keys = admin(&sim, Method::GET, "/.well-known/jwks.json", Value::Null).await;
    assert_eq!(keys.json(), sim.jwks());
    let unknown = admin(&sim, Method::GET, "/elsewhere", Value::Null).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
}

#[test]
fn dropping_the_handle_frees_the_ports_and_ends_the_connections() {
    // By IPv6, where no other test could take a port that has just become free.
    let address: SocketAddr = "[::1]:0".parse().unwrap();
    let options = Options {
        imds: address,
        app_service: address,
        tsiam_tls: address,
        tsiam_plain: address,
        entra_tls: address,
        entra_plain: address,
        target_tls: address,
        target_plain: address,
        admin: address,
        ..Options::default()
    };
    let sim = AzureSim::start_blocking(options).unwrap();
    let addresses = sim.addresses();
    let mut client = TcpStream::connect(addresses.imds).unwrap();
    drop(sim);
    for address in [
        addresses.imds,
        addresses.app_service,
        addresses.tsiam_tls,
        addresses.tsiam_plain,
        addresses.entra_tls,
        addresses.entra_plain,
        addresses.target_tls,
        addresses.target_plain,
        addresses.admin,
    ] {
        assert!(TcpStream::connect(address).is_err());
    }
    assert_eq!(client.read(&mut [0]).unwrap_or_default(), 0);
}

#[test]
fn a_taken_port_is_an_error_that_names_it() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let options = Options {
        target_plain: address,
        ..Options::default()
    };
    let error = AzureSim::start_blocking(options).unwrap_err().to_string();
    assert!(
        error.starts_with(&format!("cannot listen on {address}: ")),
        "{error}"
    );
}
