//! `entra-auth-envoy check`: one token for each identity, what is in it, or why there is none and
//! what to do.

use std::fs;
use std::io::Read;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use azure_sim::{
    AZURE_MONITOR, Application, AzureCloud, ClientSecret, Fault, FaultKind, Identity, Options,
    OtherTenant, RawContent, Service, TSIAM_ISSUER, TSIAM_NODE,
};
use e2e::azure::{Azure, ECHO};
use e2e::credentials::certificate;
use e2e::{ProxyBuilder, eventually, http};
use landlock::{
    ABI, AccessFs, AccessNet, Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr,
    RulesetStatus, path_beneath_rules,
};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::identities::{children, file, kubernetes, trust_in};

const SECRET: &str = "Zx8Q~s3cret-of-the-check_a.b";
const CLUSTER: &str = "https://oidc.check.example/";
const NOBODY: &str = "0f0e0d0c-0000-4000-8000-00000000dead";

const TOKEN: i32 = 0;
const MISCONFIGURED: i32 = 64;
const UNREACHABLE: i32 = 69;
const REFUSED: i32 = 77;

/// What a check has printed.
struct Checked {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Checked {
    /// The value of a row of the table; rows without a name belong to the one above them.
    fn row(&self, name: &str) -> String {
        let mut rows = self.stdout.lines().skip_while(|line| {
            let words = line.strip_prefix("  ").unwrap_or_default();
            words.get(..10).map(str::trim_end) != Some(name)
        });
        let value = |line: &str| line.get(14..).unwrap_or_default().to_owned();
        let first = rows.next().map(value).unwrap_or_default();
        rows.take_while(|line| line.starts_with("            "))
            .fold(first, |all, line| all + "\n" + &value(line))
    }
}

/// Runs it to its end. Nothing that it prints may hold a secret, and nothing may be left behind.
fn check(azure: &Azure, settings: &ProxyBuilder) -> Checked {
    let folder = tempfile::tempdir().expect("a folder");
    let output = settings
        .command("check")
        .env("TMPDIR", folder.path())
        .output()
        .expect("the launcher runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let checked = Checked {
        code: output.status.code().expect("it was not killed"),
        stdout: text(&output.stdout),
        stderr: text(&output.stderr),
    };
    for (name, text) in [("stdout", &checked.stdout), ("stderr", &checked.stderr)] {
        let found = azure.secrets_in(text);
        assert!(found.is_empty(), "{name} shows {found:?}");
    }
    let left = fs::read_dir(folder.path()).expect("a folder").count();
    assert_eq!(left, 0, "something is left behind");
    println!("{}\n{}{}", checked.code, checked.stdout, checked.stderr);
    checked
}

/// A simulated Azure with these applications, and a folder for what they prove themselves with.
fn azure(applications: Vec<Application>) -> (Azure, TempDir) {
    let azure = Azure::start(Options {
        applications,
        ..Options::default()
    });
    (azure, tempfile::tempdir().expect("a folder"))
}

/// An application with a secret, and the settings of a proxy that has the same secret.
fn with_secret(change: impl FnOnce(&mut Application)) -> (Azure, TempDir, ProxyBuilder) {
    let mut application = Application::new("checked").with_secret(SECRET);
    change(&mut application);
    let (azure, folder) = azure(vec![application.clone()]);
    let settings = azure.proxy_as("aadApplication", &application).set(
        "AAD_CLIENT_SECRET_FILE",
        file(folder.path(), "secret", SECRET),
    );
    (azure, folder, settings)
}

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
            azure
                .proxy_as("aadApplication", secret)
                .set("AAD_CLIENT_SECRET_FILE", path("secret", SECRET)),
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
        "another\\u{1b}[2J (another than was asked for: see that the target takes it)"
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
        format!("no JWT, {} bytes", opaque.len())
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
    let says = ["AAD_CLIENT_ID", "AAD_OBJECT_ID", "IDENTITY_TYPE"];
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
            .starts_with("identity `default`: no token: not reached\n")
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
    let checked = check(&azure, &settings.set("SSL_CERT_FILE", store));
    let because = "its certificate is not one that is trusted here for that name (";
    let settings = ["SSL_CERT_FILE", "AZURE_AUTHORITY_HOST", "AZURE_CLOUD"];
    is_not_reached(&checked, "endpoint_unreachable", because, &settings);
}

