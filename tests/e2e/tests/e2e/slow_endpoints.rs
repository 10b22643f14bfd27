//! Token endpoints that take their time: IMDS promises no answer within some seconds. What takes
//! longer yet is played in simulated time (`token-core/tests/many_vms/`).

use std::thread;
use std::time::{Duration, Instant};

use azure_sim::{Application, Fault, FaultKind, Options, Service, TSIAM_ISSUER, TSIAM_NODE};
use e2e::azure::Azure;
use e2e::{ProxyBuilder, http};

use crate::identities::{token, trust_in};

const SECRET: &str = "Zx8Q~s3cret-of-the-tests_a.b";

/// Below the hold time-out of 10 s, above what was once given to a call.
const SLOW_MS: u64 = 5000;

/// One call to each of these services takes so long; the first request is served by it, and nobody
/// is asked twice.
fn is_served_late(azure: &Azure, settings: ProxyBuilder, services: &[Service]) {
    for service in services {
        let slow = Fault::new(*service, FaultKind::DelayMs(SLOW_MS)).times(1);
        azure.inject(slow).expect("a fault");
    }
    let proxy = settings.start();
    let asked = Instant::now();
    token(&proxy);
    let waited = asked.elapsed();
    assert!(waited > Duration::from_secs(3), "{services:?}: {waited:?}");
    for service in services {
        let calls = azure.requests(*service, 9).len();
        assert_eq!(calls, 1, "{service:?}");
    }
    let log = proxy.process().logs();
    assert!(!log.contains("no token for"), "{services:?}: {log}");
}

#[test]
fn an_answer_that_takes_five_seconds_gives_the_token_whoever_is_asked() {
    thread::scope(|scope| {
        scope.spawn(|| {
            let azure = Azure::start(Options::default());
            is_served_late(&azure, azure.proxy(), &[Service::Imds]);
        });
        scope.spawn(|| {
            let azure = Azure::start(Options::default());
            let endpoint = format!("http://{}/msi/token", azure.addresses().app_service);
            let settings = azure
                .proxy()
                .set("IDENTITY_ENDPOINT", endpoint)
                .set("IDENTITY_HEADER", azure.identity_header());
            is_served_late(&azure, settings, &[Service::AppService]);
        });
        scope.spawn(|| {
            let application = Application::new("secret").with_secret(SECRET);
            let azure = Azure::knowing(&application);
            let settings = azure.proxy_with_secret(&application, SECRET);
            is_served_late(&azure, settings, &[Service::Entra]);
        });
        // One call after the other, each of them slow: by then the first request has its 503.
        scope.spawn(|| {
            let trust = trust_in(TSIAM_ISSUER, TSIAM_NODE);
            let application = Application::new("tsiam").with_federated_credential(trust);
            let azure = Azure::knowing(&application);
            let tsiam = azure.addresses().tsiam_tls.port();
            let settings = azure
                .proxy_as("tsiam", &application)
                .set("TSIAM_ENDPOINT", format!("https://localhost:{tsiam}"));
            is_served_late(&azure, settings, &[Service::Tsiam]);
        });
    });
}

/// The request waits as long as ever; the call for the token goes on.
#[test]
fn a_request_waits_no_longer_for_an_answer_that_takes_longer_than_the_hold() {
    let azure = Azure::start(Options::default());
    let slow = Fault::new(Service::Imds, FaultKind::DelayMs(13_000)).times(1);
    azure.inject(slow).expect("a fault");
    let proxy = azure.proxy().start();
    let asked = Instant::now();
    let answer = http::get(&proxy.url(e2e::azure::ECHO)).expect("an answer");
    let waited = asked.elapsed();
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(waited < Duration::from_millis(11_500), "{waited:?}");
    token(&proxy);
    assert_eq!(azure.state().imds.calls, 1);
}
