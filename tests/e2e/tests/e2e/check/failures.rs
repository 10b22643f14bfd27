//! Why there is no token, which setting to look at, and which command shows or mends it.

use std::time::{Duration, Instant};

use azure_sim::{
    Application, AzureCloud, ClientSecret, Fault, FaultKind, Options, OtherTenant, Service,
};
use e2e::azure::Azure;
use e2e::credentials::certificate;

use super::{
    CLUSTER, Checked, MISCONFIGURED, REFUSED, SECRET, TOKEN, UNREACHABLE, azure, check, with_secret,
};
use crate::identities::{file, kubernetes, trust_in};

const NOBODY: &str = "0f0e0d0c-0000-4000-8000-00000000dead";

/// Each refusal ends at once, with what Entra said, what to do, and where to look.
fn is_refused(checked: &Checked, code: &str, says: &[&str], command: &str) {
    assert_eq!(checked.code, REFUSED, "{code}");
    assert!(
        checked
            .stdout
            .starts_with("identity `default`: no token: refused\n")
    );
    let error = checked.row("error");
    assert!(error.ends_with(&format!("({code})")), "{error}");
    let advice = checked.row("do") + " " + &checked.row("settings");
    for setting in says {
        let times = advice.matches(setting).count();
        assert_eq!(times, 1, "{setting} in {advice}");
    }
    let commands = checked.row("commands");
    assert!(commands.contains(command), "{commands}");
    assert_eq!(checked.stderr, "");
}

#[test]
fn a_refusal_of_an_applications_secret_names_the_setting_and_the_command() {
    let (azure, folder, settings) = with_secret(|_| ());
    let id = azure.state().applications[0].client_id.clone();

    let wrong = file(folder.path(), "wrong", "another~secret_that.is-none");
    let checked = check(
        &azure,
        &settings.clone().set("AAD_CLIENT_SECRET_FILE", &wrong),
    );
    let command = format!("az ad app credential list --id {id} ");
    is_refused(
        &checked,
        "client_secret_wrong",
        &["AAD_CLIENT_SECRET_FILE", "AAD_CLIENT_ID"],
        &command,
    );
    assert!(checked.row("error").contains("AADSTS7000215"));
    let entra = azure.addresses().entra_tls.port();
    assert_eq!(checked.row("at"), format!("Entra, localhost:{entra}"));
    let tenant = azure.state().tenant_id;
    assert_eq!(
        checked.row("as"),
        format!("application {id} of tenant {tenant}")
    );

    azure.change_application(&id, |it| {
        it.secrets = vec![ClientSecret {
            value: SECRET.to_owned(),
            expires_at: Some(1),
        }];
    });
    let command = format!("az ad app credential reset --id {id} --append");
    is_refused(
        &check(&azure, &settings),
        "client_secret_expired",
        &["AAD_CLIENT_SECRET_FILE"],
        &command,
    );

    azure.change_application(&id, |it| it.disabled = true);
    let command = format!("az ad sp update --id {id} --set accountEnabled=true");
    is_refused(
        &check(&azure, &settings),
        "application_disabled",
        &["AAD_CLIENT_ID"],
        &command,
    );

    let unknown = settings.clone().set("AAD_CLIENT_ID", NOBODY);
    let command = format!("az ad sp create --id {NOBODY}");
    is_refused(
        &check(&azure, &unknown),
        "application_not_found",
        &["AAD_CLIENT_ID", "AAD_TENANT_ID"],
        &command,
    );
}

#[test]
fn a_refusal_of_tenant_cloud_or_audience_names_the_setting_and_the_command() {
    let application = Application::new("checked").with_secret(SECRET);
    let azure = Azure::start(Options {
        applications: vec![application.clone()],
        other_tenants: vec![OtherTenant {
            id: "contoso.us".to_owned(),
            cloud: AzureCloud::UsGovernment,
        }],
        ..Options::default()
    });
    let folder = tempfile::tempdir().expect("a folder");
    let settings = azure.proxy_as("aadApplication", &application).set(
        "AAD_CLIENT_SECRET_FILE",
        file(folder.path(), "secret", SECRET),
    );

    let unknown = settings.clone().set("AAD_TENANT_ID", "nobody.example");
    is_refused(
        &check(&azure, &unknown),
        "tenant_not_found",
        &["AAD_TENANT_ID", "AZURE_CLOUD"],
        "az account show --query tenantId",
    );

    let other = settings.clone().set("AAD_TENANT_ID", "contoso.us");
    is_refused(
        &check(&azure, &other),
        "wrong_cloud",
        &["AZURE_CLOUD"],
        "az cloud show --query name",
    );

    let audience = settings.clone().set("AUDIENCE", "https://nobody.example");
    let command = "servicePrincipalNames/any(name:name eq 'https://nobody.example')";
    is_refused(
        &check(&azure, &audience),
        "audience_not_found",
        &["AUDIENCE"],
        command,
    );
    let managed = azure.proxy().set("AUDIENCE", "https://nobody.example");
    is_refused(
        &check(&azure, &managed),
        "audience_not_found",
        &["AUDIENCE"],
        command,
    );
}

