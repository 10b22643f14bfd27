//! Starts of the launcher as each identity whose calls begin inside Envoy: by a file that an internal
//! listener serves, a token-sidecar, or the tunnel to a forward proxy. A healthy start is silent: no
//! warning, no counted failure, one call for the token.

use std::fs;
use std::thread;
use std::time::Duration;

use azure_sim::{Application, FederatedClaims, FederatedCredential, Options};
use tempfile::TempDir;

use crate::azure::{Azure, ECHO};
use crate::credentials::certificate;
use crate::{ForwardProxy, Proxy, ProxyBuilder, eventually_ok, http};

const SECRET: &str = "Zx8Q~s3cret-of-the-starts_a.b";
const CLUSTER: &str = "https://oidc.cluster.example/";
/// A name that the forward proxy alone knows.
const ENTRA: &str = "login.corp.example";

/// How the identity of a start gets its token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A projected token in a file.
    WorkloadIdentity,
    /// A secret in a file.
    SecretFile,
    /// The key of App Service, in a file that the launcher makes.
    AppService,
    /// A certificate, by a token-sidecar of the launcher's.
    Certificate,
    /// A secret in a file, and Entra behind a forward proxy.
    ForwardProxy,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::WorkloadIdentity,
        Self::SecretFile,
        Self::AppService,
        Self::Certificate,
        Self::ForwardProxy,
    ];
}

/// Starts the launcher so often as each identity, those of one kind in turn, with so many workers.
///
/// # Errors
/// What was told, counted or asked too often, by kind.
pub fn all_are_silent(starts: usize, workers: usize) -> Result<(), String> {
    thread::scope(|scope| {
        let kinds = Kind::ALL.map(|kind| {
            scope.spawn(move || {
                let setup = Setup::set(kind);
                (1..=starts)
                    .try_for_each(|start| setup.is_silent(workers).map_err(|why| (start, why)))
                    .map_err(|(start, why)| format!("{kind:?}, start {start}: {why}"))
            })
        });
        kinds
            .into_iter()
            .try_for_each(|kind| kind.join().unwrap_or_else(|_| Err("a panic".into())))
    })
}

/// A simulated Azure and the settings of a proxy that starts as one kind of identity.
struct Setup {
    kind: Kind,
    azure: Azure,
    settings: ProxyBuilder,
    _folder: TempDir,
    _forward_proxy: Option<ForwardProxy>,
}

impl Setup {
    fn set(kind: Kind) -> Self {
        let (pem, registered) = certificate("proxy.example");
        let application = Application::new("starts")
            .with_secret(SECRET)
            .with_certificate(registered);
        let azure = Azure::start(Options {
            applications: vec![application.clone()],
            certificate_names: vec![ENTRA.to_owned()],
            ..Options::default()
        });
        let folder = tempfile::tempdir().expect("a folder");
        let file = |content: &str| {
            let path = folder.path().join("credential");
            fs::write(&path, content).expect("a file");
            path
        };
        let with_secret = || azure.proxy_with_secret(&application, SECRET);
        let mut forward_proxy = None;
        let settings = match kind {
            Kind::WorkloadIdentity => azure.proxy_as("workloadIdentity", &application).set(
                "AZURE_FEDERATED_TOKEN_FILE",
                file(&trusted(&azure, &application)),
            ),
            Kind::SecretFile => with_secret(),
            Kind::AppService => azure
                .proxy()
                .set(
                    "IDENTITY_ENDPOINT",
                    format!("http://{}/msi/token", azure.addresses().app_service),
                )
                .set("IDENTITY_HEADER", azure.identity_header()),
            Kind::Certificate => azure
                .proxy_as("aadApplication", &application)
                .set("AAD_CLIENT_CERTIFICATE_PATH", file(&pem)),
            Kind::ForwardProxy => {
                let squid = forward_proxy.insert(ForwardProxy::knowing(&[ENTRA]).start());
                let port = azure.addresses().entra_tls.port();
                with_secret()
                    .set("HTTPS_PROXY", squid.url())
                    .set("AZURE_AUTHORITY_HOST", format!("https://{ENTRA}:{port}"))
            }
        };
        Self {
            kind,
            azure,
            settings,
            _folder: folder,
            _forward_proxy: forward_proxy,
        }
    }

    fn calls(&self) -> u64 {
        let state = self.azure.state();
        match self.kind {
            Kind::AppService => state.app_service.calls,
            _ => state.entra.token_endpoint.calls,
        }
    }

    /// One start until a request is served.
    fn is_silent(&self, workers: usize) -> Result<(), String> {
        let before = self.calls();
        let settings = self.settings.clone();
        let proxy = settings
            .set("ENVOY_CONCURRENCY", workers.to_string())
            .try_start()?;
        let within = Duration::from_secs(60);
        eventually_ok(within, "a request is served", || {
            match http::get(&proxy.url(ECHO))? {
                answer if answer.status == 200 => Ok(()),
                answer => Err(format!("{}: {}", answer.status, answer.text())),
            }
        })?;
        said_nothing(&proxy)?;
        match self.calls() - before {
            1 => Ok(()),
            calls => Err(format!("{calls} calls for a token")),
        }
    }
}

/// No warning of the module's, no failure in the metrics.
fn said_nothing(proxy: &Proxy) -> Result<(), String> {
    let logs = proxy.process().logs();
    let warned = |line: &&str| line.contains("[wasm]") && !line.contains("[info]");
    if let Some(line) = logs.lines().find(warned) {
        return Err(format!("it warns: {line}"));
    }
    let failed = [("result", "failure")];
    let metrics = proxy.metrics()?;
    let count = |labels| metrics.sum_with("entra_auth_token_requests_total", labels);
    match (count(&[("result", "success")]), count(&failed)) {
        (Some(1.0), None | Some(0.0)) => Ok(()),
        other => Err(format!("it counts successes and failures: {other:?}")),
    }
}

/// A token as Kubernetes projects it into a pod, which the application trusts from now on.
fn trusted(azure: &Azure, application: &Application) -> String {
    azure.add_issuer(CLUSTER).expect("an issuer");
    let claims = FederatedClaims::kubernetes(CLUSTER, "monitoring", "prometheus");
    let trust = FederatedCredential {
        issuer: claims.issuer.clone(),
        subject: claims.subject.clone(),
        audience: claims.audience.clone(),
    };
    azure.change_application(&application.client_id, |it| {
        it.federated_credentials.push(trust);
    });
    azure.federated_token(&claims).expect("a token")
}