#[test]
fn a_name_that_dns_does_not_know_is_told() {
    let (azure, _folder, settings) = with_secret(|_| ());
    let checked = check(
        &azure,
        &settings.set("AZURE_AUTHORITY_HOST", "https://login.invalid"),
    );
    let because = "DNS knows no address for its name (";
    is_not_reached(
        &checked,
        "endpoint_unreachable",
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
    let checked = check(&azure, &azure.proxy());
    let because = "there is a connection, and no answer comes on it (";
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

#[test]
fn an_envoy_that_does_not_start_is_told_in_its_own_words_with_its_code() {
    let (azure, folder, settings) = with_secret(|_| ());
    let script = "#!/bin/sh\nwhile [ \"$1\" != --log-path ]; do shift; done\necho because > \"$2\"\nexit 3\n";
    let program = file(folder.path(), "envoy", script);
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("a mode");
    let checked = check(&azure, &settings.set("ENVOY_BINARY", program));
    assert_eq!(checked.code, 3);
    assert!(
        checked
            .stderr
            .contains("Envoy ended with code 3:\nbecause\n"),
        "{}",
        checked.stderr
    );
    assert_eq!(checked.stdout, "");
}

#[test]
fn no_credential_is_shown_at_debug_or_trace_level() {
    let (pem, registered) = certificate("proxy.example");
    let secret = Application::new("secret").with_secret(SECRET);
    let signed = Application::new("certificate").with_certificate(registered);
    let (azure, folder) = azure(vec![secret.clone(), signed.clone()]);
    let endpoint = format!("http://{}/msi/token", azure.addresses().app_service);
    let wrong = file(folder.path(), "wrong", "another~secret_that.is-none");
    let cases = [
        (
            TOKEN,
            azure.proxy_as("aadApplication", &secret).set(
                "AAD_CLIENT_SECRET_FILE",
                file(folder.path(), "secret", SECRET),
            ),
        ),
        (
            REFUSED,
            azure
                .proxy_as("aadApplication", &secret)
                .set("AAD_CLIENT_SECRET_FILE", wrong),
        ),
        (
            TOKEN,
            azure.proxy_as("aadApplication", &signed).set(
                "AAD_CLIENT_CERTIFICATE_PATH",
                file(folder.path(), "pem", &pem),
            ),
        ),
        (
            TOKEN,
            azure
                .proxy()
                .set("IDENTITY_ENDPOINT", endpoint)
                .set("IDENTITY_HEADER", azure.identity_header()),
        ),
    ];
    for level in ["debug", "trace"] {
        for (code, settings) in &cases {
            let checked = check(&azure, &settings.clone().set("LOG_LEVEL", level));
            assert_eq!(checked.code, *code);
            assert!(
                checked.stderr.contains("[debug]"),
                "the level was not in force"
            );
        }
    }
}

/// As `kubectl exec` does it: same variables, same ports, while the proxy serves.
#[test]
fn it_runs_beside_a_proxy_that_serves() {
    let azure = Azure::start(Options::default());
    let settings = azure.proxy();
    let proxy = settings.clone().start();
    proxy.wait_until_ready();
    assert_eq!(check(&azure, &settings).code, TOKEN);
    assert_eq!(http::get(&proxy.url(ECHO)).expect("an answer").status, 200);
}

#[test]
fn it_takes_no_port_and_writes_nowhere_but_to_the_directory_for_temporary_files() {
    let (azure, folder, settings) = with_secret(|_| ());
    let (pem, registered) = certificate("proxy.example");
    let signed = Application::new("certificate").with_certificate(registered);
    azure.register_application(signed.clone());
    let pem = file(folder.path(), "pem", &pem);
    let signed = azure
        .proxy_as("aadApplication", &signed)
        .set("AAD_CLIENT_CERTIFICATE_PATH", pem);
    let temporary = tempfile::tempdir().expect("a folder");
    for settings in [settings, signed] {
        let output = thread::scope(|scope| {
            let confined = scope.spawn(|| {
                confine_this_thread_to(temporary.path());
                let denied = TcpListener::bind("127.0.0.1:0").map(drop);
                assert!(denied.is_err(), "a port can be listened on");
                settings
                    .command("check")
                    .env("TMPDIR", temporary.path())
                    .output()
            });
            confined.join().expect("no panic")
        });
        let output = output.expect("the launcher runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(TOKEN), "{said}");
    }
}

/// Lets this thread and what it starts listen on no TCP port, and write nowhere but to a folder.
fn confine_this_thread_to(folder: &Path) {
    let writing = AccessFs::from_write(ABI::V4);
    let confined = Ruleset::default()
        .handle_access(writing)
        .and_then(|rules| rules.handle_access(AccessNet::BindTcp))
        .and_then(Ruleset::create)
        .and_then(|rules| {
            rules.add_rules(path_beneath_rules(
                [folder, Path::new("/dev/null")],
                writing,
            ))
        })
        .and_then(RulesetCreated::restrict_self)
        .expect("Landlock, of a kernel from 6.7 on");
    assert_eq!(confined.ruleset, RulesetStatus::FullyEnforced);
}

#[test]
fn ctrl_c_ends_it_with_all_that_it_has_started() {
    let (azure, folder) = azure(Vec::new());
    azure
        .inject(Fault::new(Service::Entra, FaultKind::Hang))
        .expect("a fault");
    let (pem, registered) = certificate("proxy.example");
    let application = Application::new("certificate").with_certificate(registered);
    azure.register_application(application.clone());
    let settings = azure.proxy_as("aadApplication", &application).set(
        "AAD_CLIENT_CERTIFICATE_PATH",
        file(folder.path(), "pem", &pem),
    );
    let (mut launcher, folder) = started(&settings);
    eventually(Duration::from_secs(20), "a call that hangs", || match azure
        .requests(Service::Entra, 1)
        .len()
    {
        1 => Ok(()),
        _ => Err("none"),
    });
    let family = family(launcher.id());
    // Itself, Envoy and the token-sidecar.
    assert_eq!(family.len(), 3, "{family:?}");
    kill_process(pid(&launcher), Signal::INT).expect("a process");
    assert_eq!(launcher.wait().expect("an end").code(), Some(128 + 2));
    for pid in family {
        assert!(
            !PathBuf::from(format!("/proc/{pid}")).exists(),
            "{pid} is left"
        );
    }
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0);
    let mut printed = String::new();
    let mut stdout = launcher.stdout.take().expect("its output");
    stdout.read_to_string(&mut printed).expect("text");
    assert_eq!(printed, "");
}

fn started(settings: &ProxyBuilder) -> (Child, TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let launcher = settings
        .command("check")
        .env("TMPDIR", folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the launcher runs");
    (launcher, folder)
}

fn pid(child: &Child) -> Pid {
    Pid::from_child(child)
}

/// A process with all that it has started.
fn family(parent: u32) -> Vec<u32> {
    let grandchildren = children(parent).into_iter().flat_map(family);
    std::iter::once(parent).chain(grandchildren).collect()
}
