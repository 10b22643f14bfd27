//! Each kind of identity gets its token.

use azure_sim::{
    AZURE_MONITOR, Application, AzureCloud, FederatedCredential, Identity, METRICS_PUBLISHER,
    Options, Service, TSIAM_ISSUER, TSIAM_NODE,
};
use e2e::ProxyBuilder;
use e2e::azure::Azure;
use e2e::credentials::certificate;

use super::{CLUSTER, SECRET, file, kubernetes, shows_no_secret, token, trust_in};

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

#[test]
fn an_application_with_a_secret() {
    let application = Application::new("secret").with_secret(SECRET);
    let azure = Azure::knowing(&application);
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
    let azure = Azure::knowing(&application);
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
    let azure = Azure::knowing(&application);
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
    let azure = Azure::knowing(&application);
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
