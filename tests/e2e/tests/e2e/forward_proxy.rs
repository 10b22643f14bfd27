//! Through a corporate proxy, a real squid: the hosts of these tests are known to it alone.

use std::fs;
use std::time::Duration;

use azure_sim::{Application, FederatedCredential, Identity, Options, Service};
use e2e::azure::{Azure, ECHO, WRITE};
use e2e::credentials::certificate;
use e2e::{ForwardProxy, Prometheus, Proxy, ProxyBuilder, eventually, free_port, http};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::identities::{shows_no_secret, token};

/// Names that no DNS knows (RFC 6761 §6.5 has `example` for documentation).
const TARGET: &str = "ingest.corp.example";
const ENTRA: &str = "login.corp.example";

const SECRET: &str = "Zx8Q~s3cret-of-the-tests_a.b";
const PASSWORD: &str = "pr0xy-Passw0rd_of.the.tests";
const SOON: Duration = Duration::from_secs(60);

/// An Azure that is reached by names, and an application with a secret in it.
struct Setup {
    azure: Azure,
    application: Application,
    machine: Identity,
    folder: TempDir,
}

impl Setup {
    fn start() -> Self {
        let application = Application::new("proxied").with_secret(SECRET);
        let machine = Identity::system_assigned();
        let azure = Azure::start(Options {
            system_assigned: Some(machine.clone()),
            applications: vec![application.clone()],
            certificate_names: vec![TARGET.to_owned(), ENTRA.to_owned()],
            ..Options::default()
        });
        let folder = tempfile::tempdir().expect("a folder");
        Self {
            azure,
            application,
            machine,
            folder,
        }
    }

    fn target(&self) -> String {
        let port = self.azure.addresses().target_tls.port();
        format!("{TARGET}:{port}")
    }

    fn entra(&self) -> String {
        format!("{ENTRA}:{}", self.azure.addresses().entra_tls.port())
    }

    /// A proxy to the target by its name, as an application that asks Entra by its name.
    fn settings(&self, forward_proxy: &str) -> ProxyBuilder {
        self.azure
            .proxy_with_secret(&self.application, SECRET)
            .set("TARGET_HOST", self.target())
            .set("AZURE_AUTHORITY_HOST", format!("https://{}", self.entra()))
            .set("HTTPS_PROXY", forward_proxy)
    }

    /// The same, with the target reached directly.
    fn settings_to_a_near_target(&self, forward_proxy: &str) -> ProxyBuilder {
        let target = format!("localhost:{}", self.azure.addresses().target_tls.port());
        self.settings(forward_proxy).set("TARGET_HOST", target)
    }
}

fn squid() -> ForwardProxy {
    ForwardProxy::knowing(&[TARGET, ENTRA]).start()
}

/// What `/ready` says, once it names this.
fn ready_says(proxy: &Proxy, what: &str) -> String {
    eventually(SOON, "/ready tells the reason", || {
        let ready = proxy.ready()?;
        let text = ready.text();
        if ready.status == 503 && text.contains(what) {
            Ok(text)
        } else {
            Err(format!("{} {text}", ready.status))
        }
    })
}

/// The failed tunnels in the log.
fn failures(proxy: &Proxy) -> Vec<serde_json::Value> {
    proxy
        .process()
        .stderr()
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|line| !line["connect"].is_null())
        .collect()
}

/// The first of them; the log may come later than what it tells of.
fn first_failure(proxy: &Proxy) -> serde_json::Value {
    eventually(SOON, "the log tells of a tunnel", || {
        failures(proxy).into_iter().next().ok_or("not yet")
    })
}

/// An answer that makes a client come back, with this code.
fn comes_back(answer: &http::Response, code: &str) -> String {
    let text = answer.text();
    assert_eq!(answer.status, 503, "{text}");
    assert!(answer.header("retry-after").is_some());
    let body: serde_json::Value = answer.json().expect("JSON");
    assert_eq!(body["error"]["code"], code, "{text}");
    body["error"]["message"]
        .as_str()
        .expect("a text")
        .to_owned()
}

