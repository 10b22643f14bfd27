//! Whatever keeps an endpoint from being reached: the filter and `check` tell it by the same code and
//! in the same words.

use std::thread;
use std::time::{Duration, Instant};

use azure_sim::{Application, Options};
use e2e::azure::Azure;
use e2e::{Envoy, ProxyBuilder, eventually, free_port};
use serde_json::{Value, json};

use super::{UNREACHABLE, check, with_secret};
use crate::downstream::{self, TARGET, send};
use crate::identities::{file, kubernetes};

/// Says the launcher of this endpoint what `check` says of it? Gives the words.
fn both_say(azure: &Azure, settings: &ProxyBuilder, code: &str) -> String {
    let (checked, told) = thread::scope(|scope| {
        let checked = scope.spawn(|| check(azure, settings));
        let proxy = settings.clone().start();
        let told = eventually(Duration::from_secs(30), "a failure is told", || {
            let log = proxy.process().logs();
            let mut told = log.lines().filter(|line| line.contains("no token for"));
            match (told.next(), told.next()) {
                (Some(one), None) => Ok(one.to_owned()),
                other => Err(format!("{other:?}")),
            }
        });
        let body: Value = proxy.ready().and_then(|ready| ready.json()).expect("JSON");
        let error = &body["slots"][0]["lastError"];
        assert_eq!(error["code"], code, "{body}");
        (checked.join().expect("a check"), told)
    });
    assert_eq!(checked.code, UNREACHABLE, "{}", checked.stdout);
    let words = checked.row("error");
    assert!(words.ends_with(&format!("({code})")), "{words}");
    assert!(told.contains(&words), "{told} is not {words}");
    words
}

#[test]
fn the_filter_says_of_an_endpoint_that_is_not_reached_what_check_says() {
    let (azure, folder, settings) = with_secret(|_| ());
    let addresses = azure.addresses();
    let nobody = free_port();
    let other = Azure::start(Options::default());
    thread::scope(|scope| {
        let case = |authority: String,
                    more: Option<(&'static str, std::path::PathBuf)>,
                    code,
                    part: &'static str| {
            let settings = settings
                .clone()
                .set("AZURE_AUTHORITY_HOST", authority)
                .set("LISTENING_PORT", free_port().to_string())
                .set("STATUS_PORT", free_port().to_string());
            let settings = match more {
                Some((name, value)) => settings.set(name, value),
                None => settings,
            };
            let azure = &azure;
            scope.spawn(move || {
                let words = both_say(azure, &settings, code);
                assert!(words.contains(part), "{words}");
            });
        };
        case(
            "https://login.invalid".into(),
            None,
            "endpoint_name_unknown",
            "DNS knows no address for login.invalid",
        );
        case(
            format!("https://127.0.0.1:{nobody}"),
            None,
            "endpoint_unreachable",
            "the connection is refused",
        );
        case(
            format!("https://127.0.0.1:{}", addresses.entra_tls.port()),
            Some(("SSL_CERT_FILE", other.authority())),
            "endpoint_tls_failed",
            "CERTIFICATE_VERIFY_FAILED",
        );
        // What listens there speaks no TLS.
        case(
            format!("https://127.0.0.1:{}", addresses.imds.port()),
            None,
            "endpoint_tls_failed",
            "WRONG_VERSION_NUMBER",
        );
    });
    drop(folder);
}

/// The file is there, so nothing may be said of it.
#[test]
fn a_workload_identity_whose_authority_does_not_resolve_says_so_at_once() {
    let application = Application::new("workload");
    let azure = Azure::knowing(&application);
    let (token, _) = kubernetes(&azure, "https://oidc.cluster.example/");
    let folder = tempfile::tempdir().expect("a folder");
    let settings = azure
        .proxy_as("workloadIdentity", &application)
        .set(
            "AZURE_FEDERATED_TOKEN_FILE",
            file(folder.path(), "token", &token),
        )
        .set("AZURE_AUTHORITY_HOST", "https://login.invalid");
    let proxy = settings.start();
    let started = Instant::now();
    let first = eventually(Duration::from_secs(30), "a warning", || {
        let log = proxy.process().logs();
        let told = log.lines().find(|line| line.contains("no token for"));
        told.map(str::to_owned).ok_or("none")
    });
    assert!(first.contains("endpoint_name_unknown"), "{first}");
    let took = started.elapsed();
    assert!(took < Duration::from_secs(6), "{took:?}");
}

/// Asks by a plugin that names a cluster which Envoy does not have.
fn is_told_by_name(cluster: &str, change: impl FnOnce(&mut Value)) {
    let azure = Azure::start(Options::default());
    let mut plugin = downstream::plugin(&azure);
    plugin["hold"] = json!({"timeout": "9s"});
    change(&mut plugin["identities"][0]);
    let port = free_port();
    let envoy = Envoy::start(&downstream::bootstrap(&azure, port, &plugin), port);
    assert_eq!(send(port, TARGET, "/echo").status, 503);
    let log = envoy.process().logs();
    let mut told = log.lines().filter(|line| line.contains("no token for"));
    let first = told
        .next()
        .unwrap_or_else(|| panic!("nothing is told: {log}"));
    assert!(
        first.contains(&format!("Envoy has no cluster `{cluster}`")),
        "{first}"
    );
    assert_eq!(told.next(), None);
}

/// The launcher makes its clusters itself; in Istio they are somebody else's.
#[test]
fn a_cluster_that_is_missing_is_named_whichever_it_is() {
    thread::scope(|scope| {
        scope.spawn(|| {
            is_told_by_name("no-imds", |identity| {
                identity["imds"]["cluster"] = json!("no-imds");
            });
        });
        scope.spawn(|| {
            is_told_by_name("no-entra", |identity| {
                identity["type"] = json!("managedIdentityFederated");
                identity["tenantId"] = json!("contoso.com");
                identity["clientId"] = json!("00000000-0000-0000-0000-000000000001");
                identity["entra"] = json!({"cluster": "no-entra"});
            });
        });
    });
}
