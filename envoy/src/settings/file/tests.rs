//! The configuration file: every mistake at once and by its place, what the environment adds, and
//! its JSON Schema.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::addresses::unreachable_ipv6;
use crate::limits::Limits;
use crate::machine::Machine;
use crate::settings::identity::{Application, CredentialFile, Identity, MetadataService};
use crate::settings::trust_store::tests::certificate;
use crate::settings::{self, Reading, Settings, files};

const ID: &str = "abcd1234-1243-abcd-9876-1234abcd5678";
const JWT: &str = "eyJhbGciOiJub25lIn0.e30.";

/// A directory with what files name, as `{dir}`.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, content: &[u8]| fs::write(directory.path().join(name), content);
        write("ca.pem", certificate().as_bytes()).unwrap();
        write(files::MODULE, b"\0asm\x01\0\0\0").unwrap();
        write("secret", b"s3cret").unwrap();
        write("token", JWT.as_bytes()).unwrap();
        Self(directory)
    }

    fn read(&self, text: &str, beside: &[(&str, &str)]) -> Reading<Settings> {
        let path = self.0.path().join("config");
        let text = text.replace("{dir}", self.0.path().to_str().unwrap());
        fs::write(&path, text.replace("{id}", ID)).unwrap();
        let machine = Machine {
            launcher_dir: Some(self.0.path().to_path_buf()),
            trust_stores: vec![self.0.path().join("ca.pem")],
            ipv6: true,
            limits: Limits::default(),
            hostname: None,
        };
        let mut pairs = vec![(super::VARIABLE, path.to_str().unwrap())];
        pairs.extend(beside);
        settings::read(&pairs.into_iter().collect(), &machine)
    }
}

fn read(text: &str, beside: &[(&str, &str)]) -> Settings {
    let reading = Files::new().read(text, beside);
    assert_eq!(reading.warnings, [""; 0]);
    reading.outcome.unwrap_or_else(|wrong| panic!("{wrong:#?}"))
}

fn mistakes(text: &str, beside: &[(&str, &str)]) -> Vec<String> {
    let mistakes = Files::new().read(text, beside).outcome.expect_err(text);
    mistakes.iter().map(ToString::to_string).collect()
}

