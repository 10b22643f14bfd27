//! Applications: ids, Entra, and exactly one proof.

use entra_token_core::cloud::Cloud;

use super::*;

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