#[test]
fn tokens_and_samples_go_through_it_and_what_it_is_asked_for_are_names() {
    let setup = Setup::start();
    let squid = squid();
    let proxy = setup.settings(&squid.url()).start();
    proxy.wait_until_ready();
    assert_eq!(token(&proxy).appid, setup.application.client_id);

    let prometheus = Prometheus::writing_to(&proxy.url(WRITE))
        .scrape("envoy", proxy.status_port())
        .start();
    eventually(SOON, "samples arrive", || {
        let writes = setup.azure.state().target.writes.v1;
        if writes >= 3 { Ok(()) } else { Err(writes) }
    });
    let sent = prometheus.settle(SOON).expect("everything is sent");
    let state = setup.azure.state();
    assert_eq!(state.target.samples.distinct as f64, sent.scraped);
    assert_eq!((sent.failed, sent.dropped), (0.0, 0.0), "{sent:?}");

    // The target chose HTTP/2 in the tunnel, by ALPN.
    assert!(state.target.versions.keys().eq(["HTTP/2.0"]));
    assert_eq!(state.target.tls_connections.failed_handshakes, 0);
    let mut connects = squid.connects();
    connects.sort_unstable();
    connects.dedup();
    assert_eq!(connects, [setup.target(), setup.entra()]);
    assert!(failures(&proxy).is_empty());
}

#[test]
fn user_and_password_reach_the_proxy_and_nothing_else() {
    let setup = Setup::start();
    let squid = ForwardProxy::knowing(&[TARGET, ENTRA])
        .password(PASSWORD)
        .start();
    let proxy = setup
        .settings(&squid.url_with(PASSWORD))
        .set("LOG_LEVEL", "trace")
        .start();
    proxy.wait_until_ready();
    token(&proxy);
    // `proxy-user:` and the first bytes of the password, as in `Proxy-Authorization`.
    let base64 = "cHJveHktdXNlcjpwcjB4eS1QYXNzdzByZF9vZi50aGUudGVzdH";
    assert!(squid.logs().contains(base64));
    let logs = proxy.process().logs();
    assert!(logs.contains("[trace]"));
    assert!(!logs.contains(PASSWORD) && !logs.contains(base64));
    shows_no_secret(&proxy);
}

#[test]
fn hosts_in_no_proxy_are_reached_directly() {
    let setup = Setup::start();
    let squid = squid();
    // Only the proxy knows these names: to reach them directly fails.
    let proxy = setup
        .settings(&squid.url())
        .set("NO_PROXY", format!("10.0.0.0/8, {TARGET}"))
        .start();
    proxy.wait_until_ready();
    let answer = http::get(&proxy.url(ECHO)).expect("an answer");
    let message = comes_back(&answer, "upstream_unavailable");
    assert!(!message.contains("proxy"), "{message}");
    assert_eq!(squid.connects(), [setup.entra()]);
}

#[test]
fn a_metadata_service_is_never_asked_through_it() {
    let setup = Setup::start();
    let trust = FederatedCredential {
        issuer: setup.azure.managed_identity_issuer().to_owned(),
        subject: setup.machine.object_id.clone(),
        audience: "api://AzureADTokenExchange".to_owned(),
    };
    setup
        .azure
        .change_application(&setup.application.client_id, |it| {
            it.federated_credentials.push(trust);
        });
    let squid = squid();
    let proxy = setup
        .settings(&squid.url())
        .set("IDENTITY_TYPE", "managedIdentityFederated")
        .set("HTTP_PROXY", squid.url())
        .start();
    proxy.wait_until_ready();
    token(&proxy);
    assert!(!setup.azure.requests(Service::Imds, 10).is_empty());
    let mut connects = squid.connects();
    connects.sort_unstable();
    connects.dedup();
    assert_eq!(connects, [setup.target(), setup.entra()]);
    // Nor by anything else than CONNECT.
    assert!(!squid.logs().contains("/metadata/"));
}

#[test]
fn a_refusal_of_the_target_is_503_and_the_log_has_the_proxy_and_its_answer() {
    let setup = Setup::start();
    let squid = ForwardProxy::knowing(&[TARGET, ENTRA])
        .refusing(TARGET)
        .start();
    let proxy = setup.settings(&squid.url()).start();
    proxy.wait_until_ready();
    let answer = http::get(&proxy.url(ECHO)).expect("an answer");
    let message = comes_back(&answer, "upstream_unavailable");
    let address = squid.address();
    assert!(message.contains("through a forward proxy"), "{message}");
    assert!(!message.contains(&address), "{message}");
    let failure = first_failure(&proxy);
    assert_eq!(failure["connect"], setup.target().as_str());
    assert_eq!(failure["forward_proxy"], address.as_str());
    assert_eq!(failure["failure"], "tunnel_response:403");
}

