//! Azure Arc gives a token only to who can read its key file.

use std::path::PathBuf;

use azure_sim::{ArcRefusal as Rule, AzureSim, Options, Service};
use hyper::{Method, StatusCode};

use crate::client::{Reply, ask_target, call, get, started, without_body};

const GOOD: &str = "api-version=2020-06-01&resource=https://monitor.azure.com";

fn asking(query: &str) -> hyper::http::request::Builder {
    get(&format!("/metadata/identity/oauth2/token?{query}")).header("metadata", "true")
}

async fn send(sim: &AzureSim, request: hyper::http::request::Builder) -> Reply {
    call(sim.addresses().arc, without_body(request))
        .await
        .unwrap()
}

/// The key file that a challenge names.
async fn challenge(sim: &AzureSim, query: &str) -> PathBuf {
    let reply = send(sim, asking(query)).await;
    assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
    assert_eq!(reply.json()["error"], "unauthorized_client");
    let challenge = reply.headers["www-authenticate"].to_str().unwrap();
    PathBuf::from(challenge.strip_prefix("Basic realm=").unwrap())
}

fn with_key(query: &str, key: &str) -> hyper::http::request::Builder {
    asking(query).header("authorization", format!("Basic {key}"))
}

#[tokio::test]
async fn the_content_of_the_key_file_gets_a_token_once() {
    let sim = started().await;
    for version in ["2020-06-01", "2019-11-01"] {
        let query = format!("api-version={version}&resource=https://monitor.azure.com");
        let file = challenge(&sim, &query).await;
        assert_eq!(file.parent().unwrap(), sim.arc_key_folder());
        assert_eq!(file.extension().unwrap(), "key");
        let key = std::fs::read_to_string(&file).unwrap();
        let reply = send(&sim, with_key(&query, &key)).await;
        assert_eq!(reply.status, StatusCode::OK, "{version}");
        let reply = reply.json();
        assert!(reply["expires_in"].is_string());
        let token = reply["access_token"].as_str().unwrap();
        assert_eq!(
            ask_target(&sim, "/echo", token).await.status,
            StatusCode::OK
        );
        assert!(!file.exists());

        let reply = send(&sim, with_key(&query, &key)).await;
        assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
        assert!(!reply.headers.contains_key("www-authenticate"));
    }
    let report = sim.state().arc;
    assert_eq!(report.refused[&Rule::WrongKey], 2);
    assert_eq!(
        (
            report.accepted,
            report.tokens_issued,
            report.tokens_repeated
        ),
        (4, 1, 1)
    );
    assert_eq!(sim.state().tokens[0].source, Service::Arc);
}

#[tokio::test]
async fn each_challenge_has_a_key_of_its_own() {
    let sim = started().await;
    let first = challenge(&sim, GOOD).await;
    let second = challenge(&sim, GOOD).await;
    let read = |file| std::fs::read_to_string(file).unwrap();
    let (first, second) = (read(first), read(second));
    assert_ne!(first, second);
    for key in [&second, &first] {
        assert_eq!(send(&sim, with_key(GOOD, key)).await.status, StatusCode::OK);
    }
    for wrong in [
        format!("Bearer {first}"),
        "Basic".to_owned(),
        "Basic x".to_owned(),
    ] {
        let request = asking(GOOD).header("authorization", wrong);
        assert_eq!(send(&sim, request).await.status, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(sim.state().arc.refused[&Rule::WrongKey], 3);
}

#[tokio::test]
async fn every_rule_is_enforced_and_counted() {
    let sim = started().await;
    let path = format!("/metadata/identity/oauth2/token?{GOOD}");
    let with = |more: &str| asking(&format!("{GOOD}&{more}"));
    for (request, rule, status) in [
        (asking(GOOD).uri("/metadata"), Rule::UnknownPath, 404),
        (
            asking(GOOD).method(Method::POST),
            Rule::MethodNotAllowed,
            405,
        ),
        (get(&path), Rule::MissingMetadataHeader, 400),
        (
            get(&path).header("metadata", "false"),
            Rule::MissingMetadataHeader,
            400,
        ),
        (with("resource=x"), Rule::DuplicateParameter, 400),
        (asking("resource=x"), Rule::MissingApiVersion, 400),
        (
            asking("api-version=2018-02-01&resource=x"),
            Rule::UnknownApiVersion,
            400,
        ),
        (
            asking("api-version=2020-06-01&resource="),
            Rule::MissingResource,
            400,
        ),
        (
            asking(&format!("{GOOD}/.default")),
            Rule::ScopeInsteadOfResource,
            400,
        ),
        (
            asking(&format!("{GOOD}.example")),
            Rule::UnknownResource,
            400,
        ),
        (with("client_id=a"), Rule::IdentityNamed, 400),
        (with("msi_res_id=a"), Rule::IdentityNamed, 400),
    ] {
        let reply = send(&sim, request).await;
        assert_eq!(reply.status.as_u16(), status, "{rule:?}");
        assert!(sim.state().arc.refused.contains_key(&rule), "{rule:?}");
        if status == 400 {
            assert!(reply.json()["error_description"].is_string());
        }
    }
    let report = sim.state().arc;
    assert_eq!((report.calls, report.accepted), (12, 0));

    let options = Options {
        system_assigned: None,
        ..Options::default()
    };
    let sim = AzureSim::start(options).await.unwrap();
    assert_eq!(
        send(&sim, asking(GOOD)).await.status,
        StatusCode::BAD_REQUEST
    );
    assert_eq!(sim.state().arc.refused[&Rule::IdentityNotFound], 1);
}

#[tokio::test]
async fn the_key_files_go_with_the_stand_in_and_no_key_is_shown() {
    let sim = started().await;
    let file = challenge(&sim, GOOD).await;
    let key = std::fs::read_to_string(&file).unwrap();
    challenge(&sim, GOOD).await;
    send(&sim, with_key(GOOD, &key)).await;
    send(&sim, with_key(GOOD, &key)).await;
    let shown: Vec<_> = sim
        .requests(Service::Arc, 2)
        .into_iter()
        .flat_map(|record| record.headers)
        .filter_map(|(name, value)| (name == "authorization").then_some(value))
        .collect();
    assert_eq!(
        shown,
        ["Basic <the key of a challenge>", "<refused: wrong_key>"]
    );
    let folder = sim.arc_key_folder().to_owned();
    drop(sim);
    assert!(!folder.exists());
}
