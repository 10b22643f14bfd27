//! `docs/guides/identities.md`: the blocks of each identity, as they stand there, bring a token that
//! the target verifies: the variables by the static configuration that `render` makes of them, and the
//! plugin's configuration as Istio places it. (`identities::kinds` runs the launcher as each identity.)

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use azure_sim::{
    Application, EchoReport, FederatedCredential, Identity, Options, TSIAM_ISSUER, TSIAM_NODE,
};
use e2e::azure::{Azure, ECHO};
use e2e::credentials::certificate;
use e2e::{Envoy, Process, Proxy, ProxyBuilder, eventually, free_port, http, token_sidecar, tools};
use serde_json::{Value, json};

use crate::downstream;
use crate::identities::kubernetes;

/// Ids in the guide.
const CLIENT_ID: &str = "11111111-1111-1111-1111-111111111111";
const TENANT_ID: &str = "22222222-2222-2222-2222-222222222222";
const TARGET: &str = "my-workspace-a1b2.eastus-1.metrics.ingest.monitor.azure.com";
/// Where `render` says that the launcher's private directory is.
const RUN_DIR: &str = "/run/entra-auth-envoy";

const SECRET: &str = "guide~secret_of.the-tests";
const CLUSTER: &str = "https://oidc.guide.example/";
const EXCHANGE: &str = "api://AzureADTokenExchange";

/// The identities of the guide, by their headings.
const IDENTITIES: [&str; 9] = [
    SYSTEM,
    USER,
    APP_SERVICE,
    "Workload identity",
    "Service-account token",
    "Managed identity as a federated credential",
    "tsiam",
    CERTIFICATE,
    "Client secret",
];
const SYSTEM: &str = "System-assigned managed identity";
const USER: &str = "User-assigned managed identity";
const APP_SERVICE: &str = "App Service, Functions, Container Apps";
const CERTIFICATE: &str = "Certificate";

/// A part of the guide under a heading.
struct Section {
    heading: String,
    text: String,
}

impl Section {
    fn all() -> Vec<Self> {
        let path = tools::repository().join("docs/guides/identities.md");
        let guide = fs::read_to_string(path).expect("the guide");
        let sections = guide.split("\n## ").skip(1);
        sections
            .map(|section| {
                let (heading, text) = section.split_once('\n').expect("a heading");
                Self {
                    heading: heading.to_owned(),
                    text: text.to_owned(),
                }
            })
            .collect()
    }

    fn called(heading: &str) -> Self {
        let mut all = Self::all().into_iter();
        all.find(|section| section.heading == heading)
            .unwrap_or_else(|| panic!("the guide has no {heading}"))
    }

    fn block(&self, language: &str) -> Option<&str> {
        let (_, from) = self.text.split_once(&format!("\n```{language}\n"))?;
        from.split("```").next()
    }

    /// The variables of the block in `sh`.
    fn variables(&self) -> Vec<(&str, &str)> {
        let block = self.block("sh").expect("variables");
        let variable = |line| str::split_once(line, '=').expect("NAME=value");
        block.lines().map(variable).collect()
    }
}

/// An Azure that knows the guide's identities, and a machine with the guide's files.
struct World {
    azure: Azure,
    user: Identity,
    application: Application,
    folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let (pem, registered) = certificate("guide.example");
        let user = Identity {
            client_id: CLIENT_ID.to_owned(),
            ..Identity::user_assigned("guide")
        };
        let mut application = Application::new("guide")
            .with_secret(SECRET)
            .with_certificate(registered);
        application.client_id = CLIENT_ID.to_owned();
        let azure = Azure::start(Options {
            applications: vec![application.clone()],
            user_assigned: vec![user.clone()],
            ..Options::default()
        });
        let (federated, trust_in_kubernetes) = kubernetes(&azure, CLUSTER);
        let trust_in = |issuer: &str, subject: &str| FederatedCredential {
            issuer: issuer.to_owned(),
            subject: subject.to_owned(),
            audience: EXCHANGE.to_owned(),
        };
        let machine = Identity::system_assigned().object_id;
        let trusts = vec![
            trust_in_kubernetes,
            trust_in(azure.managed_identity_issuer(), &machine),
            trust_in(TSIAM_ISSUER, TSIAM_NODE),
        ];
        azure.change_application(CLIENT_ID, |it| it.federated_credentials = trusts);

