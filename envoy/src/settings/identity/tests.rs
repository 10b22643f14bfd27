//! Every identity from the environment: what it needs, what it becomes, and what is wrong where
//! something does not fit.

use std::fs;
use std::path::PathBuf;

use entra_auth_settings_input::Variables;
use entra_token_core::cloud::Cloud;
use tempfile::TempDir;

use super::environment::Kind;
use super::*;
use crate::settings::Reader;
use crate::settings::clouds::CloudHint;
use crate::settings::values::{Algorithm, AnyFile, Socket};

const ID: &str = "abcd1234-1243-abcd-9876-1234abcd5678";
const OTHER_ID: &str = "12345678-abcd-abcd-abcd-1234567890ab";
const TENANT: &str = "11111111-2222-3333-4444-555555555555";
const RESOURCE: &str = "/subscriptions/def/resourcegroups/MC_rg/providers/\
    Microsoft.ManagedIdentity/userAssignedIdentities/agentpool";
/// `{"alg":"none"}.{}.`, in base64url.
const JWT: &str = "eyJhbGciOiJub25lIn0.e30.";

/// An identity or its mistakes, and the warnings.
type Read = (Result<Identity, Vec<String>>, Vec<String>);

fn read_in(pairs: &[(&str, &str)], cloud: Option<&CloudHint>) -> Read {
    let variables: Variables = pairs.iter().copied().collect();
    let mut reader = Reader {
        variables: &variables,
        errors: Vec::new(),
        warnings: Vec::new(),
    };
    let identity = reader.identity(cloud);
    let mistakes: Vec<String> = reader.errors.iter().map(ToString::to_string).collect();
    assert_eq!(identity.is_none(), !mistakes.is_empty(), "{mistakes:?}");
    (identity.ok_or(mistakes), reader.warnings)
}

fn read(pairs: &[(&str, &str)]) -> Read {
    read_in(pairs, None)
}

fn with(kind: &str, more: &[(&str, &str)]) -> Read {
    let mut pairs = vec![("IDENTITY_TYPE", kind)];
    pairs.extend(more);
    read(&pairs)
}

/// The identity, where nothing is wrong and nothing is worth a warning.
fn identity(kind: &str, more: &[(&str, &str)]) -> Identity {
    let (identity, warnings) = with(kind, more);
    assert_eq!(warnings, [""; 0]);
    identity.unwrap()
}

/// One with the client id and the tenant of an application.
fn of_application(kind: &str, more: &[(&str, &str)]) -> Identity {
    let mut all = vec![("AAD_CLIENT_ID", ID), ("AAD_TENANT_ID", TENANT)];
    all.extend(more);
    identity(kind, &all)
}

fn application(identity: &Identity) -> &Application {
    match identity {
        Identity::ClientSecret { application, .. }
        | Identity::WorkloadIdentity { application, .. }
        | Identity::ServiceAccountToken { application, .. } => application,
        other => panic!("no application: {other:?}"),
    }
}

fn mistakes(kind: &str, more: &[(&str, &str)]) -> Vec<String> {
    with(kind, more).0.unwrap_err()
}

fn mistake(kind: &str, more: &[(&str, &str)]) -> String {
    let mut all = mistakes(kind, more);
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

/// A directory with a file of each kind.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("secret"), "s3cret\n").unwrap();
        fs::write(directory.path().join("token"), JWT).unwrap();
        fs::write(directory.path().join("pem"), "-----BEGIN…").unwrap();
        fs::write(directory.path().join("empty"), "").unwrap();
        Self(directory)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn name(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }
}

fn imds() -> MetadataService {
    match identity("systemAssigned", &[]) {
        Identity::SystemAssigned { service, .. } => service,
        other => panic!("no managed identity: {other:?}"),
    }
}

#[test]
fn a_type_is_read_in_any_case_and_an_unknown_one_is_told_the_known_ones() {
    for kind in ["systemAssigned", "systemassigned", "SYSTEMASSIGNED"] {
        let (service, cloud) = (imds(), None);
        assert_eq!(
            identity(kind, &[]),
            Identity::SystemAssigned { service, cloud }
        );
    }
    let unset = read(&[]).0.unwrap_err();
    assert!(unset[0].starts_with("IDENTITY_TYPE is not set. Say one of systemAssigned, "));
    let unknown = mistake("system-assigned", &[]);
    assert!(unknown.starts_with("IDENTITY_TYPE is \"system-assigned\", which is unknown."));
    for kind in Kind::ALL {
        assert!(unknown.contains(kind.name()), "{unknown}");
    }
}

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
fn the_old_names_win_over_the_sdks_and_a_difference_is_warned_about() {
    let files = Files::new();
    let secret = files.name("secret");
    let (read, warnings) = with(
        "aadApplication",
        &[
            ("AAD_CLIENT_SECRET_FILE", &secret),
            ("AAD_CLIENT_ID", ID),
            ("AZURE_CLIENT_ID", OTHER_ID),
            ("AAD_TENANT_ID", "contoso.com"),
            ("AZURE_TENANT_ID", TENANT),
        ],
    );
    let identity_read = read.unwrap();
    let application = application(&identity_read);
    assert_eq!(application.client_id.as_str(), ID);
    assert_eq!(application.tenant.as_str(), "contoso.com");
    assert_eq!(
        warnings,
        [
            "AAD_CLIENT_ID and AZURE_CLIENT_ID differ; AAD_CLIENT_ID is used",
            "AAD_TENANT_ID and AZURE_TENANT_ID differ; AAD_TENANT_ID is used",
        ]
    );
    let upper = ID.to_uppercase();
    let same = [("AAD_CLIENT_ID", ID), ("AZURE_CLIENT_ID", &upper)];
    identity("userAssigned", &same);
}