#[test]
fn a_refusal_of_a_certificate_names_the_setting_and_the_command() {
    let (pem, _) = certificate("proxy.example");
    let (_, registered) = certificate("proxy.example");
    let without = Application::new("without a certificate");
    let other = Application::new("another certificate").with_certificate(registered);
    let (azure, folder) = azure(vec![without.clone(), other.clone()]);
    let pem = file(folder.path(), "certificate.pem", &pem);
    for application in [other, without] {
        let settings = azure
            .proxy_as("aadApplication", &application)
            .set("AAD_CLIENT_CERTIFICATE_PATH", &pem);
        let command = format!(
            "az ad app credential list --id {} --cert",
            application.client_id
        );
        let says = ["AAD_CLIENT_CERTIFICATE_PATH", "AAD_CLIENT_ID"];
        is_refused(
            &check(&azure, &settings),
            "certificate_refused",
            &says,
            &command,
        );
    }
}

#[test]
fn a_refusal_of_a_federated_token_names_the_setting_and_the_command() {
    let application = Application::new("workload");
    let (azure, folder) = azure(vec![application.clone()]);
    let id = &application.client_id;
    let (token, trust) = kubernetes(&azure, CLUSTER);
    let settings = azure.proxy_as("workloadIdentity", &application).set(
        "AZURE_FEDERATED_TOKEN_FILE",
        file(folder.path(), "token", &token),
    );
    let command = format!("az ad app federated-credential list --id {id}");
    // None at all, and one of another subject.
    is_refused(
        &check(&azure, &settings),
        "federated_credential_not_found",
        &["AAD_CLIENT_ID"],
        &command,
    );
    azure.change_application(id, |it| {
        it.federated_credentials = vec![trust_in(&trust.issuer, "system:serviceaccount:x:y")];
    });
    let checked = check(&azure, &settings);
    is_refused(
        &checked,
        "federated_credential_not_found",
        &["AAD_CLIENT_ID"],
        &command,
    );
    assert!(
        checked.row("error").contains("AADSTS700213"),
        "{}",
        checked.row("error")
    );
}

#[test]
fn a_managed_identity_that_is_not_assigned_names_the_settings_and_the_command() {
    let azure = Azure::start(Options::default());
    let user = azure
        .proxy()
        .set("IDENTITY_TYPE", "userAssigned")
        .set("AAD_CLIENT_ID", NOBODY);
    let checked = check(&azure, &user);
    let says = ["AAD_CLIENT_ID", "IDENTITY_TYPE"];
    is_refused(
        &checked,
        "identity_not_found",
        &says,
        "az vm identity show ",
    );
    assert_eq!(
        checked.row("as"),
        format!("the managed identity with client id {NOBODY}")
    );

    let of_app = user
        .set(
            "IDENTITY_ENDPOINT",
            format!("http://{}/msi/token", azure.addresses().app_service),
        )
        .set("IDENTITY_HEADER", azure.identity_header());
    let checked = check(&azure, &of_app);
    is_refused(
        &checked,
        "identity_not_found",
        &says,
        "az webapp identity show ",
    );
}

/// Not reached until patience ends, with the reason and the setting that says where it is.
fn is_not_reached(checked: &Checked, code: &str, because: &str, settings: &[&str]) {
    assert_eq!(checked.code, UNREACHABLE, "{code}");
    assert!(
        checked
            .stdout
            .starts_with("identity `default`: no token: the endpoint cannot be reached\n")
    );
    let error = checked.row("error");
    assert!(error.ends_with(&format!("({code})")), "{error}");
    let reason = checked.row("because");
    assert!(reason.starts_with(because), "{reason}");
    assert_eq!(
        checked.row("settings").split(", ").collect::<Vec<_>>(),
        settings
    );
    assert!(
        checked.stderr.contains("no token yet"),
        "{}",
        checked.stderr
    );
}

#[test]
fn an_endpoint_that_refuses_connections_is_not_reached() {
    let azure = Azure::start(Options::default());
    azure.set_open(Service::Imds, false);
    let started = Instant::now();
    let checked = check(&azure, &azure.proxy());
    let took = started.elapsed();
    is_not_reached(
        &checked,
        "endpoint_unreachable",
        "nothing listens there (",
        &["AZURE_POD_IDENTITY_AUTHORITY_HOST"],
    );
    assert_eq!(
        checked.row("at"),
        format!("the instance metadata service, {}", azure.addresses().imds)
    );
    // Back-off goes on as long as another attempt fits in.
    assert!(took > Duration::from_secs(5), "{took:?}");
}

