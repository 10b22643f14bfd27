//! What the environment says beside the file.

use super::*;
use crate::settings::file::REPLACED;
use crate::settings::identity::CredentialFile;

#[test]
fn every_variable_that_the_file_replaces_is_known_and_refused_beside_it() {
    for (variable, field) in REPLACED {
        let known = settings::variables::SERVED
            .iter()
            .any(|it| it.name == variable);
        assert!(known, "{variable}");
        let found = mistakes(LEAST, &[(variable, "public")]);
        let expected =
            format!("{variable} is set beside ENTRA_AUTH_CONFIG, which says it in `{field}`");
        are(&found, &[&expected]);
        let field = field.rsplit(['.', ']']).next().unwrap();
        assert!(schema().contains(&format!("\"{field}\"")), "{field}");
    }
}

#[test]
fn the_machines_variables_hold_beside_the_file() {
    let imds_there = ("AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://127.0.0.1:4040");
    let settings = read(
        LEAST,
        &[imds_there, ("STATUS_PORT", "9999"), ("DRAIN_SECONDS", "3")],
    );
    assert_eq!((settings.status_port, settings.drain.as_secs()), (9999, 3));
    assert_eq!(imds(&settings), "http://127.0.0.1:4040");
    let own = with_identity("type: systemAssigned, imds: 'http://127.0.0.1:5050'");
    assert_eq!(imds(&read(&own, &[imds_there])), "http://127.0.0.1:5050");

    let app_service = [
        ("IDENTITY_ENDPOINT", "http://127.0.0.1:41000/msi/token"),
        ("IDENTITY_HEADER", "key"),
    ];
    assert!(read(LEAST, &app_service).identity_header().is_some());
    are(
        &mistakes(LEAST, &app_service[..1]),
        &["IDENTITY_HEADER is not set"],
    );
}

#[test]
fn a_workload_identity_has_the_variables_of_its_webhook_by_default_and_no_other_has() {
    let files = Files::new();
    let token = files.0.path().join("token");
    let webhook = [
        ("AZURE_CLIENT_ID", ID),
        ("AZURE_TENANT_ID", "contoso.com"),
        ("AZURE_FEDERATED_TOKEN_FILE", token.to_str().unwrap()),
        ("AZURE_AUTHORITY_HOST", "https://login.microsoftonline.com/"),
    ];
    let proof_of = |fields: &str, beside: &[(&str, &str)]| {
        let settings = read(&with_identity(fields), beside);
        let application = application(&settings);
        let file = settings.identities[0].identity.credential_file();
        (
            application.client_id.to_string(),
            format!("{file:?}"),
            application.authority_host(),
        )
    };
    let public = "https://login.microsoftonline.com".to_owned();
    let whole = proof_of("type: workloadIdentity", &webhook);
    assert_eq!(
        whole,
        (
            ID.to_owned(),
            format!("{:?}", Some(CredentialFile::Assertion(&token))),
            public
        )
    );

    let other = "12345678-abcd-abcd-abcd-1234567890ab";
    let fields =
        format!("type: workloadIdentity, clientId: {other}, authority: 'https://entra.example'");
    let part = proof_of(&fields, &webhook);
    assert_eq!(
        (part.0.as_str(), part.2.as_str()),
        (other, "https://entra.example")
    );

    are(
        &mistakes(
            &with_identity("type: workloadIdentity"),
            &[("AZURE_CLIENT_ID", "x")],
        ),
        &[
            "AZURE_CLIENT_ID \"x\" is no UUID",
            "AZURE_TENANT_ID is not set",
            "AZURE_FEDERATED_TOKEN_FILE is not set",
        ],
    );
    // The webhook's words about one identity are not taken for another's.
    let secret = "type: clientSecret, tenantId: a.com, clientId: '{id}', secretFile: '{dir}/secret', \
                  authority: 'https://entra.example'";
    assert_eq!(proof_of(secret, &webhook).2, "https://entra.example");
    let without = with_identity("type: clientSecret, secretFile: '{dir}/secret'");
    are(
        &mistakes(&without, &webhook),
        &[
            "identities[0]: a clientSecret identity needs `tenantId`",
            "identities[0]: a clientSecret identity needs `clientId`",
        ],
    );
}

#[test]
fn the_webhooks_entra_is_not_that_of_an_identity_whose_targets_are_in_another_cloud() {
    let files = Files::new();
    let token = files.0.path().join("token");
    let beside = [
        ("AZURE_CLIENT_ID", ID),
        ("AZURE_TENANT_ID", "contoso.com"),
        ("AZURE_FEDERATED_TOKEN_FILE", token.to_str().unwrap()),
        ("AZURE_AUTHORITY_HOST", "https://login.microsoftonline.com/"),
    ];
    let gov = |fields| with_identity(fields).replace("azure.com", "azure.us");
    are(
        &mistakes(&gov("type: workloadIdentity"), &beside),
        &[
            "AZURE_AUTHORITY_HOST is \"https://login.microsoftonline.com/\", the Entra of public, but targets[0].url means usgovernment",
        ],
    );
    let settings = read(&gov("type: workloadIdentity, cloud: usgovernment"), &beside);
    assert_eq!(
        application(&settings).authority_host(),
        "https://login.microsoftonline.us"
    );
}