/// Fails unless exactly these mistakes, by how they begin, are found.
fn are(found: &[String], expected: &[&str]) {
    for start in expected {
        let count = found.iter().filter(|it| it.starts_with(start)).count();
        assert_eq!(count, 1, "{start:?} in {found:#?}");
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
}

const LEAST: &str = "
identities: [{ name: machine, type: systemAssigned }]
targets: [{ name: query, url: x.prometheus.monitor.azure.com, identity: machine }]
listeners: [{ port: 8081, target: query }]
";

/// The least with an identity of these fields in place of the machine's.
fn with_identity(fields: &str) -> String {
    LEAST.replace("type: systemAssigned", fields)
}

fn imds(settings: &Settings) -> String {
    match &settings.identities[0].identity {
        Identity::SystemAssigned {
            service: MetadataService::Imds(imds),
            ..
        } => imds.to_string(),
        other => panic!("no IMDS: {other:?}"),
    }
}

fn application(settings: &Settings) -> &Application {
    match &settings.identities[0].identity {
        Identity::ClientSecret { application, .. }
        | Identity::WorkloadIdentity { application, .. } => application,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_identity_a_target_and_a_listener_are_enough_in_yaml_and_in_json() {
    let json = r#"{
        "identities": [{"name": "machine", "type": "systemAssigned"}],
        "targets": [{"name": "query", "url": "x.prometheus.monitor.azure.com", "identity": "machine"}],
        "listeners": [{"port": 8081, "target": "query"}]
    }"#;
    for text in [LEAST, json] {
        let settings = read(text, &[]);
        let target = &settings.targets[0];
        assert_eq!(
            target.endpoint.url(),
            "https://x.prometheus.monitor.azure.com"
        );
        assert_eq!(
            target.audience.resource(),
            "https://prometheus.monitor.azure.com"
        );
        assert_eq!(
            (target.required, settings.refresh_before_expiry.get()),
            (None, 10)
        );
        assert_eq!(
            (settings.listeners[0].port, settings.status_port),
            (8081, 9464)
        );
        assert_eq!(imds(&settings), "http://169.254.169.254");
    }
}

#[test]
fn every_mistake_is_told_at_once_with_its_place() {
    let text = "
identities:
- { name: a, type: userAssigned, clientId: not-a-uuid, imds: 'https://x' }
- { name: a, type: clientSecret, clientId: '{id}', secretFile: /nowhere, tsiam: 'https://x' }
- { name: b c, type: magic }
- { name: c, type: clientCertificate, tenantId: common, clientId: '{id}', tokenSidecarSocket: /run/s, certificate: { path: /nowhere, sendChain: maybe, algorithm: HS256 } }
- { name: d, type: clientSecret, tenantId: a.com, clientId: '{id}', secretFile: '{dir}/secret', cloud: mars, authority: 'http://login.example' }
- { name: e, type: managedIdentityFederated, tenantId: a.com, clientId: '{id}', managedIdentity: { clientId: '{id}', objectId: '{id}' } }
- { name: f, type: clientSecret, tenantId: a.com, clientId: '{id}', secretFile: '{dir}/secret', cloud: public, tpye: x }
targets:
- { name: one, url: 'https://x y', identity: nobody, audience: 'a b', hold: { timeout: soon } }
- { name: one, url: 'http://abc.example', identity: d, required: 'yes' }
- { name: two, url: unknown.example, identity: e, authErrorsRetryable: sometimes }
- { name: gov, url: x.prometheus.monitor.azure.us, identity: f, requestHeaders: { Authorization: x, X-A: 7, x-b: b, X-B: c, X-C: { fromEnvironment: NOT_SET } } }
listeners:
- { port: 0, target: one }
- { port: 8081, target: two, targets: [two] }
- { port: 8081, target: three }
- { port: 8082 }
- { port: 9464, targets: [gov, gov] }
refreshBeforeExpiryPercent: 100
extra: 1
";
    let found = mistakes(text, &[("ENVOY_CONCURRENCY", "0"), ("AUDIENCE", "api://x")]);
    are(
        &found,
        &[
            "AUDIENCE is set beside ENTRA_AUTH_CONFIG, which says it in `targets[].audience`. Unset it.",
            "ENVOY_CONCURRENCY is \"0\"",
            "STATUS_PORT is 9464, as listeners[4].port is",
            "the whole file: `extra` is no field here",
            "identities[0].clientId: \"not-a-uuid\" is no UUID",
            "identities[0].imds: is \"https://x\", but metadata services speak http",
            "identities[1].name: another identity has this name",
            "identities[1]: a clientSecret identity needs `tenantId`",
            "identities[1].secretFile: is \"/nowhere\", which cannot be read",
            "identities[1].tsiam: does not go with the type `clientSecret`",
            "identities[2].name: \"b c\" is no identity name",
            "identities[2].type: `magic` is unknown; there are `systemAssigned`",
            "identities[3].tenantId: \"common\" is no tenant",
            "identities[3].tokenSidecarSocket: a clientCertificate identity takes one of",
            "identities[3].certificate.path: is \"/nowhere\", which cannot be read",
            "identities[3].certificate.sendChain: is a string",
            "identities[3].certificate.algorithm: is \"HS256\", which is unknown",
            "identities[4].cloud: \"mars\" is no cloud",
            "identities[4].authority: is \"http://login.example\", which is not encrypted",
            "identities[5].managedIdentity.objectId: it takes one of",
            "identities[6].cloud: means public, but targets[3].url means usgovernment",
            "identities[6]: `tpye` is no field here",
            "targets[0].identity: there is no identity `nobody`",
            "targets[0].url: is \"https://x y\", which holds white space",
            "targets[0].audience: \"a b\" holds the character",
            "targets[0].hold.timeout: \"soon\" is no duration",
            "targets[1].name: another target has this name",
            "targets[1].url: says http://, but a token is sent in clear to loopback hosts only",
            "targets[1].required: is a string",
            "targets[1]: abc.example is no host whose audience is known; give its `audience`",
            "targets[2]: unknown.example is no host whose audience is known",
            "targets[2].authErrorsRetryable: `sometimes` is unknown",
            "targets[3].requestHeaders.Authorization: may not set authorization",
            "targets[3].requestHeaders.X-A: is neither text nor",
            "targets[3].requestHeaders.x-b: names \"x-b\" twice",
            "targets[3].requestHeaders.X-C: is to come from NOT_SET, which is not set",
            "listeners[0].port: is \"0\", which is no whole number from 1 to 65535",
            "listeners[1].targets: a listener takes one of `target`, `targets`",
            "listeners[2].port: another listener has this port",
            "listeners[2].target: there is no target `three`",
            "listeners[3]: a listener needs one of `target`, `targets`",
            "listeners[4].targets[1]: `gov` is named twice; remove one",
            "refreshBeforeExpiryPercent: 100 is out of range",
        ],
    );
}

#[test]
fn what_is_no_file_no_yaml_or_not_clear_is_refused_without_its_lines() {
    let at = "ENTRA_AUTH_CONFIG is ";
    let secret = LEAST.replace(
        "identity: machine }",
        "identity: machine, requestHeaders: { X-Key: the-key, X-Key: the-key } }",
    );
    for (text, reason) in [
        ("{", "which is no YAML or JSON"),
        ("", "which is empty"),
        ("a: {b: ]", "which is no YAML or JSON"),
        (
            &format!("{LEAST}\nlisteners: []"),
            "which is no YAML or JSON",
        ),
        (&secret, "which is no YAML or JSON"),
        (
            &format!("{LEAST}\n---\n{LEAST}"),
            "which is no YAML or JSON",
        ),
    ] {
        let found = mistakes(text, &[]);
        assert!(found.len() == 1 && found[0].starts_with(at), "{found:?}");
        assert!(
            found[0].contains(reason) && !found[0].contains("the-key"),
            "{found:?}"
        );
    }
    are(
        &mistakes("[the-key]", &[]),
        &["the whole file: is an array, but must be an object."],
    );
    let number = LEAST.replace(
        "identity: machine }",
        "identity: machine, requestHeaders: { X-Key: 4711 } }",
    );
    let found = mistakes(&number, &[]);
    assert!(found.len() == 1 && !found[0].contains("4711"), "{found:?}");
    are(
        &mistakes("{}", &[]),
        &[
            "the whole file: `identities` is missing",
            "the whole file: `targets` is missing",
            "the whole file: `listeners` is missing",
        ],
    );
    are(
        &mistakes("{ identities: [], targets: [], listeners: [] }", &[]),
        &[
            "identities: is empty",
            "targets: is empty",
            "listeners: is empty",
        ],
    );
    let machine = Machine::default();
    let missing = [(super::VARIABLE, "/nowhere")].into_iter().collect();
    let found = settings::read(&missing, &machine).outcome.unwrap_err();
    assert!(
        found[0]
            .to_string()
            .contains("\"/nowhere\", which cannot be read"),
        "{found:?}"
    );
}

#[test]
fn every_variable_that_the_file_replaces_is_known_and_refused_beside_it() {
    for (variable, field) in super::REPLACED {
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

#[test]
fn a_header_may_come_from_the_environment() {
    let text = LEAST.replace(
        "identity: machine }",
        "identity: machine, requestHeaders: { X-Key: { fromEnvironment: KEY }, X-Org: a } }",
    );
    let settings = read(&text, &[("KEY", "the-key")]);
    let headers = &settings.targets[0].override_headers;
    let values: Vec<_> = headers
        .iter()
        .map(|it| (it.name.as_str(), it.value.as_str()))
        .collect();
    assert_eq!(values, [("x-key", "the-key"), ("x-org", "a")]);
    assert!(!format!("{settings:?}").contains("the-key"));
}

#[test]
fn what_the_file_says_for_all_targets_holds_where_a_target_says_nothing() {
    let text = "
identities: [{ name: machine, type: systemAssigned }]
targets:
- { name: one, url: x.prometheus.monitor.azure.com, identity: machine }
- { name: two, url: y.prometheus.monitor.azure.com, identity: machine, hold: { maxRequests: 3 }, authErrorsRetryable: never }
listeners: [{ port: 8081, targets: [one, two] }]
hold: { timeout: 2s }
authErrorsRetryable: always
";
    let settings = read(text, &[]);
    let said: Vec<String> = settings
        .targets
        .iter()
        .map(|it| {
            format!(
                "{} {} {:?}",
                it.hold.timeout, it.hold.max_requests, it.auth_errors_retryable
            )
        })
        .collect();
    assert_eq!(said, ["2s 1024 Always", "10s 3 Never"]);
}

#[test]
fn a_listener_may_be_on_one_address_and_a_port_on_several() {
    let with = |listeners: &str| LEAST.replace("{ port: 8081, target: query }", listeners);
    let both = "{ port: 8081, address: 127.0.0.1, target: query }, \
                { port: 8081, address: '::1', target: query }, { port: 8082, target: query }";
    let settings = read(&with(both), &[]);
    let at: Vec<String> = settings
        .listeners
        .iter()
        .map(|it| settings.bound_to(it.address, it.port).to_string())
        .collect();
    assert_eq!(at, ["127.0.0.1:8081", "[::1]:8081", "[::]:8082"]);
    let written = super::yaml(&settings);
    assert_eq!(written.matches("address:").count(), 2, "{written}");
    assert_eq!(read(&written, &[]).listeners, settings.listeners);

    are(
        &mistakes(
            &with("{ port: 8081, address: localhost, target: query }"),
            &[],
        ),
        &["listeners[0].address: is \"localhost\", which is no IP address. Give an IPv4"],
    );
    for second in ["", "address: 127.0.0.1, ", "address: 0.0.0.0, "] {
        let first = "{ port: 8081, address: 127.0.0.1, target: query }";
        let text = with(&format!("{first}, {{ port: 8081, {second}target: query }}"));
        are(
            &mistakes(&text, &[]),
            &["listeners[1].port: another listener has this port"],
        );
    }
}

#[test]
fn what_needs_ipv6_is_named_by_its_place_on_a_machine_without() {
    let text = "
identities:
- { name: a, type: systemAssigned, imds: 'http://[fd00::1]' }
- { name: b, type: tsiamFederated, tenantId: a.com, clientId: '{id}', tsiam: 'https://[fd00::2]', authority: 'https://[fd00::3]' }
targets:
- { name: one, url: x.prometheus.monitor.azure.com, identity: a }
- { name: two, url: 'https://[fd00::4]', audience: 'api://x', identity: b }
listeners: [{ port: 8081, targets: [one, two] }]
";
    let settings = Settings {
        ipv6: false,
        ..read(text, &[])
    };
    let named: Vec<_> = unreachable_ipv6(&settings)
        .iter()
        .map(|mistake| mistake.place.to_string())
        .collect();
    let places = [
        "targets[1].url",
        "identities[0].imds",
        "identities[1].authority",
        "identities[1].tsiam",
    ];
    assert_eq!(named, places);
}

#[test]
fn a_port_that_is_a_schemes_own_may_lead_by_host() {
    for port in ["80", "443", "8081"] {
        let text = LEAST.replace("8081, target: query", &format!("{port}, targets: [query]"));
        assert!(text.contains("targets: [query]"), "{text}");
        read(&text, &[]);
    }
}

#[test]
fn a_value_in_the_place_of_a_name_is_not_shown() {
    for headers in [
        "'X-Api-Key: hunter2'",
        "{ X-Api-Key: { fromEnvironment: hunter2-secret } }",
        "{ X-Api-Key: { fromEnvironment: 12345 } }",
        "{ 'X-Api-Key: hunter2': x }",
    ] {
        let text = LEAST.replace(
            "identity: machine }",
            &format!("identity: machine, requestHeaders: {headers} }}"),
        );
        let found = mistakes(&text, &[]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].starts_with("targets[0].requestHeaders"),
            "{found:?}"
        );
        assert!(
            !found[0].contains("hunter2") && !found[0].contains("12345"),
            "{found:?}"
        );
    }
}

#[test]
fn what_nobody_uses_is_warned_about() {
    let text = "
identities: [{ name: machine, type: systemAssigned }, { name: spare, type: tsiam, tsiam: tsiam }]
targets:
- { name: one, url: x.prometheus.monitor.azure.com, identity: machine }
- { name: two, url: y.prometheus.monitor.azure.com, identity: machine }
listeners: [{ port: 8081, target: one }]
";
    let reading = Files::new().read(text, &[]);
    assert!(reading.outcome.is_ok());
    assert_eq!(
        reading.warnings,
        [
            "the identity `spare` is not used: no target gets its token",
            "the target `two` is not used: no listener leads to it",
        ]
    );
}

fn schema() -> String {
    let schema = schemars::schema_for!(super::model::File);
    serde_json::to_string_pretty(&schema).unwrap() + "\n"
}

/// Run with `UPDATE_SCHEMA=1` after a change of the types.
#[test]
fn the_committed_json_schema_is_that_of_the_types() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/config.schema.json");
    let current = schema();
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        fs::write(&path, &current).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == current,
        "{} is out of date: run with UPDATE_SCHEMA=1",
        path.display()
    );
}
