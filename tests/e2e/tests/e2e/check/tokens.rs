//! Whose tokens come, and what is shown of them.

use azure_sim::{
    AZURE_MONITOR, Application, Fault, FaultKind, Identity, Options, RawContent, Service,
    TSIAM_ISSUER, TSIAM_NODE,
};
use e2e::azure::Azure;
use e2e::credentials::certificate;

use super::{CLUSTER, SECRET, TOKEN, check, with_secret};
use crate::identities::{file, kubernetes, trust_in};

#[test]
fn every_kind_of_identity_gets_a_token_and_its_claims_are_shown() {
    let (pem, registered) = certificate("proxy.example");
    let user = Identity::user_assigned("checked");
    let system = Identity::system_assigned();
    let mut applications: Vec<Application> = ["secret", "certificate", "workload", "mi", "tsiam"]
        .map(Application::new)
        .into();
    applications[0] = applications[0].clone().with_secret(SECRET);
    applications[1] = applications[1].clone().with_certificate(registered);
    applications[4] = applications[4]
        .clone()
        .with_federated_credential(trust_in(TSIAM_ISSUER, TSIAM_NODE));
    let azure = Azure::start(Options {
        applications: applications.clone(),
        user_assigned: vec![user.clone()],
        ..Options::default()
    });
    let (token, trust) = kubernetes(&azure, CLUSTER);
    azure.change_application(&applications[2].client_id, |it| {
        it.federated_credentials.push(trust);
    });
    let trust = trust_in(azure.managed_identity_issuer(), &system.object_id);
    azure.change_application(&applications[3].client_id, |it| {
        it.federated_credentials.push(trust);
    });
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str, content: &str| file(folder.path(), name, content);
    let app_service = format!("http://{}/msi/token", azure.addresses().app_service);
    let tsiam = format!("https://localhost:{}", azure.addresses().tsiam_tls.port());
    let [secret, signed, workload, federated, of_tsiam] = &applications[..] else {
        unreachable!("there are five")
    };
    let of = |identity: &Identity| (identity.object_id.clone(), identity.client_id.clone());
    let by = |it: &Application| (it.object_id.clone(), it.client_id.clone());
    let token = path("token", &token);
    let cases = [
        ("systemAssigned", of(&system), azure.proxy()),
        (
            "userAssigned",
            of(&user),
            azure
                .proxy()
                .set("IDENTITY_TYPE", "userAssigned")
                .set("AAD_OBJECT_ID", &user.object_id),
        ),
        (
            "App Service",
            of(&system),
            azure
                .proxy()
                .set("IDENTITY_ENDPOINT", app_service)
                .set("IDENTITY_HEADER", azure.identity_header()),
        ),
        (
            "secret",
            by(secret),
            azure.proxy_with_secret(secret, SECRET),
        ),
        (
            "certificate",
            by(signed),
            azure
                .proxy_as("aadApplication", signed)
                .set("AAD_CLIENT_CERTIFICATE_PATH", path("pem", &pem)),
        ),
        (
            "workloadIdentity",
            by(workload),
            azure
                .proxy_as("workloadIdentity", workload)
                .set("AZURE_FEDERATED_TOKEN_FILE", &token),
        ),
        (
            "serviceAccountToken",
            by(workload),
            azure
                .proxy_as("serviceAccountToken", workload)
                .set("AZURE_FEDERATED_TOKEN_FILE", &token),
        ),
        (
            "managedIdentityFederated",
            by(federated),
            azure.proxy_as("managedIdentityFederated", federated),
        ),
        (
            "tsiam",
            by(of_tsiam),
            azure
                .proxy_as("tsiam", of_tsiam)
                .set("TSIAM_ENDPOINT", tsiam),
        ),
    ];
    let tenant = azure.state().tenant_id;
    for (name, (oid, appid), settings) in cases {
        let checked = check(&azure, &settings);
        assert_eq!(checked.code, TOKEN, "{name}");
        assert!(
            checked
                .stdout
                .starts_with("identity `default`: has a token\n")
        );
        let target = format!("localhost:{}", azure.addresses().target_tls.port());
        for (row, value) in [
            ("target", target.as_str()),
            ("asked for", AZURE_MONITOR),
            ("aud", AZURE_MONITOR),
            ("iss", &format!("https://sts.windows.net/{tenant}/")),
            ("tid", &tenant),
            ("appid", &appid),
            ("oid", &oid),
        ] {
            assert_eq!(checked.row(row), value, "{name}: {row}");
        }
        assert!(checked.row("exp").contains(" UTC, in "), "{name}");
        let role = checked.row("roles");
        assert!(role.starts_with("none;"), "{name}: {role}");
        let grant = format!(
            "az role assignment create --role \"Monitoring Metrics Publisher\" \
             --assignee-object-id {oid} "
        );
        assert!(role.contains(&grant), "{name}: {role}");
        assert_eq!(checked.stderr, "", "{name}");
    }
    let state = azure.state();
    assert!(state.imds.refused.is_empty(), "{:?}", state.imds.refused);
    assert_eq!(state.target.requests, 0);
}

#[test]
fn roles_that_stand_in_the_token_are_shown_and_an_audience_of_another_name_is_told() {
    let (azure, _folder, settings) = with_secret(|application| {
        application.app_roles = vec!["Metrics.Write".to_owned(), "Metrics.Read".to_owned()];
    });
    let checked = check(&azure, &settings);
    assert_eq!(checked.row("roles"), "Metrics.Write, Metrics.Read");

    let claims =
        serde_json::json!({ "aud": "another\u{1b}[2J", "azp": "x", "exp": 4_000_000_000_u64 });
    let jwt = azure.sign(&claims).expect("a token");
    raw_token(&azure, &jwt);
    let checked = check(&azure, &settings);
    assert_eq!(checked.code, TOKEN);
    assert_eq!(
        checked.row("aud"),
        "another\\u{1b}[2J (not the requested audience; check that the target accepts it)"
    );
    assert_eq!(checked.row("azp"), "x");
    for part in jwt.split('.') {
        assert!(!checked.stdout.contains(part));
    }
}

#[test]
fn of_a_token_that_is_no_jwt_only_its_length_and_end_are_told() {
    let (azure, _folder, settings) = with_secret(|_| ());
    let opaque = "opaque-token-that-only-its-target-reads";
    raw_token(&azure, opaque);
    let checked = check(&azure, &settings);
    assert_eq!(checked.code, TOKEN);
    assert_eq!(
        checked.row("token"),
        format!("opaque, {} bytes", opaque.len())
    );
    assert!(checked.row("ends").starts_with("in 59m "));
    assert!(!checked.stdout.contains(opaque) && !checked.stdout.contains("aud"));
}

/// Entra answers with this token.
fn raw_token(azure: &Azure, token: &str) {
    let body = serde_json::json!({
        "token_type": "Bearer", "expires_in": 3599, "access_token": token,
    });
    let kind = FaultKind::RawBody {
        content_type: "application/json".to_owned(),
        body: RawContent::Text(body.to_string()),
    };
    azure
        .inject(Fault::new(Service::Entra, kind))
        .expect("a fault");
}
