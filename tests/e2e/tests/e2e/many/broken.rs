//! One identity is broken, and the others work.

use std::time::{Duration, Instant};

use azure_sim::{AZURE_MONITOR, Application, Identity, Options};
use e2e::azure::Azure;
use e2e::credentials::certificate;
use e2e::{Proxy, eventually, free_port};
use serde_json::Value;

use super::{Files, SECRET, answer, entra, target, token_for};

/// A proxy with a machine's identity that works and an application whose secret is wrong, each with
/// a port.
fn half_broken(required: &str) -> (Azure, Files, Proxy, [u16; 2]) {
    let application = Application::new("secret").with_secret(SECRET);
    let azure = Azure::knowing(&application);
    let files = Files::new();
    let (target, [good, broken]) = (target(&azure), [free_port(), free_port()]);
    let text = format!(
        "identities:
- {{ name: machine, type: systemAssigned }}
- {{ name: broken, type: clientSecret, tenantId: {}, clientId: {}, authority: '{}', secretFile: {} }}
targets:
- {{ name: good, url: '{target}', audience: '{AZURE_MONITOR}', identity: machine }}
- {{ name: broken, url: '{target}', audience: '{AZURE_MONITOR}', identity: broken, hold: {{ timeout: 200ms }} {required} }}
listeners: [{{ port: {good}, target: good }}, {{ port: {broken}, target: broken }}]
",
        azure.state().tenant_id,
        application.client_id,
        entra(&azure),
        files.add("secret", "another~secret_that.is-none"),
    );
    let proxy = files.proxy(&azure, &text, good).start();
    (azure, files, proxy, [good, broken])
}

#[test]
fn a_broken_identity_takes_no_other_down() {
    let (_azure, _files, proxy, [good, broken]) = half_broken("");
    proxy.wait_until_ready();
    let machine = Identity::system_assigned().object_id;
    assert_eq!(token_for(good, "x").oid, machine);

    let before = Instant::now();
    let refused = answer(broken, "x");
    // By its own hold, not by the 10 s of the others.
    assert!(
        before.elapsed() < Duration::from_secs(8),
        "{:?}",
        before.elapsed()
    );
    assert_eq!(refused.status, 503);
    let error: Value = refused.json().expect("JSON");
    assert_eq!(error["error"]["code"], "token_unavailable");
    // Who sends need not know of identities.
    assert!(!refused.text().contains("broken"), "{error}");
    assert!(refused.header("retry-after").is_some());
    assert_eq!(proxy.ready().expect("an answer").status, 200);
    assert_eq!(token_for(good, "x").oid, machine);
}

#[test]
fn a_proxy_is_not_ready_without_a_token_that_is_required_and_heals_without_a_restart() {
    let (azure, files, proxy, [good, broken]) = half_broken(", required: true");
    eventually(
        Duration::from_secs(30),
        "the good one has its token",
        || {
            let answer = answer(good, "x");
            (answer.status == 200).then_some(()).ok_or(answer.text())
        },
    );
    assert_eq!(proxy.ready().expect("an answer").status, 503);
    // What is permanent is tried again after 30 to 60 s.
    e2e::credentials::replace(&files.0.path().join("secret"), SECRET);
    eventually(Duration::from_secs(120), "the proxy is ready", || {
        let ready = proxy.ready()?;
        (ready.status == 200).then_some(()).ok_or(ready.text())
    });
    let application = azure.state().applications[0].client_id.clone();
    assert_eq!(token_for(broken, "x").appid, application);
}

#[test]
fn every_certificate_that_cannot_be_used_is_told_before_anything_starts() {
    let azure = Azure::start(Options::default());
    let files = Files::new();
    let (pem, _) = certificate("proxy.example");
    let (public, _) = pem.split_once("-----BEGIN PRIVATE").expect("a key");
    let (first, second) = (
        files.add("keyless.pem", public),
        files.add("no.pem", "nothing"),
    );
    let ids = [
        Application::new("one").client_id,
        Application::new("two").client_id,
    ];
    let identity = |name: &str, id: &str, path: &str| {
        format!(
            "- {{ name: {name}, type: clientCertificate, tenantId: contoso.com, clientId: {id}, \
             certificate: {{ path: {path} }} }}\n"
        )
    };
    let file = format!(
        "identities:\n{}{}targets:\n\
         - {{ name: a, url: 'https://a.example', audience: 'api://a', identity: one }}\n\
         - {{ name: b, url: 'https://b.example', audience: 'api://b', identity: two }}\n\
         listeners:\n- {{ port: {}, targets: [a, b] }}\n",
        identity("one", &ids[0], &first),
        identity("two", &ids[1], &second),
        free_port(),
    );
    for command in ["run", "check"] {
        let settings = files.proxy(&azure, &file, free_port());
        let output = settings.command(command).output().expect("a launcher");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(64), "{stderr}");
        for part in [&first, &second, &ids[0], &ids[1]] {
            assert!(stderr.contains(part.as_str()), "{part}: {stderr}");
        }
    }
}
