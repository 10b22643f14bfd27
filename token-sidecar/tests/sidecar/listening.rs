//! Where the sidecar listens, and how it ends.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;

use rustix::process::Signal;

use crate::support::process::{Sidecar, command, end_of, exchange};
use crate::support::{Files, eventually};

/// A sidecar that has something to do.
fn variables(files: &Files) -> [(&'static str, String); 1] {
    [("AAD_CLIENT_SECRET_FILE", files.write("secret", "s3cret"))]
}

fn start(files: &Files, more: &[(&str, &str)]) -> Sidecar {
    let variables = variables(files);
    let secret = (variables[0].0, variables[0].1.as_str());
    Sidecar::start(files, &[more, &[secret]].concat())
}

/// Starts the program, which must refuse with 64, and gives its log.
fn refusal(files: &Files, more: &[(&str, &str)]) -> String {
    let variables = variables(files);
    let secret = (variables[0].0, variables[0].1.as_str());
    let status = end_of(command(files, &[more, &[secret]].concat()));
    let log = fs::read_to_string(files.path("log")).unwrap();
    assert_eq!(status.code(), Some(64), "{log}");
    log
}

#[test]
fn the_socket_is_for_user_and_group_and_its_directory_is_made() {
    let files = Files::new();
    let socket = files.value("run/entra-auth/token-sidecar.sock");
    let mut sidecar = start(&files, &[("TOKEN_SIDECAR_SOCKET", &socket)]);
    let metadata = fs::metadata(&socket).unwrap();
    assert!(metadata.file_type().is_socket());
    assert_eq!(metadata.permissions().mode() & 0o777, 0o660);
    let directory = fs::metadata(files.path("run/entra-auth")).unwrap();
    assert_eq!(directory.permissions().mode() & 0o777, 0o750);
    assert!(sidecar.end(Signal::TERM).success());
}

#[test]
fn sigterm_and_sigint_end_it_with_0_and_remove_the_socket() {
    for signal in [Signal::TERM, Signal::INT] {
        let files = Files::new();
        let mut sidecar = start(&files, &[]);
        assert!(files.path("socket").exists());
        assert_eq!(sidecar.end(signal).code(), Some(0));
        assert!(!files.path("socket").exists(), "{}", sidecar.log());
    }
}

#[test]
fn the_socket_of_a_sidecar_that_was_killed_is_replaced() {
    let files = Files::new();
    start(&files, &[]).end(Signal::KILL);
    let left = fs::metadata(files.path("socket")).unwrap().ino();
    let mut sidecar = start(&files, &[]);
    assert_eq!(sidecar.get("/client-secret").body, "s3cret");
    assert!(sidecar.end(Signal::TERM).success());
    assert!(left > 0 && !files.path("socket").exists());
}

#[test]
fn the_socket_of_a_living_process_and_a_file_that_is_no_socket_are_left_alone() {
    let files = Files::new();
    let socket = files.value("socket");
    fs::write(&socket, "precious").unwrap();
    let log = refusal(&files, &[]);
    let expected =
        format!("TOKEN_SIDECAR_SOCKET is {socket:?}, which is no socket. Remove the file");
    assert!(log.contains(&expected), "{log}");
    assert_eq!(fs::read(&socket).unwrap(), b"precious");

    fs::remove_file(&socket).unwrap();
    let _living = UnixListener::bind(&socket).unwrap();
    let log = refusal(&files, &[]);
    let expected =
        format!("TOKEN_SIDECAR_SOCKET is {socket:?}, on which another process listens. End");
    assert!(log.contains(&expected), "{log}");
    assert!(fs::metadata(&socket).unwrap().file_type().is_socket());
}

#[test]
fn a_socket_that_another_process_has_put_there_is_not_removed_at_the_end() {
    let files = Files::new();
    let mut sidecar = start(&files, &[]);
    fs::remove_file(files.path("socket")).unwrap();
    let _other = UnixListener::bind(files.path("socket")).unwrap();
    assert!(sidecar.end(Signal::TERM).success());
    assert!(files.path("socket").exists());
}

#[test]
fn a_socket_that_cannot_be_made_is_refused() {
    let files = Files::new();
    let file = files.write("file", "x");
    for path in [format!("{file}/socket"), files.value(&"x".repeat(150))] {
        let log = refusal(&files, &[("TOKEN_SIDECAR_SOCKET", &path)]);
        let expected = format!("TOKEN_SIDECAR_SOCKET is {path:?}, where no socket can be made: ");
        assert!(log.contains(&expected), "{log}");
    }
}

/// The address in the log.
fn address(sidecar: &Sidecar) -> String {
    eventually("listening on TCP", || {
        let log = sidecar.log();
        let line = log
            .lines()
            .find(|line| line.contains("listening on 127.0.0.1:"))?;
        Some(line.rsplit(' ').next()?.to_owned())
    })
}

#[test]
fn a_loopback_address_is_listened_on_when_asked_for() {
    let files = Files::new();
    for name in ["127.0.0.1:0", "localhost:0"] {
        let sidecar = start(&files, &[("TOKEN_SIDECAR_ADDRESS", name)]);
        let stream = TcpStream::connect(address(&sidecar)).unwrap();
        let request = "GET /client-secret HTTP/1.1\r\nhost: a\r\n\r\n";
        assert_eq!(exchange(stream, request).unwrap().body, "s3cret");
        // The socket was asked for, too.
        assert_eq!(sidecar.get("/client-secret").body, "s3cret");
    }
}

#[test]
fn an_address_alone_makes_no_socket() {
    let files = Files::new();
    let address_alone = [
        ("TOKEN_SIDECAR_ADDRESS", "127.0.0.1:0"),
        ("TOKEN_SIDECAR_SOCKET", ""),
    ];
    let sidecar = start(&files, &address_alone);
    TcpStream::connect(address(&sidecar)).unwrap();
    assert_eq!(
        sidecar.log().matches("listening on").count(),
        1,
        "{}",
        sidecar.log()
    );
}

#[test]
fn an_address_that_others_reach_is_refused() {
    let files = Files::new();
    for (address, expected) in [
        (
            "0.0.0.0:8190",
            "is reached by others. Use a loopback address",
        ),
        ("[::]:8190", "is reached by others. Use a loopback address"),
        (
            "192.0.2.1:8190",
            "is reached by others. Use a loopback address",
        ),
        ("8190", "is no address with a port. Give a loopback address"),
        (
            "localhost:http",
            "is no address with a port. Give a loopback address",
        ),
    ] {
        let log = refusal(&files, &[("TOKEN_SIDECAR_ADDRESS", address)]);
        let expected = format!("TOKEN_SIDECAR_ADDRESS is {address:?}, which {expected}");
        assert!(log.contains(&expected), "{log}");
    }
}

#[test]
fn a_taken_port_is_refused() {
    let files = Files::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let log = refusal(&files, &[("TOKEN_SIDECAR_ADDRESS", &address)]);
    let expected = format!("TOKEN_SIDECAR_ADDRESS is {address}, where nobody can listen: ");
    assert!(log.contains(&expected), "{log}");
    // The socket that was made before the error is removed.
    assert!(!files.path("socket").exists());
}
