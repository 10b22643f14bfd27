//! Names of settings as users know them.

use std::path::PathBuf;

use entra_token_core::config::{ConfigErrors, Uuid};
use serde_json::json;

use super::*;
use crate::settings::identity::{Application, MetadataService, Sidecar, entra_at};
use crate::settings::values::{SecretFile, Socket, TokenFile};
use crate::settings::variables::SERVED;

const ID: &str = "00000000-0000-0000-0000-000000000001";

fn id() -> Uuid {
    ID.parse().unwrap()
}

fn application() -> Application {
    let (entra, cloud) = entra_at("login.microsoftonline.com", None).unwrap();
    Application {
        tenant: ID.parse().unwrap(),
        client_id: id(),
        cloud,
        entra,
    }
}

fn machine(selector: Option<Selector>) -> Identity {
    let service: Result<MetadataService, ConfigErrors> =
        deserr::deserialize(json!("http://169.254.169.254"));
    let (service, cloud) = (service.unwrap(), None);
    match selector {
        None => Identity::SystemAssigned { service, cloud },
        Some(selector) => Identity::UserAssigned {
            service,
            selector,
            cloud,
        },
    }
}

fn workload() -> Identity {
    Identity::WorkloadIdentity {
        application: application(),
        token_file: TokenFile(PathBuf::from("/token")),
    }
}

fn terms(set: &[&str], file: Option<&Value>) -> Terms {
    let variables = set.iter().map(|name| match name.split_once('=') {
        Some(pair) => pair,
        None => (*name, "x"),
    });
    Terms::new(&variables.collect(), file)
}

fn name(terms: &Terms, n: usize, identity: &Identity, setting: Setting) -> Option<String> {
    let names = terms.of_identity(n, identity).into_iter();
    let mut found = names.filter(|it| it.setting == setting);
    let name = found.next().map(|it| it.name.to_string());
    assert_eq!(found.next(), None, "{setting:?}");
    name
}

#[test]
fn a_setting_is_called_by_the_variable_that_says_it() {
    let ours = terms(&["AAD_CLIENT_ID", "AZURE_CLIENT_ID"], None);
    let sdks = terms(&["AZURE_CLIENT_ID", "AZURE_TENANT_ID"], None);
    let neither = terms(&[], None);
    for (terms, setting, expected) in [
        (&ours, Setting::ClientId, "AAD_CLIENT_ID"),
        (&sdks, Setting::ClientId, "AZURE_CLIENT_ID"),
        (&sdks, Setting::TenantId, "AZURE_TENANT_ID"),
        (&neither, Setting::TenantId, "AAD_TENANT_ID"),
        (&neither, Setting::Credential, "AZURE_FEDERATED_TOKEN_FILE"),
        (&neither, Setting::Authority, "AZURE_AUTHORITY_HOST"),
    ] {
        let found = name(terms, 0, &workload(), setting);
        assert_eq!(found.as_deref(), Some(expected));
    }
    let by_object = machine(Some(Selector::ObjectId(id())));
    let found = name(&neither, 0, &by_object, Setting::ManagedIdentity);
    assert_eq!(found.as_deref(), Some("AAD_OBJECT_ID"));
    assert_eq!(name(&neither, 0, &machine(None), Setting::ClientId), None);
    assert_eq!(neither.of_audience(0), "AUDIENCE");
}

#[test]
fn a_setting_is_called_by_its_place_in_the_file_unless_a_variable_says_it() {
    let file = json!({ "identities": [
        { "type": "systemAssigned" },
        { "type": "workloadIdentity", "clientId": ID },
    ] });
    let set = [
        "AZURE_CLIENT_ID",
        "AZURE_TENANT_ID",
        "AZURE_POD_IDENTITY_AUTHORITY_HOST",
    ];
    let terms = terms(&set, Some(&file));
    for (setting, expected) in [
        (Setting::ClientId, "identities[1].clientId"),
        (Setting::TenantId, "AZURE_TENANT_ID"),
        (Setting::Credential, "identities[1].tokenFile"),
        (Setting::IdentityType, "identities[1].type"),
        (Setting::TrustStore, "SSL_CERT_FILE"),
    ] {
        let found = name(&terms, 1, &workload(), setting);
        assert_eq!(found.as_deref(), Some(expected));
    }
    let imds = name(&terms, 0, &machine(None), Setting::MetadataService);
    assert_eq!(imds.as_deref(), Some("AZURE_POD_IDENTITY_AUTHORITY_HOST"));
    assert_eq!(terms.of_audience(2), "targets[2].audience");
}

#[test]
fn the_chart_calls_a_setting_by_its_value() {
    let chart = "ENTRA_AUTH_SETTINGS_FROM=Helm";
    let of_one = terms(&[chart, "AAD_CLIENT_ID", "AZURE_TENANT_ID"], None);
    for (setting, expected) in [
        (Setting::ClientId, "aadClientId"),
        // No value of the chart's: the webhook has set it.
        (Setting::TenantId, "AZURE_TENANT_ID"),
        (Setting::Cloud, "azureCloud"),
        (Setting::ForwardProxy, "HTTPS_PROXY"),
    ] {
        let found = name(&of_one, 0, &workload(), setting);
        assert_eq!(found.as_deref(), Some(expected));
    }
    assert_eq!(of_one.of_audience(0), "audience");
    let file = json!({ "identities": [{ "type": "workloadIdentity" }] });
    let of_file = terms(&[chart], Some(&file));
    let found = name(&of_file, 0, &workload(), Setting::ClientId);
    assert_eq!(found.as_deref(), Some("config.identities[0].clientId"));
    assert_eq!(of_file.of_audience(0), "config.targets[0].audience");
}

#[test]
fn every_variable_that_is_named_is_one_of_the_launchers() {
    let secret = Identity::ClientSecret {
        application: application(),
        secret_file: SecretFile(PathBuf::from("/secret")),
    };
    let certificate = Identity::ClientCertificate {
        application: application(),
        sidecar: Sidecar::OfOthers(Socket(PathBuf::from("/socket"))),
    };
    let identities = [
        workload(),
        secret,
        certificate,
        machine(Some(Selector::ClientId(id()))),
        machine(Some(Selector::ResourceId(
            "/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/i"
                .parse()
                .unwrap(),
        ))),
    ];
    let terms = terms(&[], None);
    for named in identities.iter().flat_map(|it| terms.of_identity(0, it)) {
        let variable = named.name.as_str();
        assert!(SERVED.iter().any(|it| it.name == variable), "{variable}");
    }
    for (variable, _) in VALUES {
        assert!(SERVED.iter().any(|it| it.name == variable), "{variable}");
    }
}
