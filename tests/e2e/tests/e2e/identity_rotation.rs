//! Credentials that are replaced while requests flow: not one of these fails.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use azure_sim::{Application, ClientSecret, Options, Settings};
use e2e::azure::{Azure, ECHO};
use e2e::credentials::{Projected, certificate, certificate_until, pfx, replace};
use e2e::{Proxy, ProxyBuilder, children, eventually, http};

use crate::identities::{kubernetes, shows_no_secret};

/// A token ends so soon that the next credential is needed within the test.
fn azure(application: &Application) -> Azure {
    Azure::start(Options {
        applications: vec![application.clone()],
        settings: Settings {
            entra_token_lifetime_seconds: 10,
            ..Settings::default()
        },
        ..Options::default()
    })
}

/// Stops the requests also when a test fails, which would otherwise wait for their end.
struct Stopping<'a>(&'a AtomicBool);

impl Drop for Stopping<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Sends requests one after the other until `during` has ended; counts them, and none may fail.
fn under_load<T>(proxy: &Proxy, during: impl FnOnce(&AtomicU64) -> T) -> T {
    let (stop, answered) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        let sender = scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let answer = http::get(&proxy.url(ECHO)).expect("an answer");
                assert_eq!(answer.status, 200, "{}", answer.text());
                answered.fetch_add(1, Ordering::Relaxed);
                thread::sleep(Duration::from_millis(10));
            }
        });
        let stopping = Stopping(&stop);
        let result = during(&answered);
        drop(stopping);
        sender.join().expect("no request failed");
        result
    })
}

fn issued(azure: &Azure) -> u64 {
    azure.state().entra.token_endpoint.tokens_issued
}

/// Waits until so many more tokens were issued.
fn more_tokens(azure: &Azure, count: u64) {
    let enough = issued(azure) + count;
    eventually(Duration::from_secs(60), "more tokens", || {
        match issued(azure) {
            now if now >= enough => Ok(()),
            now => Err(format!("{now} of {enough}")),
        }
    });
}

/// Rotates a credential under load: `publish` registers the next one in addition to the old, `swap`
/// replaces the file, `withdraw` ends the old one.
fn rotates(
    azure: &Azure,
    settings: ProxyBuilder,
    publish: impl FnOnce(&Proxy),
    swap: impl FnOnce(),
    withdraw: impl FnOnce(&Proxy),
) {
    let proxy = settings
        .set("AAD_TOKEN_REFRESH_INTERVAL_IN_PERCENTAGE", "60")
        .start();
    proxy.wait_until_ready();
    let answered = under_load(&proxy, |answered| {
        more_tokens(azure, 1);
        publish(&proxy);
        swap();
        // The token after next was asked for when the new content had long been seen.
        more_tokens(azure, 2);
        withdraw(&proxy);
        more_tokens(azure, 2);
        answered.load(Ordering::Relaxed)
    });
    assert!(answered > 20, "{answered} requests are no load");
    let state = azure.state();
    assert!(
        state.entra.token_endpoint.refused.is_empty(),
        "{:?}",
        state.entra.token_endpoint.refused
    );
    assert!(
        state.target.refused.is_empty(),
        "{:?}",
        state.target.refused
    );
    shows_no_secret(&proxy);
}

#[test]
fn a_new_secret_is_used_before_the_old_one_is_removed() {
    const OLD: &str = "first~secret.of-the_rotation";
    const NEW: &str = "second~secret.of-the_rotation";
    let application = Application::new("secret").with_secret(OLD);
    let azure = azure(&application);
    let mut file = Projected::new(OLD);
    let settings = azure
        .proxy_as("aadApplication", &application)
        .set("AAD_CLIENT_SECRET_FILE", file.path());
    let secrets = |values: &[&str]| {
        let secrets = values
            .iter()
            .map(|value| ClientSecret {
                value: (*value).to_owned(),
                expires_at: None,
            })
            .collect();
        azure.change_application(&application.client_id, |it| it.secrets = secrets);
    };
    rotates(
        &azure,
        settings,
        |_| secrets(&[OLD, NEW]),
        || file.replace(NEW),
        |_| secrets(&[NEW]),
    );
}

#[test]
fn a_projected_token_is_read_anew_when_kubernetes_swaps_it() {
    let application = Application::new("workload");
    let azure = azure(&application);
    // Of two issuers, so that the old token can be made worthless and the new one not.
    let (old, trust) = kubernetes(&azure, "https://oidc.old.example/");
    let (new, new_trust) = kubernetes(&azure, "https://oidc.new.example/");
    let trusts = |credentials| {
        azure.change_application(&application.client_id, |it| {
            it.federated_credentials = credentials;
        });
    };
    trusts(vec![trust.clone()]);
    let mut file = Projected::new(&old);
    let settings = azure
        .proxy_as("workloadIdentity", &application)
        .set("AZURE_FEDERATED_TOKEN_FILE", file.path());
    rotates(
        &azure,
        settings,
        |_| trusts(vec![trust.clone(), new_trust.clone()]),
        || file.replace(&new),
        |_| trusts(vec![new_trust.clone()]),
    );
}

