//! Applications that trust the tokens of another issuer.

use entra_token_core::cloud::Cloud;

use super::*;

#[test]
fn the_variables_of_the_webhook_are_enough_for_a_workload_identity() {
    let files = Files::new();
    let token = files.name("token");
    let webhook = [
        ("AZURE_CLIENT_ID", ID),
        ("AZURE_TENANT_ID", TENANT),
        ("AZURE_FEDERATED_TOKEN_FILE", &token),
        ("AZURE_AUTHORITY_HOST", "https://login.microsoftonline.us/"),
    ];
    let identity = identity("workloadIdentity", &webhook);
    let application = application(&identity);
    assert_eq!(application.cloud.0, Cloud::UsGovernment);
    assert_eq!(
        application.authority_host(),
        "https://login.microsoftonline.us"
    );
}

#[test]
fn a_service_accounts_token_is_where_kubernetes_puts_it() {
    let more = [("AAD_CLIENT_ID", ID), ("AAD_TENANT_ID", TENANT)];
    let mistake = mistake("serviceAccountToken", &more);
    assert!(
        mistake.starts_with(
            "AZURE_FEDERATED_TOKEN_FILE is \"/var/run/secrets/kubernetes.io/serviceaccount/token\", \
             which cannot be read"
        ),
        "{mistake}"
    );
}

#[test]
fn a_managed_identity_speaks_for_an_application() {
    let speaker = |more: &[(&str, &str)]| match of_application("managedIdentityFederated", more) {
        Identity::ManagedIdentityFederated {
            managed_identity, ..
        } => managed_identity,
        other => panic!("{other:?}"),
    };
    assert_eq!(speaker(&[]), None);
    let more = [("MANAGED_IDENTITY_CLIENT_ID", OTHER_ID)];
    let expected = Selector::ClientId(OTHER_ID.parse().unwrap());
    assert_eq!(speaker(&more), Some(expected));
    let who = [
        ("AAD_CLIENT_ID", ID),
        ("AAD_TENANT_ID", TENANT),
        ("IDENTITY_ENDPOINT", "http://127.0.0.1:41000/msi/token"),
        ("IDENTITY_HEADER", "key"),
    ];
    let app_service = mistake("managedIdentityFederated", &who);
    assert!(
        app_service.contains("instance metadata service only"),
        "{app_service}"
    );
}

#[test]
fn tsiam_speaks_for_an_application_where_one_is_named() {
    let tsiam = ("TSIAM_ENDPOINT", "https://tsiam");
    assert!(matches!(
        identity("tsiam", &[tsiam]),
        Identity::Tsiam { .. }
    ));
    assert!(matches!(
        of_application("tsiam", &[tsiam]),
        Identity::TsiamFederated { .. }
    ));
    assert!(mistake("tsiam", &[]).starts_with("TSIAM_ENDPOINT is not set"));
    let half = mistake("tsiam", &[tsiam, ("AZURE_CLIENT_ID", ID)]);
    assert!(half.starts_with("AAD_TENANT_ID is not set, but IDENTITY_TYPE is tsiam"));
}
