//! Whoever calls Microsoft's support has what they ask for: the ids of the exchange that failed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use azure_sim::{Application, Fault, FaultKind, FederationErrors, Options, Service, Settings};
use e2e::azure::Azure;
use e2e::{Proxy, eventually, http};
use jiff::Timestamp;
use serde_json::Value;

use crate::identities::kubernetes;

/// Three attempts come within 7 s.
const PATIENCE: Duration = Duration::from_secs(45);

/// The newest error in what `/status` or `/ready` answered.
fn error(answer: &http::Response) -> Result<Value, String> {
    let body: Value = answer.json()?;
    match body["slots"][0]["lastError"].clone() {
        Value::Null => Err(format!("no error yet: {body}")),
        error => Ok(error),
    }
}

fn status(proxy: &Proxy) -> Result<Value, String> {
    error(&http::get(&proxy.status_url("/status"))?)
}

fn text<'a>(error: &'a Value, name: &str) -> &'a str {
    error[name].as_str().unwrap_or_default()
}

/// Every `client-request-id` that Entra got.
fn sent_ids(azure: &Azure) -> Vec<String> {
    let requests = azure.requests(Service::Entra, usize::MAX);
    let ids: Vec<_> = requests
        .iter()
        .flat_map(|request| &request.headers)
        .filter(|(name, _)| name == "client-request-id")
        .map(|(_, value)| value.clone())
        .collect();
    assert_eq!(ids.len(), requests.len(), "one for each request");
    ids
}

/// The log lines that tell this reason: never twice without another one between (on a busy machine
/// the place of the credential may be slow once).
fn is_told_once(proxy: &Proxy, reason: &str) -> Vec<String> {
    let logs = proxy.process().logs();
    let told: Vec<_> = logs
        .lines()
        .filter(|line| line.contains("no token for"))
        .collect();
    let repeated = told
        .windows(2)
        .filter(|pair| pair.iter().all(|line| line.contains(reason)));
    assert_eq!(repeated.count(), 0, "{told:#?}");
    let told = told.into_iter().filter(|line| line.contains(reason));
    told.map(str::to_owned).collect()
}

#[test]
fn entras_ids_of_each_failed_exchange_are_shown_and_the_failure_is_logged_once() {
    let application = Application::new("workload");
    let azure = Azure::start(Options {
        applications: vec![application.clone()],
        settings: Settings {
            // Retried by back-off, because such a credential may be new.
            federation_errors: FederationErrors::Generic,
            ..Settings::default()
        },
        ..Options::default()
    });
    let (token, mut trust) = kubernetes(&azure, "https://oidc.cluster.example/");
    trust.subject.push_str("-of-another-pod");
    azure.change_application(&application.client_id, |it| {
        it.federated_credentials.push(trust);
    });
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("token");
    std::fs::write(&file, token).expect("a file");
    let proxy = azure
        .proxy_as("workloadIdentity", &application)
        .set("AZURE_FEDERATED_TOKEN_FILE", &file)
        .start();

    let mut traces = BTreeMap::new();
    eventually(PATIENCE, "three refusals in /status", || {
        let error = status(&proxy)?;
        if text(&error, "message").contains("AADSTS70021") {
            let id = text(&error, "correlationId").to_owned();
            traces.insert(id, text(&error, "traceId").to_owned());
        }
        match traces.len() {
            3.. => Ok(()),
            _ => Err(format!("{error}")),
        }
    });
    let different: BTreeSet<_> = traces.values().collect();
    assert_eq!(different.len(), traces.len(), "{traces:?}");
    let error = error(&proxy.ready().expect("an answer")).expect("an error");
    let time: Result<Timestamp, _> = text(&error, "timestamp").parse();
    let seconds = time.expect("a time").as_second();
    assert!((azure.state().now - 60..=azure.state().now).contains(&seconds));
    assert!(error.get("clientRequestId").is_none(), "{error}");

    let sent = sent_ids(&azure);
    let shown = traces.keys().map(String::as_str);
    for id in shown.chain([text(&error, "correlationId")]) {
        assert!(
            sent.iter().any(|sent| sent == id),
            "{id} is none of {sent:?}"
        );
    }
    let ids = azure.state().entra.request_ids;
    assert_eq!((ids.repeated, ids.malformed, ids.missing), (0, 0, 0));

    let told = is_told_once(&proxy, "AADSTS70021");
    let line = &told[0];
    let first = line
        .split_once("[trace_id ")
        .and_then(|(_, ids)| ids.split_once(", correlation_id "))
        .and_then(|(_, ids)| ids.split_once(", timestamp "))
        .map(|(id, _)| id);
    assert_eq!(first, sent.first().map(String::as_str), "{line}");
}

#[test]
fn where_a_proxy_answers_in_entras_place_the_requests_own_id_is_shown() {
    const SECRET: &str = "Zx8Q~s3cret-of-the-tests_a.b";
    let application = Application::new("secret").with_secret(SECRET);
    let azure = Azure::knowing(&application);
    let page = FaultKind::Status {
        code: 502,
        headers: BTreeMap::from([("content-type".to_owned(), "text/html".to_owned())]),
        body: Some("<html><h1>502 Bad Gateway</h1></html>".to_owned()),
    };
    azure
        .inject(Fault::new(Service::Entra, page))
        .expect("a fault");
    let proxy = azure.proxy_with_secret(&application, SECRET).start();

    let (error, sent) = eventually(PATIENCE, "two failures in /status", || {
        let error = status(&proxy)?;
        let sent = sent_ids(&azure);
        let id = text(&error, "clientRequestId");
        match sent.iter().position(|sent| sent == id) {
            Some(1..) => Ok((error, sent)),
            _ => Err(format!("{error}")),
        }
    });
    assert_eq!(text(&error, "code"), "endpoint_failed");
    assert!(text(&error, "message").ends_with("502: 502 Bad Gateway"));
    assert!(error.get("traceId").is_none() && error.get("correlationId").is_none());
    assert!(text(&error, "timestamp").parse::<Timestamp>().is_ok());
    let told = is_told_once(&proxy, "(endpoint_failed)");
    let first = format!("[client-request-id {}, timestamp ", sent[0]);
    assert!(
        told[0].contains(&first),
        "{} is not of {}",
        told[0],
        sent[0]
    );
}
