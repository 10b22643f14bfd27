//! How it runs: while others run, within limits, to its end.

use std::fs;
use std::io::Read;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;
use std::time::Duration;

use azure_sim::{Application, Fault, FaultKind, Options, Service};
use e2e::azure::{Azure, ECHO};
use e2e::credentials::certificate;
use e2e::{ProxyBuilder, eventually, http};
use landlock::{
    ABI, AccessFs, AccessNet, Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr,
    RulesetStatus, path_beneath_rules,
};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::{REFUSED, SECRET, TOKEN, azure, check, with_secret};
use crate::identities::file;

#[test]
fn an_envoy_that_does_not_start_is_told_in_its_own_words_with_its_code() {
    let (azure, folder, settings) = with_secret(|_| ());
    let script = "#!/bin/sh\nwhile [ \"$1\" != --log-path ]; do shift; done\necho because > \"$2\"\nexit 3\n";
    let program = file(folder.path(), "envoy", script);
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
        (TOKEN, azure.proxy_with_secret(&secret, SECRET)),
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

#[test]
fn a_reply_that_is_too_large_is_not_read_as_by_the_filter() {
    let azure = Azure::start(Options::default());
    let oversized = FaultKind::Oversized { bytes: 70_000 };
    azure
        .inject(Fault::new(Service::Imds, oversized).times(1))
        .expect("a fault");
    let checked = check(&azure, &azure.proxy());
    assert_eq!(checked.code, TOKEN);
    let told = "(endpoint_broke_off); next attempt in";
    assert!(checked.stderr.contains(told), "{}", checked.stderr);
}

#[test]
fn its_calls_are_those_of_the_filter() {
    let (azure, _folder, of_application) = with_secret(|_| ());
    for (service, settings) in [
        (Service::Imds, azure.proxy()),
        (Service::Entra, of_application),
    ] {
        let last = || azure.requests(service, 1).pop().expect("a request");
        settings.clone().start().wait_until_ready();
        let (mut of_filter, filters) = (last(), azure.requests(service, 9).len());
        assert_eq!(check(&azure, &settings).code, TOKEN);
        let mut of_check = last();
        assert_eq!(azure.requests(service, 9).len(), filters + 1);
        for call in [&mut of_filter, &mut of_check] {
            // Envoy adds the first to each dispatched call, and the other differs in each.
            call.headers
                .retain(|(name, _)| !name.starts_with("x-envoy-") && name != "client-request-id");
            call.headers.sort();
            (call.sequence, call.at_ms) = (0, 0);
        }
        let seen = |call| format!("{call:#?}");
        assert_eq!(seen(of_check), seen(of_filter));
    }
}

/// As `kubectl exec` does it: same variables, same ports, while the proxy serves.
#[test]
fn it_runs_while_a_proxy_serves() {
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
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(TOKEN), "{stderr}");
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
    let grandchildren = e2e::children(parent)
        .expect("a system with /proc")
        .into_iter()
        .flat_map(family);
    std::iter::once(parent).chain(grandchildren).collect()
}
