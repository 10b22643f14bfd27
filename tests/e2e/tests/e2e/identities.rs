//! Every identity from the launcher's environment to a request that the target verifies.

use std::fs;
use std::path::Path;
use std::time::Duration;

use azure_sim::{
    AZURE_MONITOR, Application, AzureCloud, FederatedClaims, FederatedCredential, Identity,
    METRICS_PUBLISHER, Options, Service, TSIAM_ISSUER, TSIAM_NODE, TokenSummary,
};
use e2e::azure::{Azure, ECHO};
use e2e::credentials::certificate;
use e2e::{Proxy, ProxyBuilder, eventually, http};
use serde_json::Value;

const SECRET: &str = "Zx8Q~s3cret-of-the-tests_a.b";
const EXCHANGE: &str = "api://AzureADTokenExchange";
const CLUSTER: &str = "https://oidc.cluster.example/";

/// The token that a request arrived with at the target.
pub(crate) fn token(proxy: &Proxy) -> TokenSummary {
    let answer = http::get(&proxy.url(ECHO)).expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer
        .json::<azure_sim::EchoReport>()
        .expect("an echo")
        .token
}

/// Writes a file of this test.
pub(crate) fn file(folder: &Path, name: &str, content: &str) -> std::path::PathBuf {
    let path = folder.join(name);
    fs::write(&path, content).expect("a file");
    path
}

/// A token as Kubernetes projects it into a pod of this cluster, and the trust in it.
pub(crate) fn kubernetes(azure: &Azure, cluster: &str) -> (String, FederatedCredential) {
    azure.add_issuer(cluster).expect("an issuer");
    let claims = FederatedClaims::kubernetes(cluster, "monitoring", "prometheus");
    let trust = FederatedCredential {
        issuer: claims.issuer.clone(),
        subject: claims.subject.clone(),
        audience: claims.audience.clone(),
    };
    let token = azure.federated_token(&claims).expect("a token");
    (token, trust)
}

pub(crate) fn trust_in(issuer: &str, subject: &str) -> FederatedCredential {
    FederatedCredential {
        issuer: issuer.to_owned(),
        subject: subject.to_owned(),
        audience: EXCHANGE.to_owned(),
    }
}

/// Starts the proxy, sends a request, and looks at whose token the target has verified; then
/// searches all that can be seen for anything secret.
fn gets_the_token_of(azure: &Azure, settings: ProxyBuilder, oid: &str, appid: &str) {
    let proxy = settings.start();
    proxy.wait_until_ready();
    let token = token(&proxy);
    assert_eq!((token.oid.as_str(), token.appid.as_str()), (oid, appid));
    assert_eq!(token.aud, AZURE_MONITOR);

    let state = azure.state();
    let entra = &state.entra;
    assert!(
        entra.token_endpoint.refused.is_empty(),
        "{:?}",
        entra.token_endpoint.refused
    );
    let ids = entra.request_ids;
    assert_eq!((ids.repeated, ids.malformed, ids.missing), (0, 0, 0));
    shows_no_secret(&proxy);
}

/// Everything that a proxy which runs shows was there to be searched.
pub(crate) fn shows_no_secret(proxy: &Proxy) {
    let shown = proxy.shows_no_secret();
    let places: Vec<_> = shown.places().collect();
    for place in [
        "/metrics",
        "/status",
        "/ready",
        "/config_dump",
        "the log",
        "the arguments of the launcher",
        "cmdline of envoy",
        "environ of envoy",
    ] {
        assert!(places.contains(&place), "{place} is not in {places:?}");
    }
}

#[test]
fn an_application_with_a_secret() {
    let application = Application::new("secret").with_secret(SECRET);
    let azure = Azure::start(Options {
        applications: vec![application.clone()],
        ..Options::default()
    });
    let folder = tempfile::tempdir().expect("a folder");
    // A name with all that Envoy's format string has a meaning for, and that it still reads.
    let secret = file(
        folder.path(),
        "100% (of) the secret",
        &format!("{SECRET}\n"),
    );
    let settings = azure
        .proxy_as("aadApplication", &application)
        .set("AAD_CLIENT_SECRET_FILE", secret);
    let (oid, appid) = (&application.object_id, &application.client_id);
    gets_the_token_of(&azure, settings, oid, appid);
    assert_eq!(azure.state().imds.calls, 0);
}

