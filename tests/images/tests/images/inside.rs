//! What is in an image, seen from a container of it.

use std::fs;
use std::time::Duration;

use e2e::azure::ECHO;
use e2e::eventually;
use e2e::http;
use images_tests::running::{Process, bare_proxy, trusting_proxy};
use images_tests::{Running, Volume, azure, proxy, sidecar};

/// No program but ours is there, so that who gets in finds nothing to use.
fn has_no_shell(container: &Running, own: &[&str]) {
    container.run(own).expect("our own program runs");
    for program in [
        "sh",
        "/bin/sh",
        "bash",
        "/bin/busybox",
        "/usr/bin/env",
        "ls",
        "apt-get",
    ] {
        let why = container.run(&[program]).unwrap_err();
        assert!(
            why.contains("no such file") || why.contains("not found"),
            "{program}: {why}"
        );
    }
}

/// Not one file or folder gives its user's or group's rights to who runs it, and no more than the
/// folders for temporary files are everybody's.
fn has_no_file_that_gives_rights(container: &Running) {
    let exported = container.export();
    let mut archive = tar::Archive::new(exported.as_slice());
    let (mut files, mut ours) = (0, 0);
    for entry in archive.entries().expect("entries") {
        let entry = entry.expect("an entry");
        let path = entry.path().expect("a path").to_string_lossy().into_owned();
        let mode = entry.header().mode().expect("a mode");
        files += 1;
        ours += usize::from(path == "usr/local/bin/token-sidecar");
        assert_eq!(mode & 0o6000, 0, "{path}: {mode:o}");
        let is_link = entry.header().entry_type().is_symlink();
        let for_all = mode & 0o002 != 0 && !is_link;
        assert!(!for_all || path == "tmp/", "{path}: {mode:o}");
    }
    assert!(files > 10 && ours == 1, "{files} files");
}

/// They run as the image's user, with no capability and no way to one: all that they do, they do without.
fn has_no_rights(processes: &[Process]) {
    for process in processes {
        assert_eq!(process.user, "65532", "{process:?}");
        let path = format!("/proc/{}/status", process.pid);
        let status = fs::read_to_string(&path).unwrap_or_else(|why| panic!("{path}: {why}"));
        let field = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name));
            line.and_then(|line| line.split_whitespace().nth(1))
                .expect(name)
        };
        for capabilities in ["CapEff:", "CapPrm:", "CapBnd:", "CapAmb:"] {
            assert_eq!(
                field(capabilities),
                "0000000000000000",
                "{process:?}: {status}"
            );
        }
        assert_eq!(field("NoNewPrivs:"), "1", "{process:?}: {status}");
    }
}

#[test]
fn the_authorities_in_the_image_are_read_and_another_ones_target_gets_nothing() {
    let azure = azure(Vec::new());
    let container = trusting_proxy(&azure).start();
    container.wait_until_ready();
    let answer = http::get(&container.proxy_url(ECHO)).expect("an answer");
    let text = answer.text();
    assert_eq!(answer.status, 503, "{text}");
    assert!(text.contains("CERTIFICATE_VERIFY_FAILED"), "{text}");
    assert_eq!(azure.state().target.requests, 0);
}

#[test]
fn the_proxys_image_has_no_shell_and_no_setuid_file_and_runs_as_65532_without_rights() {
    let azure = azure(Vec::new());
    let container = proxy(&azure).start();
    container.wait_until_ready();
    has_no_shell(&container, &["entra-auth-envoy", "--version"]);
    has_no_file_that_gives_rights(&container);
    let processes = container.processes();
    for program in ["entra-auth-envo", "envoy"] {
        assert!(
            processes.iter().any(|it| it.name == program),
            "{processes:?}"
        );
    }
    has_no_rights(&processes);
    assert_eq!(container.inspect("{{.Config.User}}"), "65532:65532");
}

#[test]
fn the_token_sidecars_image_has_no_shell_and_no_setuid_file_and_runs_as_65532() {
    let folder = tempfile::tempdir().expect("a folder");
    let (pem, _) = e2e::credentials::certificate("sidecar.example");
    let file = folder.path().join("certificate.pem");
    std::fs::write(&file, pem).expect("a file");
    let volume = Volume::new("entra-auth-inside");
    let container = sidecar()
        .mount(&file, "/certificate.pem")
        .socket_folder(&volume)
        .set("AAD_CLIENT_CERTIFICATE_PATH", "/certificate.pem")
        .set("AAD_CLIENT_ID", "11111111-1111-1111-1111-111111111111")
        .set("AAD_TENANT_ID", "22222222-2222-2222-2222-222222222222")
        .start();
    has_no_shell(&container, &["token-sidecar", "--version"]);
    has_no_file_that_gives_rights(&container);
    let processes = container.processes();
    let names: Vec<&str> = processes.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["token-sidecar"]);
    has_no_rights(&processes);
}

#[test]
fn without_settings_it_says_what_is_missing_and_ends_with_64() {
    let container = bare_proxy().start();
    let code = eventually(Duration::from_secs(30), "the end", || {
        container.exit_code().ok_or("it runs")
    });
    assert_eq!(code, 64, "{}", container.log());
    assert!(
        container.log().contains("TARGET_HOST"),
        "{}",
        container.log()
    );
}
