//! Managed identities, and the platforms that give them.

use super::*;

#[test]
fn a_user_assigned_identity_is_named_by_one_of_three_ids() {
    let uuid = || ID.parse().unwrap();
    let cases = [
        ("AAD_CLIENT_ID", ID, Selector::ClientId(uuid())),
        ("AZURE_CLIENT_ID", ID, Selector::ClientId(uuid())),
        ("AAD_OBJECT_ID", ID, Selector::ObjectId(uuid())),
        (
            "AAD_RESOURCE_ID",
            RESOURCE,
            Selector::ResourceId(RESOURCE.parse().unwrap()),
        ),
    ];
    for (name, value, selector) in cases {
        let expected = Identity::UserAssigned {
            service: imds(),
            selector,
            cloud: None,
        };
        assert_eq!(identity("userAssigned", &[(name, value)]), expected);
    }
    assert!(mistake("userAssigned", &[]).starts_with("AAD_CLIENT_ID is not set"));
    let two = [("AAD_CLIENT_ID", ID), ("AAD_OBJECT_ID", OTHER_ID)];
    assert!(mistake("userAssigned", &two).starts_with("AAD_OBJECT_ID is set beside AAD_CLIENT_ID"));
}

#[test]
fn an_id_of_the_wrong_form_is_a_mistake() {
    for value in [
        "<clientId>",
        "abcd1234",
        &ID.replace('-', ""),
        &format!("{{{ID}}}"),
    ] {
        let mistake = mistake("userAssigned", &[("AAD_CLIENT_ID", value)]);
        assert!(mistake.contains("is no UUID"), "{mistake}");
    }
    let resource = mistake("userAssigned", &[("AAD_CLIENT_ID", RESOURCE)]);
    assert!(resource.contains("Put it into AAD_RESOURCE_ID"));
    for value in [ID, "/subscriptions/x", &format!("{RESOURCE} ")] {
        let mistake = mistake("userAssigned", &[("AAD_RESOURCE_ID", value)]);
        assert!(mistake.contains("is no resource id"), "{mistake}");
    }
}

#[test]
fn the_variables_of_app_service_take_the_place_of_imds() {
    let endpoint = ("IDENTITY_ENDPOINT", "http://127.0.0.1:41000/msi/token");
    let header = ("IDENTITY_HEADER", "853b9a84-5bfa-4b22-a3f3-0b9a43d9ad8a");
    let app = identity("systemAssigned", &[endpoint, header]);
    assert!(app.identity_header().is_some());
    assert!(!format!("{app:?}").contains("853b9a84"));

    let no_header = mistake("systemAssigned", &[endpoint]);
    assert!(no_header.starts_with("IDENTITY_HEADER is not set, but IDENTITY_ENDPOINT is"));
    // Other identities have nothing to do with it.
    let files = Files::new();
    let secret = files.name("secret");
    of_application(
        "aadApplication",
        &[endpoint, ("AAD_CLIENT_SECRET_FILE", &secret)],
    );
}

/// As the environments of these platforms look, and as the Azure SDKs read them.
#[test]
fn a_platform_is_told_by_all_of_its_variables_together() {
    const HEADER: (&str, &str) = ("IDENTITY_HEADER", "853b9a84-5bfa-4b22-a3f3-0b9a43d9ad8a");
    const THUMBPRINT: (&str, &str) = ("IDENTITY_SERVER_THUMBPRINT", "a6f221acd0b6b3e2");
    const FABRIC: (&str, &str) = ("IDENTITY_ENDPOINT", "https://10.0.0.4:2377/metadata/token");
    const ARC: (&str, &str) = ("IDENTITY_ENDPOINT", "http://localhost:40342/oauth2/token");
    const MSI: (&str, &str) = ("MSI_ENDPOINT", "http://localhost:50342/oauth2/token");

    // Azure Container Instances.
    for variables in [
        &[HEADER][..],
        &[HEADER, THUMBPRINT],
        &[HEADER, THUMBPRINT, ("IDENTITY_API_VERSION", "2020-05-01")],
        &[THUMBPRINT],
        &[("MSI_SECRET", "x")],
        &[("IMDS_ENDPOINT", "http://localhost:40342")],
    ] {
        let managed = identity("systemAssigned", variables);
        let expected = Identity::SystemAssigned {
            service: imds(),
            cloud: None,
        };
        assert_eq!(managed, expected, "{variables:?}");
    }
    let federated = [("AAD_CLIENT_ID", ID), ("AAD_TENANT_ID", TENANT), HEADER];
    assert!(with("managedIdentityFederated", &federated).0.is_ok());

    for (variables, said) in [
        (
            &[FABRIC, HEADER, THUMBPRINT][..],
            "IDENTITY_ENDPOINT is that of Azure Service Fabric",
        ),
        (
            &[ARC, ("IMDS_ENDPOINT", "http://localhost:40342")],
            "IDENTITY_ENDPOINT is that of Azure Arc",
        ),
        (
            &[MSI, ("MSI_SECRET", "x")],
            "MSI_ENDPOINT is that of Azure Machine Learning",
        ),
        (&[MSI], "MSI_ENDPOINT is that of Azure Cloud Shell"),
        (&[MSI, HEADER], "MSI_ENDPOINT is that of Azure Cloud Shell"),
    ] {
        let mut federated = variables.to_vec();
        federated.extend([("AAD_CLIENT_ID", ID), ("AAD_TENANT_ID", TENANT)]);
        for mistake in [
            mistake("systemAssigned", variables),
            mistake("managedIdentityFederated", &federated),
        ] {
            assert!(mistake.starts_with(said), "{variables:?}: {mistake}");
            assert!(mistake.contains("which is not served"), "{mistake}");
        }
    }
    // The newer variables of App Service go before the older ones that it has beside them.
    let both = [
        ("IDENTITY_ENDPOINT", "http://127.0.0.1:41000/msi/token"),
        HEADER,
        MSI,
        ("MSI_SECRET", "x"),
    ];
    assert!(
        identity("systemAssigned", &both)
            .identity_header()
            .is_some()
    );
}