#[test]
fn a_variable_of_another_type_is_warned_about() {
    let cases = [
        ("systemAssigned", "AAD_CLIENT_ID"),
        ("systemAssigned", "AAD_CLIENT_SECRET_FILE"),
        ("systemAssigned", "TSIAM_ENDPOINT"),
        ("systemAssigned", "MANAGED_IDENTITY_CLIENT_ID"),
    ];
    for (kind, variable) in cases {
        let (read, warnings) = with(kind, &[(variable, "x"), ("AAD_TENANT_ID", TENANT)]);
        assert!(read.is_ok());
        assert_eq!(
            warnings,
            [format!(
                "{variable} is ignored: IDENTITY_TYPE is {kind}, which does not use it"
            )]
        );
    }
}

#[test]
fn an_application_proves_who_it_is_by_a_file() {
    let files = Files::new();
    let (secret, token) = (files.path("secret"), files.path("token"));
    let cases = [
        (
            "aadApplication",
            "AAD_CLIENT_SECRET_FILE",
            CredentialFile::Secret(&secret),
        ),
        (
            "workloadIdentity",
            "AZURE_FEDERATED_TOKEN_FILE",
            CredentialFile::Assertion(&token),
        ),
        (
            "serviceAccountToken",
            "AZURE_FEDERATED_TOKEN_FILE",
            CredentialFile::Assertion(&token),
        ),
    ];
    for (kind, variable, file) in cases {
        let name = if kind == "aadApplication" {
            "secret"
        } else {
            "token"
        };
        let identity = of_application(kind, &[(variable, &files.name(name))]);
        assert_eq!(identity.credential_file(), Some(file));
        assert_eq!(
            application(&identity).token_endpoint(),
            format!("https://login.microsoftonline.com/{TENANT}/oauth2/v2.0/token")
        );
    }
}

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
fn without_a_type_what_workload_identitys_webhook_sets_says_it() {
    let files = Files::new();
    let token = files.name("token");
    let webhook = [
        ("AZURE_CLIENT_ID", ID),
        ("AZURE_TENANT_ID", TENANT),
        ("AZURE_FEDERATED_TOKEN_FILE", &token),
    ];
    let (taken, warnings) = read(&webhook);
    assert_eq!(taken.unwrap(), identity("workloadIdentity", &webhook));
    assert_eq!(
        warnings,
        [
            "IDENTITY_TYPE is not set; workloadIdentity is assumed, because \
             AZURE_FEDERATED_TOKEN_FILE is set. Set IDENTITY_TYPE=workloadIdentity"
        ]
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
fn a_certificate_is_given_by_its_files_or_by_a_sidecars_socket() {
    let files = Files::new();
    let (certificate, key, password) =
        (files.name("pem"), files.name("token"), files.name("secret"));
    let plain = of_application(
        "aadApplication",
        &[("AAD_CLIENT_CERTIFICATE_PATH", &certificate)],
    );
    let expected = Certificate {
        path: AnyFile(files.path("pem")),
        key_path: None,
        password_file: None,
        send_chain: true,
        algorithm: Algorithm("PS256"),
    };
    assert_eq!(plain.certificate(), Some(&expected));
    let full = of_application(
        "aadApplication",
        &[
            ("AAD_CLIENT_CERTIFICATE_PATH", &certificate),
            ("AAD_CLIENT_CERTIFICATE_KEY_PATH", &key),
            ("AAD_CLIENT_CERTIFICATE_PASSWORD_FILE", &password),
            ("AAD_CLIENT_CERTIFICATE_SEND_CHAIN", "off"),
            ("AAD_CLIENT_ASSERTION_ALGORITHM", "rs256"),
        ],
    );
    let expected = Certificate {
        key_path: Some(AnyFile(files.path("token"))),
        password_file: Some(AnyFile(files.path("secret"))),
        send_chain: false,
        algorithm: Algorithm("RS256"),
        ..expected
    };
    assert_eq!(full.certificate(), Some(&expected));

    let socket = files.name("sidecar.sock");
    let of_others = of_application("aadApplication", &[("TOKEN_SIDECAR_SOCKET", &socket)]);
    let expected = Sidecar::OfOthers(Socket(files.path("sidecar.sock")));
    assert!(
        matches!(of_others, Identity::ClientCertificate { sidecar, .. } if sidecar == expected)
    );
}

#[test]
fn an_application_has_exactly_one_proof() {
    let files = Files::new();
    let who = [("AAD_CLIENT_ID", ID), ("AAD_TENANT_ID", TENANT)];
    let none = mistake("aadApplication", &who);
    assert!(
        none.starts_with("AAD_CLIENT_SECRET_FILE is not set, nor is AAD_CLIENT_CERTIFICATE_PATH")
    );
    let (secret, certificate) = (files.name("secret"), files.name("pem"));
    for other in ["AAD_CLIENT_CERTIFICATE_PATH", "TOKEN_SIDECAR_SOCKET"] {
        let mut both = who.to_vec();
        both.extend([
            ("AAD_CLIENT_SECRET_FILE", secret.as_str()),
            (other, &certificate),
        ]);
        let both = mistake("aadApplication", &both);
        assert!(
            both.starts_with("AAD_CLIENT_SECRET_FILE is set beside a certificate"),
            "{both}"
        );
    }
}

#[test]
fn everything_that_an_application_lacks_is_told_at_once() {
    let files = Files::new();
    let empty = files.name("empty");
    let all = mistakes(
        "aadApplication",
        &[
            ("AAD_CLIENT_CERTIFICATE_PATH", "/nowhere"),
            ("AAD_CLIENT_CERTIFICATE_KEY_PATH", &empty),
            ("AAD_CLIENT_CERTIFICATE_PASSWORD_FILE", "/tmp"),
            ("AAD_CLIENT_CERTIFICATE_SEND_CHAIN", "maybe"),
            ("AAD_CLIENT_ASSERTION_ALGORITHM", "HS256"),
            ("AAD_TENANT_ID", "common"),
            ("AZURE_AUTHORITY_HOST", "http://login.example"),
        ],
    );
    let expected = [
        "AAD_CLIENT_CERTIFICATE_PATH is \"/nowhere\", which cannot be read",
        "AAD_CLIENT_CERTIFICATE_KEY_PATH is ",
        "AAD_CLIENT_CERTIFICATE_PASSWORD_FILE is \"/tmp\", which is a directory",
        "AAD_CLIENT_CERTIFICATE_SEND_CHAIN is \"maybe\", which is unknown",
        "AAD_CLIENT_ASSERTION_ALGORITHM is \"HS256\", which is unknown",
        "AAD_CLIENT_ID is not set, but IDENTITY_TYPE is aadApplication",
        "AAD_TENANT_ID \"common\" is no tenant",
        "AZURE_AUTHORITY_HOST is \"http://login.example\", which is not encrypted",
    ];
    assert_eq!(all.len(), expected.len(), "{all:?}");
    for (mistake, expected) in all.iter().zip(expected) {
        assert!(mistake.starts_with(expected), "{mistake}");
    }
}

#[test]
fn entra_is_that_of_the_cloud_unless_its_host_is_named() {
    let files = Files::new();
    let secret = files.name("secret");
    let base = [
        ("IDENTITY_TYPE", "aadApplication"),
        ("AAD_CLIENT_ID", ID),
        ("AAD_TENANT_ID", TENANT),
        ("AAD_CLIENT_SECRET_FILE", &secret),
    ];
    let entra = |host: Option<&str>, cloud: Option<Cloud>| {
        let mut pairs = base.to_vec();
        pairs.extend(host.map(|host| ("AZURE_AUTHORITY_HOST", host)));
        let said = cloud.map(|cloud| CloudHint {
            place: "AZURE_CLOUD".into(),
            cloud,
        });
        match read_in(&pairs, said.as_ref()).0 {
            Ok(identity) => {
                let application = application(&identity);
                Ok((application.authority_host(), application.cloud.0))
            }
            Err(mistakes) => Err(mistakes.join("\n")),
        }
    };
    use Cloud::{China, Public, UsGovernment};
    let cases = [
        (None, None, "https://login.microsoftonline.com", Public),
        (
            None,
            Some(UsGovernment),
            "https://login.microsoftonline.us",
            UsGovernment,
        ),
        (None, Some(China), "https://login.chinacloudapi.cn", China),
        (
            Some("login.partner.microsoftonline.cn"),
            Some(China),
            "https://login.partner.microsoftonline.cn",
            China,
        ),
        (
            Some("https://login.partner.microsoftonline.cn/"),
            None,
            "https://login.partner.microsoftonline.cn",
            China,
        ),
        (
            Some("https://entra.example:8443/"),
            Some(China),
            "https://entra.example:8443",
            China,
        ),
        (
            Some("http://127.0.0.1:8080"),
            None,
            "http://127.0.0.1:8080",
            Public,
        ),
    ];
    for (host, cloud, authority, its) in cases {
        assert_eq!(entra(host, cloud), Ok((authority.to_owned(), its)));
    }
    let mixed = entra(Some("login.microsoftonline.com"), Some(China)).unwrap_err();
    assert!(
        mixed.starts_with(
            "AZURE_AUTHORITY_HOST is \"login.microsoftonline.com\", the Entra of public, but \
             AZURE_CLOUD means china."
        ),
        "{mixed}"
    );
    for wrong in [
        "http://192.0.2.1",
        "https://login.example/tenant",
        "ftp://x",
    ] {
        assert!(entra(Some(wrong), None).is_err(), "{wrong}");
    }
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