#[test]
fn a_certificate_is_replaced_without_a_restart() {
    a_certificate_rotates("certificate.pem", |pem| pem.as_bytes().to_vec());
}

#[test]
fn a_pfx_is_replaced_without_a_restart() {
    a_certificate_rotates("certificate.pfx", |pem| pfx(pem, PASSWORD));
}

const PASSWORD: &str = "pass~word.of-the_rotation";

/// Rotates a certificate in a file of this form, with a file for its password where it has one.
fn a_certificate_rotates(name: &str, form: impl Fn(&str) -> Vec<u8>) {
    let days = |count: u64| Duration::from_secs(now_in_seconds() + count * 86_400);
    let (old_end, new_end) = (days(20), days(400));
    let (old, registered) = certificate_until("old.example", old_end);
    let application = Application::new("certificate").with_certificate(registered.clone());
    let azure = azure(&application);
    let folder = tempfile::tempdir().expect("a folder");
    let (file, password) = (folder.path().join(name), folder.path().join("password"));
    fs::write(&file, form(&old)).expect("a file");
    fs::write(&password, PASSWORD).expect("a file");
    let mut settings = azure
        .proxy_as("aadApplication", &application)
        .set("AAD_CLIENT_CERTIFICATE_PATH", &file);
    if name.ends_with("pfx") {
        settings = settings.set("AAD_CLIENT_CERTIFICATE_PASSWORD_FILE", &password);
    }
    let (new, new_registered) = certificate_until("new.example", new_end);
    let certificates = |certificates| {
        azure.change_application(&application.client_id, |it| it.certificates = certificates);
    };
    rotates(
        &azure,
        settings,
        |proxy| {
            shows_certificate(proxy, old_end, true);
            certificates(vec![registered.clone(), new_registered.clone()]);
        },
        || replace(&file, form(&new)),
        |proxy| {
            shows_certificate(proxy, new_end, false);
            certificates(vec![new_registered.clone()]);
        },
    );
}

/// The gauge and `/status` tell when the certificate ends that signs; the latter also what to do if it ends soon.
fn shows_certificate(proxy: &Proxy, end: Duration, soon: bool) {
    const GAUGE: &str = "entra_auth_certificate_expiry_timestamp_seconds";
    let end = end.as_secs();
    eventually(Duration::from_secs(10), "the certificate's end", || {
        let shown = proxy.metrics()?.sum_with(GAUGE, &[("identity", "default")]);
        match shown {
            Some(shown) if shown as u64 == end => Ok(()),
            other => Err(format!("{other:?}, and not {end}")),
        }
    });
    let status = http::get(&proxy.status_url("/status")).expect("an answer");
    let status: serde_json::Value = status.json().expect("JSON");
    let certificate = &status["slots"][0]["certificate"];
    let left = certificate["endsInSeconds"].as_u64().expect("a number");
    let seen = left + now_in_seconds();
    assert!(seen.abs_diff(end) < 60, "{certificate}");
    assert_eq!(certificate["advice"].is_string(), soon, "{certificate}");
    assert_eq!(status["verdict"], "serving", "{status}");
}

fn now_in_seconds() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.expect("a clock").as_secs()
}

#[test]
fn a_token_sidecar_that_dies_is_started_again_and_no_request_notices() {
    let (pem, registered) = certificate("proxy.example");
    let application = Application::new("certificate").with_certificate(registered);
    let azure = azure(&application);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("certificate.pem");
    fs::write(&file, pem).expect("a file");
    let mut proxy = azure
        .proxy_as("aadApplication", &application)
        .set("AAD_CLIENT_CERTIFICATE_PATH", &file)
        .set("AAD_TOKEN_REFRESH_INTERVAL_IN_PERCENTAGE", "60")
        .start();
    proxy.wait_until_ready();
    let launcher = proxy.process().id();
    let sidecar = || {
        let name = |pid: &u32| fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        children(launcher)
            .expect("a system with /proc")
            .into_iter()
            .find(|pid| name(pid).trim() == "token-sidecar")
    };
    let first = sidecar().expect("a token-sidecar");
    under_load(&proxy, |_| {
        let pid = rustix::process::Pid::from_raw(first.cast_signed()).expect("a process id");
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("a signal");
        eventually(
            Duration::from_secs(30),
            "another token-sidecar",
            || match sidecar() {
                Some(pid) if pid != first => Ok(()),
                other => Err(format!("{other:?}")),
            },
        );
        more_tokens(&azure, 2);
    });
    let stderr = proxy.process().stderr();
    assert!(
        stderr.contains(" ended with code 137; it is started again"),
        "{stderr}"
    );

    let second = sidecar().expect("a token-sidecar");
    proxy.process_mut().signal(rustix::process::Signal::KILL);
    eventually(Duration::from_secs(10), "the sidecar ends", || {
        let stat = fs::read_to_string(format!("/proc/{second}/stat")).unwrap_or_default();
        match stat.is_empty() || stat.contains(") Z ") {
            true => Ok(()),
            false => Err(stat),
        }
    });
}
