//! A secret or a certificate stays with the launcher, and one that is wrong is told.

use std::time::Duration;

use azure_sim::{AZURE_MONITOR, Application, Identity, Options, Service};
use e2e::azure::Azure;
use e2e::credentials::certificate;
use e2e::{Proxy, eventually, http};
use serde_json::Value;

use super::{SECRET, file, shows_no_secret, token};

/// Envoy's router prints the headers of every request at these levels, those of the filter's calls
/// too; App Service's key is one.
#[test]
fn no_credential_is_in_the_log_at_debug_or_trace_level() {
    let (pem, registered) = certificate("proxy.example");
    let secret = Application::new("secret").with_secret(SECRET);
    let signed = Application::new("certificate").with_certificate(registered);
    let azure = Azure::start(Options {
        applications: vec![secret.clone(), signed.clone()],
        ..Options::default()
    });
    let folder = tempfile::tempdir().expect("a folder");
    let pem = file(folder.path(), "certificate.pem", &pem);
    let endpoint = format!("http://{}/msi/token", azure.addresses().app_service);
    let app_service = azure
        .proxy()
        .set("IDENTITY_ENDPOINT", &endpoint)
        .set("IDENTITY_HEADER", azure.identity_header());
    let signed = azure
        .proxy_as("aadApplication", &signed)
        .set("AAD_CLIENT_CERTIFICATE_PATH", &pem);
    // All that is printed at debug level is printed at trace level too. For App Service the launcher
    // sets the router's level itself.
    for (level, settings) in [
        ("trace", azure.proxy_with_secret(&secret, SECRET)),
        ("trace", signed),
        ("trace", app_service.clone()),
        ("debug", app_service),
    ] {
        let proxy = settings.set("LOG_LEVEL", level).start();
        proxy.wait_until_ready();
        token(&proxy);
        assert!(proxy.process().logs().contains("[debug]"));
        shows_no_secret(&proxy);
    }
}

#[test]
fn a_wrong_secret_is_told_in_ready_with_entras_code_and_what_to_do() {
    let application = Application::new("secret").with_secret(SECRET);
    let azure = Azure::knowing(&application);
    let proxy = azure
        .proxy_with_secret(&application, "another~secret_that.is-none")
        .start();
    let error = eventually(Duration::from_secs(20), "a refusal in /ready", || {
        let ready = proxy.ready()?;
        let body: Value = ready.json()?;
        let error = body["slots"][0]["lastError"].clone();
        let message = error["message"].as_str().unwrap_or_default();
        // While Envoy starts, the listener with the file may come after the first attempt.
        match message.contains("AADSTS7000215") {
            true => Ok(error),
            false => Err(ready.text()),
        }
    });
    let text = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
    assert!(text("advice").contains("secret"), "{error}");
    shows_no_secret(&proxy);
}

#[test]
fn no_client_reaches_what_serves_the_secret() {
    let application = Application::new("secret").with_secret(SECRET);
    let azure = Azure::knowing(&application);
    let proxy = azure.proxy_with_secret(&application, SECRET).start();
    proxy.wait_until_ready();
    // The proxy's port leads to the target, whose answer to any path is 200; the status port has
    // no such page.
    for (url, status) in [
        (proxy.url("/client-secret"), 200),
        (proxy.status_url("/client-secret"), 404),
    ] {
        for host in ["localhost", "credential-files"] {
            let request = http::Request::get(&url)
                .header("Host", host)
                .header("x-envoy-original-dst-host", "credential-files")
                .body(Vec::new())
                .expect("a request");
            let answer = http::send(request).expect("an answer");
            assert!(azure.secrets_in(&answer.text()).is_empty(), "{url}");
            assert_eq!(answer.status, status, "{url}");
        }
    }
    let at_target = azure.requests(Service::Target, 2);
    assert!(at_target.iter().all(|it| it.target == "/client-secret"));
    assert_eq!(at_target.len(), 2);
}

#[test]
fn what_cannot_work_is_told_at_start_with_exit_code_64() {
    let folder = tempfile::tempdir().expect("a folder");
    let (pem, _) = certificate("proxy.example");
    let path = |name: &str, content: &str| file(folder.path(), name, content);
    let cases = [
        (
            "AAD_CLIENT_SECRET_FILE",
            folder.path().join("missing"),
            "cannot be read",
        ),
        (
            "AAD_CLIENT_SECRET_FILE",
            folder.path().to_owned(),
            "is a directory",
        ),
        ("AAD_CLIENT_SECRET_FILE", path("empty", ""), "is empty"),
        (
            "AAD_CLIENT_SECRET_FILE",
            path("key", &pem),
            "holds a line break",
        ),
        (
            "AAD_CLIENT_CERTIFICATE_PATH",
            path("text", "no certificate"),
            "AAD_CLIENT_CERTIFICATE_PATH",
        ),
    ];
    for (variable, path, reason) in cases {
        let output = Proxy::to("http://127.0.0.1:1")
            .set("AUDIENCE", AZURE_MONITOR)
            .set("IDENTITY_TYPE", "aadApplication")
            .set("AAD_CLIENT_ID", Identity::system_assigned().client_id)
            .set("AAD_TENANT_ID", "contoso.com")
            .set("AZURE_AUTHORITY_HOST", "http://127.0.0.1:1")
            .set(variable, &path)
            .command("run")
            .output()
            .expect("the launcher runs");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(64), "{stderr}");
        let line = stderr.lines().find(|line| line.contains(variable));
        let line = line.unwrap_or_else(|| panic!("no {variable} in {stderr}"));
        assert!(line.contains(reason), "{line}");
        assert!(line.contains(path.to_str().expect("UTF-8")), "{line}");
    }
}