        let folder = tempfile::tempdir().expect("a folder");
        for (variable, content) in [
            ("AAD_CLIENT_CERTIFICATE_PATH", pem.as_str()),
            ("AAD_CLIENT_SECRET_FILE", SECRET),
            ("AZURE_FEDERATED_TOKEN_FILE", &federated),
        ] {
            fs::write(folder.path().join(variable), content).expect("a file");
        }
        Self {
            azure,
            user,
            application,
            folder,
        }
    }

    /// A variable's value where the guide's folders are ours, and its tenant is that of azure-sim.
    fn value(&self, name: &str, value: &str) -> String {
        if value.starts_with('/') {
            self.file(name).display().to_string()
        } else {
            value.replace(TENANT_ID, &self.azure.state().tenant_id)
        }
    }

    fn file(&self, variable: &str) -> PathBuf {
        self.folder.path().join(variable)
    }

    /// The launcher with a section's variables, led to azure-sim.
    fn launcher(&self, section: &Section) -> ProxyBuilder {
        let addresses = self.azure.addresses();
        let mut settings = self.azure.proxy().set(
            "AZURE_AUTHORITY_HOST",
            format!("https://localhost:{}", addresses.entra_tls.port()),
        );
        for (name, value) in section.variables() {
            settings = settings.set(name, self.value(name, value));
        }
        match section.heading.as_str() {
            "tsiam" => settings.set(
                "TSIAM_ENDPOINT",
                format!("https://localhost:{}", addresses.tsiam_tls.port()),
            ),
            APP_SERVICE => settings
                .set(
                    "IDENTITY_ENDPOINT",
                    format!("http://{}/msi/token", addresses.app_service),
                )
                .set("IDENTITY_HEADER", self.azure.identity_header()),
            _ => settings,
        }
    }

    /// A token-sidecar with a section's variables.
    fn token_sidecar(&self, section: &Section, socket: &Path, authority: Option<&str>) -> Process {
        let variables = section.variables().into_iter();
        let variables =
            variables.map(|(name, value)| (name.to_owned(), self.value(name, value).into()));
        let authority = authority.map(|host| ("AZURE_AUTHORITY_HOST".to_owned(), host.into()));
        token_sidecar(socket, variables.chain(authority))
    }

    /// Checks whose token a request arrived with.
    fn verify(&self, section: &Section, answer: &http::Response) {
        let heading = &section.heading;
        assert_eq!(answer.status, 200, "{heading}: {}", answer.text());
        let echo = answer.json::<EchoReport>().expect("an echo");
        let machine = Identity::system_assigned().object_id;
        let expected = match heading.as_str() {
            SYSTEM | APP_SERVICE => &machine,
            USER => &self.user.object_id,
            _ => &self.application.object_id,
        };
        assert_eq!(&echo.token.oid, expected, "{heading}");
    }
}

fn identities() -> impl Iterator<Item = Section> {
    IDENTITIES.into_iter().map(Section::called)
}

#[test]
fn no_block_of_settings_is_without_a_test() {
    let with_settings = Section::all()
        .into_iter()
        .filter(|section| section.block("sh").is_some())
        .map(|section| section.heading)
        .filter(|heading| heading != "The target" && heading != "The token-sidecar");
    let mut with_settings: Vec<_> = with_settings.collect();
    let mut tested = IDENTITIES.to_vec();
    with_settings.sort();
    tested.sort_unstable();
    assert_eq!(with_settings, tested);
}