#[test]
fn a_proxy_that_wants_credentials_is_named_in_ready_and_its_answer_is_in_the_log() {
    let setup = Setup::start();
    let squid = ForwardProxy::knowing(&[TARGET, ENTRA])
        .password(PASSWORD)
        .start();
    let proxy = setup.settings_to_a_near_target(&squid.url()).start();
    let address = squid.address();
    let text = ready_says(&proxy, &address);
    assert!(text.contains("endpoint_unreachable"), "{text}");
    assert!(text.contains("credentials"), "{text}");
    assert_eq!(first_failure(&proxy)["failure"], "tunnel_response:407");
    // A request waits for its token, in vain. Who sends it need not know of the proxy.
    let answer = http::get(&proxy.url(ECHO)).expect("an answer");
    let message = comes_back(&answer, "token_unavailable");
    assert!(!message.contains(&address), "{message}");
}

#[test]
fn a_proxy_that_is_down_or_hangs_costs_time_and_no_sample() {
    let setup = Setup::start();
    let mut squid = squid();
    let proxy = setup.settings(&squid.url()).start();
    proxy.wait_until_ready();
    let prometheus = Prometheus::writing_to(&proxy.url(WRITE))
        .scrape("envoy", proxy.status_port())
        .start();
    let writes = || setup.azure.state().target.writes.v1;
    let flows = |since: u64| {
        eventually(SOON, "samples arrive", || {
            let writes = writes();
            if writes > since { Ok(()) } else { Err(writes) }
        });
    };
    flows(2);

    // It hangs: what is on its way waits, and goes on.
    squid.process_mut().signal(Signal::STOP);
    std::thread::sleep(Duration::from_secs(3));
    let before = writes();
    squid.process_mut().signal(Signal::CONT);
    flows(before);

    // It is down: every tunnel breaks, no other comes to be, until it is there again.
    let settings = squid.settings();
    drop(squid);
    let answer = http::get(&proxy.url(ECHO)).expect("an answer");
    comes_back(&answer, "upstream_unavailable");
    let before = writes();
    let squid = settings.start();
    flows(before);
    assert!(squid.connects().contains(&setup.target()));

    let sent = prometheus.settle(SOON).expect("everything is sent");
    let state = setup.azure.state();
    assert_eq!(state.target.samples.distinct as f64, sent.scraped);
    assert_eq!((sent.failed, sent.dropped), (0.0, 0.0), "{sent:?}");
}

#[test]
fn a_proxy_that_is_spoken_to_by_tls_must_show_its_certificate() {
    let setup = Setup::start();
    let (pem, _) = certificate("127.0.0.1");
    let squid = ForwardProxy::knowing(&[TARGET, ENTRA])
        .certificate(&pem)
        .start();
    let trusted = setup.folder.path().join("trusted.pem");
    let authority = fs::read_to_string(setup.azure.authority()).expect("a file");
    let (own, _) = pem.split_once("-----BEGIN PRIVATE KEY").expect("a key");
    fs::write(&trusted, authority + own).expect("a file");
    let proxy = setup
        .settings(&squid.url())
        .set("SSL_CERT_FILE", trusted)
        .start();
    proxy.wait_until_ready();
    token(&proxy);
    let entra = setup.entra();
    assert!(squid.connects().contains(&entra));

    // With a trust store that does not know it.
    let count = squid.connects().len();
    let proxy = setup.settings(&squid.url()).start();
    ready_says(&proxy, &squid.address());
    assert_eq!(squid.connects().len(), count);
    let reason = first_failure(&proxy)["failure"].to_string();
    assert!(reason.contains("CERTIFICATE_VERIFY_FAILED"), "{reason}");
}

#[test]
fn a_proxy_that_hangs_at_the_start_is_told_and_waited_for() {
    let setup = Setup::start();
    let mut squid = squid();
    // The kernel goes on accepting its connections.
    squid.process_mut().signal(Signal::STOP);
    let proxy = setup.settings(&squid.url()).start();
    ready_says(&proxy, &squid.address());
    let answer = http::get(&proxy.url(ECHO)).expect("an answer");
    let message = comes_back(&answer, "upstream_unavailable");
    assert!(message.contains("through a forward proxy"), "{message}");
    // That is for the log and the status port.
    assert!(!message.contains(&squid.address()), "{message}");
    squid.process_mut().signal(Signal::CONT);
    proxy.wait_until_ready();
    token(&proxy);
}

#[test]
fn a_proxy_that_is_down_at_the_start_is_waited_for() {
    let setup = Setup::start();
    let port = free_port();
    let address = format!("localhost:{port}");
    let proxy = setup.settings(&address).start();
    let text = ready_says(&proxy, &address);
    assert!(text.contains("endpoint_unreachable"), "{text}");
    let squid = ForwardProxy::knowing(&[TARGET, ENTRA]).port(port).start();
    proxy.wait_until_ready();
    token(&proxy);
    assert!(squid.connects().contains(&setup.entra()));
}