#[test]
fn an_application_with_a_certificate() {
    let (pem, registered) = certificate("proxy.example");
    let application = Application::new("certificate").with_certificate(registered);
    let azure = Azure::start(Options {
        applications: vec![application.clone()],
        ..Options::default()
    });
    let folder = tempfile::tempdir().expect("a folder");
    let pem = file(folder.path(), "certificate.pem", &pem);
    for algorithm in ["PS256", "RS256"] {
        let settings = azure
            .proxy_as("aadApplication", &application)
            .set("AAD_CLIENT_ASSERTION_ALGORITHM", algorithm)
            .set("AAD_CLIENT_CERTIFICATE_PATH", &pem);
        let (oid, appid) = (&application.object_id, &application.client_id);
        gets_the_token_of(&azure, settings, oid, appid);
    }
}

#[test]
fn a_workload_identity_with_the_variables_of_its_webhook() {
    let application = Application::new("workload");
    let azure = Azure::start(Options {
        applications: vec![application.clone()],
        ..Options::default()
    });
    let (token, trust) = kubernetes(&azure, CLUSTER);
    azure.change_application(&application.client_id, |it| {
        it.federated_credentials.push(trust);
    });
    let folder = tempfile::tempdir().expect("a folder");
    let token = file(folder.path(), "azure-identity-token", &token);
    let entra = azure.addresses().entra_tls.port();
    for kind in ["workloadIdentity", "serviceAccountToken"] {
        let settings = azure
            .proxy()
            .set("IDENTITY_TYPE", kind)
            .set("AZURE_CLIENT_ID", &application.client_id)
            .set("AZURE_TENANT_ID", azure.state().tenant_id)
            .set("AZURE_FEDERATED_TOKEN_FILE", &token)
            .set(
                "AZURE_AUTHORITY_HOST",
                format!("https://localhost:{entra}/"),
            );
        let (oid, appid) = (&application.object_id, &application.client_id);
        gets_the_token_of(&azure, settings, oid, appid);
    }
}

#[test]
fn a_managed_identity_that_speaks_for_an_application() {
    let user = Identity::user_assigned("federated");
    let application = Application::new("federated");
    let azure = Azure::start(Options {
        applications: vec![application.clone()],
        user_assigned: vec![user.clone()],
        ..Options::default()
    });
    let system = Identity::system_assigned().object_id;
    let issuer = azure.managed_identity_issuer().to_owned();
    for (who, object_id) in [(None, &system), (Some(&user.client_id), &user.object_id)] {
        azure.change_application(&application.client_id, |it| {
            it.federated_credentials = vec![trust_in(&issuer, object_id)];
        });
        let mut settings = azure.proxy_as("managedIdentityFederated", &application);
        if let Some(id) = who {
            settings = settings.set("MANAGED_IDENTITY_CLIENT_ID", id);
        }
        let (oid, appid) = (&application.object_id, &application.client_id);
        gets_the_token_of(&azure, settings, oid, appid);
        let asked = azure.requests(Service::Imds, 1);
        assert!(
            asked[0]
                .target
                .contains("resource=api%3A%2F%2FAzureADTokenExchange"),
            "{asked:?}"
        );
    }
}

#[test]
fn each_cloud_has_an_exchange_audience_of_its_own() {
    for (cloud, name, audience, exchange) in [
        (
            AzureCloud::UsGovernment,
            "usgovernment",
            "https://monitor.azure.us",
            "api://AzureADTokenExchangeUSGov",
        ),
        (
            AzureCloud::China,
            "AzureChinaCloud",
            "https://monitor.azure.cn",
            "api://AzureADTokenExchangeChina",
        ),
    ] {
        let mut application = Application::new("of another cloud");
        application.roles = vec![(audience.to_owned(), METRICS_PUBLISHER.to_owned())];
        let azure = Azure::start(Options {
            cloud,
            applications: vec![application.clone()],
            target_audiences: vec![audience.to_owned()],
            ..Options::default()
        });
        let trust = FederatedCredential {
            audience: exchange.to_owned(),
            ..trust_in(
                azure.managed_identity_issuer(),
                &Identity::system_assigned().object_id,
            )
        };
        azure.change_application(&application.client_id, |it| {
            it.federated_credentials = vec![trust];
        });
        let proxy = azure
            .proxy_as("managedIdentityFederated", &application)
            .set("AZURE_CLOUD", name)
            .set("AUDIENCE", format!("{audience}/.default"))
            .start();
        proxy.wait_until_ready();
        let token = token(&proxy);
        assert_eq!(
            (token.aud.as_str(), &token.appid),
            (audience, &application.client_id)
        );
    }
}

