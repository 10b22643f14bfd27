//! Envoy under the launcher: signals reach it, its end is the launcher's, and it never stays behind.

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::time::Duration;

use e2e::{Proxy, Recorder, eventually, free_port};
use rustix::process::{Pid, Signal, kill_process};

use crate::setup::{accepts, launch_of_file, launch_with, proxy_to, proxy_with, wait_for_end};

fn envoy_of(proxy: &Proxy) -> Pid {
    proxy.envoy().expect("one child")
}

fn is_gone(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // A zombie has ended, too; whoever adopted it collects it.
    stat.is_empty()
        || stat
            .rsplit_once(')')
            .is_some_and(|(_, rest)| rest.trim().starts_with('Z'))
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    eventually(Duration::from_secs(10), what, || {
        is_so().then_some(()).ok_or("not yet")
    });
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_signal_to_the_launcher_ends_envoy_and_everything_with_it() {
    for signal in [Signal::TERM, Signal::INT] {
        let target = Recorder::start();
        let mut proxy = proxy_to(&target);
        let envoy = envoy_of(&proxy);
        let run_folder = proxy.run_folder();
        proxy.process().signal(signal);
        assert_eq!(
            wait_for_end(&mut proxy).code(),
            Some(0),
            "{}",
            proxy.process().stderr()
        );
        assert!(is_gone(envoy));
        assert!(!run_folder.exists());
        assert!(!accepts(proxy.port()) && !accepts(proxy.status_port()));
    }
}

#[test]
fn a_hangup_does_not_end_envoy() {
    let target = Recorder::start();
    let proxy = proxy_to(&target);
    proxy.process().signal(Signal::HUP);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(
        proxy.send(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n").status(),
        200
    );
}

#[test]
fn a_killed_envoy_ends_the_launcher_with_the_signals_code() {
    let target = Recorder::start();
    let mut proxy = proxy_to(&target);
    kill_process(envoy_of(&proxy), Signal::KILL).unwrap();
    assert_eq!(wait_for_end(&mut proxy).code(), Some(137));
}

#[test]
fn a_killed_launcher_leaves_no_envoy_behind() {
    let target = Recorder::start();
    let mut proxy = proxy_to(&target);
    let envoy = envoy_of(&proxy);
    proxy.process().signal(Signal::KILL);
    assert_eq!(wait_for_end(&mut proxy).signal(), Some(9));
    wait_until("Envoy has ended", || is_gone(envoy));
    wait_until("its sockets are closed", || !accepts(proxy.port()));
}

#[test]
fn an_envoy_that_cannot_start_ends_the_launcher_with_its_code() {
    let directory = tempfile::tempdir().unwrap();
    let damaged = directory.path().join("damaged.wasm");
    fs::write(&damaged, b"\0asm\x01\0\0\0damaged").unwrap();
    let mut proxy = launch_with(&[
        ("TARGET_HOST", "http://127.0.0.1:1"),
        ("ENTRA_AUTH_MODULE", damaged.to_str().unwrap()),
    ]);
    assert_eq!(wait_for_end(&mut proxy).code(), Some(1));
    assert!(
        proxy
            .process()
            .stderr()
            .contains("Unable to create Wasm plugin"),
        "{}",
        proxy.process().stderr()
    );
}

#[test]
fn a_port_that_is_taken_is_told_by_its_variable() {
    let taken = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for variable in ["LISTENING_PORT", "STATUS_PORT"] {
        let mut proxy = launch_with(&[("TARGET_HOST", "http://127.0.0.1:1"), (variable, &port)]);
        assert_eq!(wait_for_end(&mut proxy).code(), Some(64));
        let told = format!("{variable} is {port}, which cannot be listened on");
        assert!(
            proxy.process().stderr().contains(&told),
            "{}",
            proxy.process().stderr()
        );
    }
}

#[test]
fn a_second_proxy_does_not_take_a_part_of_the_connections() {
    let target = Recorder::start();
    let first = proxy_to(&target);
    let mut second = launch_with(&[
        ("TARGET_HOST", "http://127.0.0.1:1"),
        ("LISTENING_PORT", &first.port().to_string()),
    ]);
    assert_eq!(wait_for_end(&mut second).code(), Some(64));
    assert_eq!(
        first.send(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n").status(),
        200
    );
}

#[test]
fn only_this_user_can_enter_the_directory_of_the_run() {
    let target = Recorder::start();
    let proxy = proxy_to(&target);
    let run_folder = proxy.run_folder();
    assert_eq!(mode(&run_folder), 0o700);
    assert_eq!(mode(&run_folder.join("bootstrap.json")), 0o600);
    let socket = run_folder.join("admin.sock");
    assert!(fs::metadata(&socket).unwrap().file_type().is_socket());
    assert_eq!(mode(&socket), 0o600);
}

#[test]
fn a_read_only_place_for_temporary_files_does_not_stop_the_launcher() {
    let target = Recorder::start();
    let proxy = proxy_with(&[("TARGET_HOST", &target.url()), ("TMPDIR", "/proc")]);
    assert_eq!(
        proxy.send(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n").status(),
        200
    );
}

#[test]
fn envoy_may_have_as_many_connections_open_as_the_system_allows() {
    let target = Recorder::start();
    let proxy = proxy_to(&target);
    let limits = fs::read_to_string(format!("/proc/{}/limits", envoy_of(&proxy))).unwrap();
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"))
        .unwrap();
    let numbers: Vec<&str> = line.split_whitespace().skip(3).take(2).collect();
    assert_eq!(numbers[0], numbers[1], "{line}");
}

/// A program in the place of the token-sidecar, and the variables of a proxy that runs it.
fn with_sidecar(directory: &Path, script: &str) -> Vec<(&'static str, String)> {
    let file = |name: &str, content: &str| {
        let path = directory.join(name);
        fs::write(&path, content).unwrap();
        path
    };
    let program = file("sidecar", &format!("#!/bin/sh\n{script}\n"));
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let certificate = file("certificate.pem", "any");
    [
        ("TARGET_HOST", "http://127.0.0.1:1"),
        ("IDENTITY_TYPE", "aadApplication"),
        ("AAD_CLIENT_ID", "abcd1234-1243-abcd-9876-1234abcd5678"),
        ("AAD_TENANT_ID", "contoso.com"),
        ("AZURE_AUTHORITY_HOST", "http://127.0.0.1:1/"),
        ("AAD_CLIENT_CERTIFICATE_PATH", certificate.to_str().unwrap()),
        ("TOKEN_SIDECAR_BINARY", program.to_str().unwrap()),
        (
            "OVERRIDE_REQUEST_HEADERS",
            r#"{"X-Key": "not-for-the-sidecar"}"#,
        ),
    ]
    .map(|(name, value)| (name, value.to_owned()))
    .to_vec()
}

fn as_pairs<'a>(variables: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    variables.iter().map(|(n, v)| (*n, v.as_str())).collect()
}

#[test]
fn a_token_sidecar_that_refuses_its_settings_ends_the_launcher_with_its_code() {
    let directory = tempfile::tempdir().unwrap();
    let variables = with_sidecar(directory.path(), "echo 'the sidecar says why' >&2; exit 64");
    let mut proxy = launch_with(&as_pairs(&variables));
    assert_eq!(wait_for_end(&mut proxy).code(), Some(64));
    assert!(proxy.process().stderr().contains("the sidecar says why"));
    assert!(!accepts(proxy.port()));
}

#[test]
fn a_token_sidecar_that_dies_is_started_again_and_sees_its_own_variables_only() {
    let directory = tempfile::tempdir().unwrap();
    let seen = directory.path().join("seen");
    let script = format!(
        "export -p >> '{}'; echo start >> '{0}'; exit 7",
        seen.display()
    );
    let variables = with_sidecar(directory.path(), &script);
    let proxy = proxy_with(&as_pairs(&variables));
    let text = || fs::read_to_string(&seen).unwrap_or_default();
    wait_until("three starts", || {
        text().lines().filter(|line| *line == "start").count() >= 3
    });
    let told = proxy.process().stderr();
    for pause in ["500ms", "1s"] {
        let line = format!(
            "the token-sidecar of application abcd1234-1243-abcd-9876-1234abcd5678 ended with code 7; \
             it is started again in {pause}"
        );
        assert!(told.contains(&line), "{told}");
    }
    let names: Vec<String> = text()
        .lines()
        .filter_map(|line| line.strip_prefix("export ")?.split('=').next())
        .map(str::to_owned)
        .collect();
    let expected = [
        "AAD_CLIENT_ASSERTION_ALGORITHM",
        "AAD_CLIENT_CERTIFICATE_PATH",
        "AAD_CLIENT_CERTIFICATE_SEND_CHAIN",
        "AAD_CLIENT_ID",
        "AAD_TENANT_ID",
        "AZURE_AUTHORITY_HOST",
        "LOG_LEVEL",
        "TOKEN_SIDECAR_SOCKET",
    ];
    for name in expected {
        assert!(names.iter().any(|seen| seen == name), "{name}: {names:?}");
    }
    for name in names {
        // What a shell sets for itself.
        let of_the_shell = ["PWD", "OLDPWD", "SHLVL", "_"].contains(&name.as_str());
        assert!(of_the_shell || expected.contains(&name.as_str()), "{name}");
    }
}

#[test]
fn a_token_sidecar_that_dies_while_the_first_answer_of_another_is_awaited_is_started_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let (starts, die) = (path("starts"), path("die"));
    // Its socket is served by this test. The other one never answers.
    let script = format!(
        "case $AAD_CLIENT_ID in 11*) ;; *) exec sleep 60 ;; esac
        echo \"$TOKEN_SIDECAR_SOCKET\" >> '{}'
        while [ ! -e '{}' ]; do sleep 0.05; done; exit 7",
        starts.display(),
        die.display()
    );
    let variables = with_sidecar(directory.path(), &script);
    let value = |name| {
        let found = variables.iter().find(|(other, _)| *other == name);
        found.expect("it is set").1.clone()
    };
    let certificate = value("AAD_CLIENT_CERTIFICATE_PATH");
    let identity = |name: &str, digit: &str| {
        format!(
            "- {{ name: {name}, type: clientCertificate, tenantId: contoso.com, \
             clientId: {}-1243-abcd-9876-1234abcd5678, certificate: {{ path: '{certificate}' }} }}\n",
            digit.repeat(8)
        )
    };
    let port = free_port();
    let file = format!(
        "identities:\n{}{}targets:\n\
         - {{ name: a, url: 'http://127.0.0.1:1', audience: 'api://x', identity: first }}\n\
         - {{ name: b, url: 'http://localhost:1', audience: 'api://x', identity: second }}\n\
         listeners: [{{ port: {port}, targets: [a, b] }}]\n",
        identity("first", "1"),
        identity("second", "2"),
    );
    let program = value("TOKEN_SIDECAR_BINARY");
    let proxy = launch_of_file(&file, port, &[("TOKEN_SIDECAR_BINARY", &program)]);
    let started = || fs::read_to_string(&starts).unwrap_or_default();
    wait_until("the first start", || started().ends_with('\n'));
    let socket = UnixListener::bind(started().trim_end()).unwrap();
    socket
        .accept()
        .expect("the launcher asks whether it answers");
    fs::write(&die, "").unwrap();
    wait_until("a second start", || started().lines().count() >= 2);
    assert!(
        !proxy.process().stderr().contains("does not answer yet"),
        "the other one was no longer awaited:\n{}",
        proxy.process().stderr()
    );
    proxy.process().signal(Signal::TERM);
}

#[test]
fn a_token_sidecar_that_is_missing_is_told_by_its_variable() {
    let directory = tempfile::tempdir().unwrap();
    let mut variables = with_sidecar(directory.path(), "");
    variables.retain(|(name, _)| *name != "TOKEN_SIDECAR_BINARY");
    variables.push(("TOKEN_SIDECAR_BINARY", "/nowhere/token-sidecar".to_owned()));
    let mut proxy = launch_with(&as_pairs(&variables));
    assert_eq!(wait_for_end(&mut proxy).code(), Some(64));
    let told = "TOKEN_SIDECAR_BINARY is \"/nowhere/token-sidecar\", which cannot be read";
    assert!(
        proxy.process().stderr().contains(told),
        "{}",
        proxy.process().stderr()
    );
}

#[test]
fn the_key_of_app_service_is_in_a_private_file_and_in_no_environment_of_envoy() {
    let target = Recorder::start();
    let proxy = proxy_with(&[
        ("TARGET_HOST", &target.url()),
        ("IDENTITY_ENDPOINT", "http://127.0.0.1:1/msi/token"),
        ("IDENTITY_HEADER", "key-of-app-service"),
    ]);
    let file = proxy.run_folder().join("identity-header");
    assert_eq!(fs::read_to_string(&file).unwrap(), "key-of-app-service");
    assert_eq!(mode(&file), 0o600);
    let environment = fs::read(format!("/proc/{}/environ", envoy_of(&proxy))).unwrap();
    let environment = String::from_utf8_lossy(&environment).into_owned();
    assert!(environment.contains("IDENTITY_ENDPOINT"));
    assert!(!environment.contains("key-of-app-service"));
}