/// The target, and the ids of the guide: nothing is put in but where files are.
#[test]
fn the_launcher_accepts_the_settings_of_each_identity_without_a_warning() {
    let world = World::new();
    let target = Section::called("The target");
    for section in identities().filter(|section| section.heading != APP_SERVICE) {
        let mut settings = Proxy::to("").set("SSL_CERT_FILE", world.azure.authority());
        for (name, value) in target.variables().into_iter().chain(section.variables()) {
            let file = value.starts_with('/').then(|| world.file(name));
            settings = settings.set(name, file.unwrap_or_else(|| value.into()));
        }
        let output = settings.command("render").output().expect("a launcher");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {stderr}", section.heading);
        assert!(!stderr.contains("warning"), "{}: {stderr}", section.heading);
        let rendered = String::from_utf8_lossy(&output.stdout);
        assert!(rendered.contains(TARGET));
        assert!(rendered.contains(r#"\"audience\":\"https://monitor.azure.com\""#));
    }
}

#[test]
fn the_static_configuration_of_each_identity_brings_its_token() {
    let world = World::new();
    for section in identities() {
        let (port, status_port) = (free_port(), free_port());
        let settings = world
            .launcher(&section)
            .set("LISTENING_PORT", port.to_string())
            .set("STATUS_PORT", status_port.to_string());
        let output = settings.command("render").output().expect("a launcher");
        assert!(output.status.success(), "{}", section.heading);
        let run_dir = tempfile::tempdir().expect("a folder");
        let bootstrap = String::from_utf8(output.stdout)
            .expect("JSON")
            .replace(RUN_DIR, run_dir.path().to_str().expect("UTF-8"));
        let key = run_dir.path().join("identity-header");
        fs::write(key, world.azure.identity_header()).expect("a file");
        let entra = format!(
            "https://localhost:{}",
            world.azure.addresses().entra_tls.port()
        );
        let _sidecar = (section.heading == CERTIFICATE).then(|| {
            let socket = run_dir.path().join("sidecar.sock");
            world.token_sidecar(&section, &socket, Some(&entra))
        });

        let _envoy = Envoy::start(&bootstrap, status_port);
        eventually(Duration::from_secs(60), &section.heading, || {
            let ready = http::get(&format!("http://127.0.0.1:{status_port}/ready"))?;
            if ready.status == 200 {
                Ok(())
            } else {
                Err(ready.text())
            }
        });
        let answer = http::get(&format!("http://127.0.0.1:{port}{ECHO}"));
        world.verify(&section, &answer.expect("an answer"));
    }
}

#[test]
fn the_plugin_configuration_of_each_identity_brings_its_token() {
    let world = World::new();
    let yaml = |section: &Section| -> Value {
        let block = section.block("yaml").expect("a plugin configuration");
        let block = block
            .replace(TENANT_ID, &world.azure.state().tenant_id)
            .replace(TARGET, downstream::TARGET);
        serde_saphyr::from_str(&block).expect("valid YAML")
    };
    let around = yaml(&Section::called("The target"));
    for section in identities().filter(|section| section.heading != APP_SERVICE) {
        let mut plugin = around.clone();
        plugin["identities"] = yaml(&section);
        let port = free_port();
        let socket = world.folder.path().join("sidecar.sock");
        let mut bootstrap: Value =
            serde_json::from_str(&downstream::bootstrap(&world.azure, port, &plugin))
                .expect("a bootstrap");
        let clusters = &mut bootstrap["static_resources"]["clusters"];
        clusters
            .as_array_mut()
            .expect("clusters")
            .extend(clusters_of_the_guide(&world.azure, &socket));
        let needs_sidecar = plugin["identities"][0].get("credential").is_some();
        let _sidecar = needs_sidecar.then(|| world.token_sidecar(&section, &socket, None));

        let _envoy = Envoy::start(&bootstrap.to_string(), port);
        let mut answer = downstream::send(port, downstream::TARGET, ECHO);
        // The first may come before the token, and be told to come back.
        if answer.status == 503 {
            answer = downstream::send(port, downstream::TARGET, ECHO);
        }
        world.verify(&section, &answer);
    }
}

/// The clusters that the guide's plugin configurations name.
fn clusters_of_the_guide(azure: &Azure, socket: &Path) -> [Value; 4] {
    let addresses = azure.addresses();
    let cluster = |name: &str, address: Value| {
        json!({
            "name": name,
            "connect_timeout": "5s",
            "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [
                {"endpoint": {"address": address}},
            ]}]},
        })
    };
    let tcp = |address: std::net::SocketAddr| {
        json!({"socket_address": {
            "address": address.ip().to_string(),
            "port_value": address.port(),
        }})
    };
    let by_tls = |name: &str, address| {
        let mut cluster = cluster(name, tcp(address));
        cluster["transport_socket"] = json!({
            "name": "envoy.transport_sockets.tls",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
                "common_tls_context": {"validation_context": {
                    "trusted_ca": {"filename": azure.authority()},
                }},
            },
        });
        cluster
    };
    [
        cluster("outbound|80||imds.internal", tcp(addresses.imds)),
        by_tls(
            "outbound|80||login.microsoftonline.com",
            addresses.entra_tls,
        ),
        by_tls("outbound|443||tsiam.my-tailnet.ts.net", addresses.tsiam_tls),
        cluster(
            "outbound|80||token-sidecar.internal",
            json!({"pipe": {"path": socket}}),
        ),
    ]
}