#[test]
fn a_node_that_tsiam_speaks_for() {
    let trust = trust_in(TSIAM_ISSUER, TSIAM_NODE);
    let application = Application::new("tsiam").with_federated_credential(trust);
    let azure = Azure::start(Options {
        applications: vec![application.clone()],
        ..Options::default()
    });
    let tsiam = azure.addresses().tsiam_tls.port();
    let settings = azure
        .proxy_as("tsiam", &application)
        .set("TSIAM_ENDPOINT", format!("https://localhost:{tsiam}"));
    let (oid, appid) = (&application.object_id, &application.client_id);
    gets_the_token_of(&azure, settings, oid, appid);
    let state = azure.state();
    assert_eq!((state.tsiam.calls, state.tsiam.accepted), (1, 1));
}

#[test]
fn the_managed_identities_of_an_app_service() {
    let user = Identity::user_assigned("of-the-app");
    let azure = Azure::start(Options {
        user_assigned: vec![user.clone()],
        ..Options::default()
    });
    let system = Identity::system_assigned();
    let endpoint = format!("http://{}/msi/token", azure.addresses().app_service);
    for (kind, id, of) in [
        ("systemAssigned", None, &system),
        (
            "userAssigned",
            Some(("AAD_CLIENT_ID", &user.client_id)),
            &user,
        ),
        (
            "userAssigned",
            Some(("AAD_OBJECT_ID", &user.object_id)),
            &user,
        ),
        (
            "userAssigned",
            Some(("AAD_RESOURCE_ID", &user.resource_id)),
            &user,
        ),
    ] {
        let mut settings = azure
            .proxy()
            .set("IDENTITY_TYPE", kind)
            .set("IDENTITY_ENDPOINT", &endpoint)
            .set("IDENTITY_HEADER", azure.identity_header());
        if let Some((variable, id)) = id {
            settings = settings.set(variable, id);
        }
        gets_the_token_of(&azure, settings, &of.object_id, &of.client_id);
        let state = azure.state();
        assert!(state.app_service.refused.is_empty());
        assert_eq!(state.imds.calls, 0);
    }
}

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
    let secret_file = file(folder.path(), "secret", SECRET);
    let pem = file(folder.path(), "certificate.pem", &pem);
    for level in ["debug", "trace"] {
        let endpoint = format!("http://{}/msi/token", azure.addresses().app_service);
        let settings = [
            azure
                .proxy_as("aadApplication", &secret)
                .set("AAD_CLIENT_SECRET_FILE", &secret_file),
            azure
                .proxy_as("aadApplication", &signed)
                .set("AAD_CLIENT_CERTIFICATE_PATH", &pem),
            azure
                .proxy()
                .set("IDENTITY_ENDPOINT", &endpoint)
                .set("IDENTITY_HEADER", azure.identity_header()),
        ];
        for settings in settings {
            let proxy = settings.set("LOG_LEVEL", level).start();
            proxy.wait_until_ready();
            token(&proxy);
            assert!(proxy.process().logs().contains("[debug]"));
            shows_no_secret(&proxy);
        }
    }
}

#[test]
fn a_wrong_secret_is_told_in_ready_with_entras_code_and_what_to_do() {
    let application = Application::new("secret").with_secret(SECRET);
    let azure = Azure::start(Options {
        applications: vec![application.clone()],
        ..Options::default()
    });
    let folder = tempfile::tempdir().expect("a folder");
    let secret = file(folder.path(), "secret", "another~secret_that.is-none");
    let proxy = azure
        .proxy_as("aadApplication", &application)
        .set("AAD_CLIENT_SECRET_FILE", &secret)
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

    // Mended where it is wrong, without a restart. What is permanent is tried again after 30 to
    // 60 s.
    e2e::credentials::replace(&secret, SECRET);
    eventually(Duration::from_secs(120), "the proxy is ready", || {
        let ready = proxy.ready()?;
        (ready.status == 200).then_some(()).ok_or(ready.text())
    });
    assert_eq!(token(&proxy).appid, application.client_id);
}

#[test]
fn no_client_reaches_what_serves_the_secret() {
    let application = Application::new("secret").with_secret(SECRET);
    let azure = Azure::start(Options {
        applications: vec![application.clone()],
        ..Options::default()
    });
    let folder = tempfile::tempdir().expect("a folder");
    let proxy = azure
        .proxy_as("aadApplication", &application)
        .set(
            "AAD_CLIENT_SECRET_FILE",
            file(folder.path(), "secret", SECRET),
        )
        .start();
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
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(64), "{said}");
        let line = said.lines().find(|line| line.contains(variable));
        let line = line.unwrap_or_else(|| panic!("no {variable} in {said}"));
        assert!(line.contains(reason), "{line}");
        assert!(line.contains(path.to_str().expect("UTF-8")), "{line}");
    }
}
