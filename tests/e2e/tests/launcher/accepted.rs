//! Envoy accepts every bootstrap that can come out.

use crate::bootstrap::assert_envoy_accepts;
use crate::commands::{ID, Place, text};

#[test]
fn envoy_accepts_what_every_kind_of_settings_renders() {
    let place = Place::new();
    let user = ("IDENTITY_TYPE", "userAssigned");
    let resource = format!(
        "/subscriptions/{ID}/resourceGroups/g/providers/Microsoft.ManagedIdentity/\
         userAssignedIdentities/i"
    );
    let audience = ("AUDIENCE", "api://x");
    let glued = place.directory.path().join("glued.pem");
    let authority = std::fs::read_to_string(&place.store).unwrap();
    std::fs::write(&glued, authority.trim_end().repeat(2)).unwrap();
    let glued = glued.display().to_string();
    let token = place.directory.path().join("to%k)en, \"ä\"");
    // `{"alg":"none"}.{}.`, in base64url.
    std::fs::write(&token, "eyJhbGciOiJub25lIn0.e30.").unwrap();
    let token = token.to_str().unwrap();
    let (client, tenant) = (("AAD_CLIENT_ID", ID), ("AAD_TENANT_ID", "contoso.com"));
    let application = ("IDENTITY_TYPE", "aadApplication");
    let tsiam = ("TSIAM_ENDPOINT", "https://tsiam.tail.ts.net");
    let cases: &[&[(&str, &str)]] = &[
        &[
            application,
            client,
            tenant,
            ("AAD_CLIENT_SECRET_FILE", token),
        ],
        &[
            application,
            client,
            tenant,
            ("AAD_CLIENT_CERTIFICATE_PATH", token),
        ],
        &[
            application,
            client,
            tenant,
            ("TOKEN_SIDECAR_SOCKET", "/run/t.sock"),
        ],
        &[
            ("IDENTITY_TYPE", "workloadIdentity"),
            client,
            tenant,
            ("AZURE_FEDERATED_TOKEN_FILE", token),
            ("AZURE_AUTHORITY_HOST", "https://192.0.2.1:8443/"),
        ],
        &[
            ("IDENTITY_TYPE", "serviceAccountToken"),
            client,
            tenant,
            ("AZURE_FEDERATED_TOKEN_FILE", token),
            ("AZURE_AUTHORITY_HOST", "http://127.0.0.1:8080"),
        ],
        &[
            ("IDENTITY_TYPE", "managedIdentityFederated"),
            client,
            tenant,
        ],
        &[("IDENTITY_TYPE", "tsiam"), client, tenant, tsiam],
        &[("IDENTITY_TYPE", "tsiam"), tsiam],
        &[
            ("IDENTITY_ENDPOINT", "http://127.0.0.1:41000/msi/token"),
            ("IDENTITY_HEADER", "key-secret"),
        ],
        &[],
        &[user, ("AAD_CLIENT_ID", ID)],
        &[user, ("AAD_OBJECT_ID", ID)],
        &[user, ("AAD_RESOURCE_ID", &resource)],
        &[audience, ("TARGET_HOST", "192.0.2.1:8443")],
        &[audience, ("TARGET_HOST", "[2001:db8::1]:8443")],
        &[audience, ("TARGET_HOST", "http://localhost:9090/")],
        &[audience, ("TARGET_HOST", "http://[::1]")],
        &[(
            "AZURE_POD_IDENTITY_AUTHORITY_HOST",
            "http://imds.example:4040",
        )],
        &[("MEMORY_LIMIT", "128Mi")],
        &[("MEMORY_LIMIT", "1Ti")],
        &[("ACCESS_LOG", "errors")],
        &[("ACCESS_LOG", "errors"), ("PROXY_HEALTH_PATHS", "off")],
        &[("ACCESS_LOG", "off")],
        &[("OVERRIDE_REQUEST_HEADERS", r#"{"X-A": "%%", "X-B": ""}"#)],
        &[
            ("LISTENING_ADDRESS", "127.0.0.1"),
            ("STATUS_ADDRESS", "::1"),
        ],
        &[("SSL_CERT_FILE", &glued)],
    ];
    for variables in cases {
        let output = place.render(variables);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let file = place.directory.path().join("bootstrap.json");
        // `run` makes the file with the key of App Service.
        let directory = place.directory.path();
        std::fs::write(directory.join("identity-header"), "key").unwrap();
        let bootstrap =
            text(&output.stdout).replace("/run/entra-auth-envoy", directory.to_str().unwrap());
        assert!(!bootstrap.contains("key-secret"));
        std::fs::write(&file, bootstrap).unwrap();
        println!("{variables:?}");
        assert_envoy_accepts(&file);
    }
}