#[test]
fn a_certificate_that_is_not_trusted_is_told_and_the_trust_store_is_named() {
    let (azure, folder, settings) = with_secret(|_| ());
    let (pem, _) = certificate("another authority");
    let store = file(
        folder.path(),
        "store.pem",
        pem.split("-----BEGIN PRIVATE")
            .next()
            .expect("a certificate"),
    );
    // Of a name with several addresses, as `localhost`, Envoy tells what came of the last one.
    let entra = format!("https://{}", azure.addresses().entra_tls);
    let settings = settings.set("AZURE_AUTHORITY_HOST", entra);
    let checked = check(&azure, &settings.set("SSL_CERT_FILE", store));
    let because = "its certificate is not trusted for this name (";
    let settings = ["SSL_CERT_FILE", "AZURE_AUTHORITY_HOST", "AZURE_CLOUD"];
    is_not_reached(&checked, "endpoint_tls_failed", because, &settings);
}

#[test]
fn a_name_that_dns_does_not_know_is_told() {
    let (azure, _folder, settings) = with_secret(|_| ());
    let checked = check(
        &azure,
        &settings.set("AZURE_AUTHORITY_HOST", "https://login.invalid"),
    );
    let because = "its name has no address in DNS (";
    is_not_reached(
        &checked,
        "endpoint_name_unknown",
        because,
        &["AZURE_AUTHORITY_HOST", "AZURE_CLOUD"],
    );
}

#[test]
fn an_endpoint_that_hangs_is_not_waited_for_beyond_the_filters_own_time_out() {
    let azure = Azure::start(Options::default());
    azure
        .inject(Fault::new(Service::Imds, FaultKind::Hang))
        .expect("a fault");
    let checked = check(&azure, &azure.proxy().set("TOKEN_REQUEST_TIMEOUT", "4"));
    let because = "the connection was established, but no response came (";
    // The advice of token-core is all there is to say but for the place's setting.
    is_not_reached(
        &checked,
        "endpoint_timeout",
        because,
        &["AZURE_POD_IDENTITY_AUTHORITY_HOST"],
    );
    let calls = azure.state().imds.calls;
    assert!((3..=5).contains(&calls), "{calls}");
}

#[test]
fn a_busy_endpoint_is_asked_again_and_one_that_names_a_long_wait_is_not() {
    let azure = Azure::start(Options::default());
    azure
        .inject(Fault::new(Service::Imds, FaultKind::status(503)).times(2))
        .expect("a fault");
    let checked = check(&azure, &azure.proxy());
    assert_eq!(checked.code, TOKEN);
    assert_eq!(
        checked.stderr.matches("no token yet").count(),
        1,
        "{}",
        checked.stderr
    );

    let kind = FaultKind::status_with_retry_after(429, 60);
    azure
        .inject(Fault::new(Service::Imds, kind))
        .expect("a fault");
    azure.forget_cached_tokens();
    let before = azure.state().imds.calls;
    let checked = check(&azure, &azure.proxy());
    assert_eq!(checked.code, UNREACHABLE);
    assert!(checked.row("error").ends_with("(throttled)"));
    assert_eq!(azure.state().imds.calls, before + 1);
}

#[test]
fn what_is_wrong_here_ends_with_64() {
    let (azure, folder, settings) = with_secret(|_| ());
    let wrong = settings
        .clone()
        .set("AAD_CLIENT_ID", "<client id>")
        .set("LISTENING_PORT", "x");
    let checked = check(&azure, &wrong);
    assert_eq!(checked.code, MISCONFIGURED);
    assert_eq!(checked.stdout, "");
    for variable in ["AAD_CLIENT_ID", "LISTENING_PORT"] {
        assert!(checked.stderr.contains(variable), "{}", checked.stderr);
    }

    // What the file holds is seen when it is read: a token that has ended.
    let application = Application::new("workload");
    azure.add_issuer(CLUSTER).expect("an issuer");
    let claims = serde_json::json!({ "iss": CLUSTER, "exp": 1_000_000_000 });
    let over = file(
        folder.path(),
        "over",
        &azure.sign(&claims).expect("a token"),
    );
    let settings = azure
        .proxy_as("workloadIdentity", &application)
        .set("AZURE_FEDERATED_TOKEN_FILE", over);
    let checked = check(&azure, &settings);
    assert_eq!(checked.code, MISCONFIGURED);
    assert!(checked.row("error").ends_with("(assertion_over)"));
    assert_eq!(checked.row("settings"), "AZURE_FEDERATED_TOKEN_FILE");
    assert_eq!(azure.state().entra.token_endpoint.calls, 0);
}
