//! The restrictions of the serving process, and its memory.
#![cfg(target_os = "linux")]

use std::fs;
use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::process::Command;

use rustix::net::{AddressFamily, SocketType, socket};
use token_sidecar::sandbox::{self, Allowed};

use crate::support::jwt::verify;
use crate::support::pki;
use crate::support::process::Sidecar;
use crate::support::{ASSERTION, Files};

/// The error number of a failed call.
fn kind<T>(outcome: std::io::Result<T>) -> Option<ErrorKind> {
    outcome.map_err(|error| error.kind()).err()
}

#[test]
fn inside_the_sandbox_other_files_sockets_and_programs_are_out_of_reach() {
    let (ours, foreign) = (Files::new(), Files::new());
    let allowed = ours.write("allowed.pem", "x");
    let other = foreign.write("other.pem", "x");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let needed = Allowed {
        read: vec![allowed.clone().into()],
        remove: Some(ours.path("socket")),
    };
    ours.write("socket", "");
    assert!(TcpStream::connect(address).is_ok() && fs::read(&other).is_ok());

    // Only this thread is confined; the other tests are not.
    let confinement = std::thread::spawn(move || {
        let confinement = sandbox::enter(&needed);
        let denied = Some(ErrorKind::PermissionDenied);
        if confinement.files.is_ok() {
            assert_eq!(kind(fs::read(&other)), denied);
            assert_eq!(kind(fs::remove_file(&other)), denied);
            assert_eq!(kind(fs::write(&allowed, "y")), denied);
            assert_eq!(kind(fs::write(ours.path("new.pem"), "y")), denied);
        }
        assert_eq!(fs::read(&allowed).unwrap(), b"x");
        fs::remove_file(ours.path("socket")).unwrap();

        assert_eq!(kind(TcpStream::connect(address)), denied);
        assert_eq!(kind(TcpListener::bind("127.0.0.1:0")), denied);
        assert_eq!(kind(UdpSocket::bind("127.0.0.1:0")), denied);
        assert_eq!(kind(UnixStream::pair()), denied);
        let unbound = socket(AddressFamily::INET, SocketType::DGRAM, None);
        assert_eq!(kind(unbound.map_err(Into::into)), denied);
        assert_eq!(kind(Command::new("/bin/true").spawn()), denied);
        assert_eq!(kind(std::thread::Builder::new().spawn(|| ())), denied);
        confinement
    });
    let confinement = confinement.join().unwrap();
    assert_eq!(confinement.calls, Ok(()));
    for missing in confinement.missing() {
        println!("{missing}");
    }
}

/// How a system call of this number fails, if its arguments are all zero.
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "no safe function makes a call of any number")]
fn call(number: libc::c_long) -> Option<i32> {
    // SAFETY: none of the calls that are tried does anything with these arguments: they have none,
    // or need a pointer or a socket.
    let answer = unsafe { libc::syscall(number, 0, 0, 0, 0, 0, 0) };
    (answer < 0).then(|| std::io::Error::last_os_error().raw_os_error().unwrap())
}

/// A kernel without that ABI says ENOSYS outside of the sandbox.
#[test]
#[cfg(target_arch = "x86_64")]
fn system_calls_of_the_x32_abi_are_denied_whatever_they_are() {
    const X32: libc::c_long = 0x4000_0000;
    // `getppid` is allowed otherwise, `socket` is not. The others are x32's own: `recvmsg`, `execve`
    // and one that no kernel has.
    let numbers = [libc::SYS_getppid, libc::SYS_socket, 519, 520, 0xfff];
    for number in numbers {
        assert_ne!(call(X32 | number), Some(libc::EPERM), "{number}");
    }
    std::thread::spawn(move || {
        let confinement = sandbox::enter(&Allowed::default());
        assert_eq!(confinement.calls, Ok(()));
        assert_eq!(call(libc::SYS_getppid), None);
        for number in numbers {
            assert_eq!(call(X32 | number), Some(libc::EPERM), "{number}");
        }
    })
    .join()
    .unwrap();
}

/// Whether this kernel has Landlock; if not, the log says so.
fn has_landlock(sidecar: &Sidecar) -> bool {
    let missing = "the sandbox cannot forbid reading other files: ";
    let has = !sidecar.log().contains(missing);
    if !has {
        println!("{}", sidecar.log());
    }
    has
}

#[test]
fn the_program_confines_itself_and_reads_only_the_directories_of_its_files() {
    let (files, elsewhere) = (Files::new(), Files::new());
    let (one, other) = (
        pki::lasting(&pki::ONE, "one"),
        pki::lasting(&pki::OTHER, "other"),
    );
    let path = files.write("bundle.pem", pki::bundle(&one, &pki::ONE));
    let sidecar = Sidecar::start(&files, &[("AAD_CLIENT_CERTIFICATE_PATH", &path)]);
    assert_eq!(sidecar.get("/health").status, 200);
    assert_eq!(sidecar.proc_status("NoNewPrivs"), "1");
    // A filter is in force (proc(5)).
    assert_eq!(sidecar.proc_status("Seccomp"), "2");
    assert_eq!(sidecar.proc_status("Threads"), "1");
    if !has_landlock(&sidecar) {
        return;
    }

    // A good certificate, but in a directory that was not named at the start.
    let moved = elsewhere.write("bundle.pem", pki::bundle(&other, &pki::OTHER));
    fs::remove_file(&path).unwrap();
    symlink(&moved, &path).unwrap();
    verify(&sidecar.get(ASSERTION).body, &one.der);
    let user = rustix::process::geteuid().as_raw();
    sidecar.logs(&format!(
        "AAD_CLIENT_CERTIFICATE_PATH is {path:?}, which user {user} may not read."
    ));
    sidecar.logs("start token-sidecar anew");
}

#[test]
fn it_serves_with_less_than_10_mb_of_memory() {
    const LIMIT_KB: u64 = 10_000;
    let files = Files::new();
    let one = pki::lasting(&pki::ONE, "one");
    let path = files.write("bundle.pem", pki::bundle(&one, &pki::ONE));
    let token = files.write("token", "a.b.c");
    let sidecar = Sidecar::start(
        &files,
        &[
            ("AAD_CLIENT_CERTIFICATE_PATH", &path),
            ("AZURE_FEDERATED_TOKEN_FILE", &token),
        ],
    );
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..25 {
                    for path in [ASSERTION, "/federated-token", "/health", "/elsewhere"] {
                        assert!(sidecar.get(path).status < 500);
                    }
                }
            });
        }
    });
    for round in 0..20 {
        // As many reloads as happen in years.
        files.replace(
            "bundle.pem",
            format!("# {round}\n{}", pki::bundle(&one, &pki::ONE)),
        );
        verify(&sidecar.get(ASSERTION).body, &one.der);
    }
    let highest = sidecar.proc_status("VmHWM");
    println!("highest resident set: {highest}");
    let highest: u64 = highest.trim_end_matches(" kB").parse().unwrap();
    assert!(highest < LIMIT_KB, "{highest} kB");
}
