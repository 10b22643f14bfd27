//! A machine whose kernel has no IPv6 (`ipv6.disable=1`), where `socket(AF_INET6)` fails with
//! EAFNOSUPPORT. A seccomp filter makes the launcher and its Envoy see just that.

use std::collections::BTreeMap;
use std::thread;

use e2e::credentials::Authority;
use e2e::secure_target::{SecureTarget, Tls};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};

use crate::setup::{launch_with, proxy_with, wait_for_end};

/// Runs it on a thread that, with all processes that it starts, can have no IPv6 socket.
fn without_ipv6<T: Send>(run: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let running = scope.spawn(|| {
            forbid_ipv6();
            run()
        });
        match running.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

fn forbid_ipv6() {
    let family = libc::AF_INET6.cast_unsigned().into();
    let is_ipv6 = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, family);
    let rule = SeccompRule::new(vec![is_ipv6.expect("a condition")]).expect("a rule");
    let filter = SeccompFilter::new(
        BTreeMap::from([(libc::SYS_socket, vec![rule])]),
        SeccompAction::Allow,
        SeccompAction::Errno(libc::EAFNOSUPPORT.cast_unsigned()),
        std::env::consts::ARCH.try_into().expect("a known machine"),
    );
    let program: BpfProgram = filter
        .and_then(TryInto::try_into)
        .expect("a filter that compiles");
    seccompiler::apply_filter(&program).expect("a kernel with seccomp");
}

/// The addresses of `localhost` are 127.0.0.1 and ::1 for every resolver (RFC 6761 §6.3).
#[test]
fn a_name_with_addresses_of_ipv6_too_is_reached() {
    without_ipv6(|| {
        let error = std::net::TcpListener::bind("[::]:0").expect_err("IPv6");
        assert_eq!(error.raw_os_error(), Some(libc::EAFNOSUPPORT));

        let authority = Authority::new("trusted");
        let target = SecureTarget::start(&authority, &["localhost"], &["h2"], Tls::Current);
        let proxy = proxy_with(&[
            (
                "TARGET_HOST",
                &format!("https://localhost:{}", target.port()),
            ),
            ("SSL_CERT_FILE", authority.file().to_str().unwrap()),
            // Nobody is there; what counts is that it is looked for.
            ("AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://localhost:9"),
        ]);
        let response = proxy.send(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(response.text(), "hello", "{}", proxy.process().stderr());
    });
}

#[test]
fn an_address_of_ipv6_is_refused_by_the_name_of_its_setting() {
    without_ipv6(|| {
        for (variables, message) in [
            (
                [
                    ("TARGET_HOST", "http://[::1]:8080"),
                    ("LISTENING_ADDRESS", ""),
                ],
                "TARGET_HOST is at ::1, an IPv6 address, but this machine has no IPv6",
            ),
            (
                [
                    ("TARGET_HOST", "http://localhost:8080"),
                    ("LISTENING_ADDRESS", "::1"),
                ],
                "LISTENING_ADDRESS is ::1, which cannot be listened on",
            ),
        ] {
            let mut proxy = launch_with(&variables);
            assert_eq!(
                wait_for_end(&mut proxy).code(),
                Some(64),
                "{}",
                proxy.process().stderr()
            );
            assert!(
                proxy.process().stderr().contains(message),
                "{}",
                proxy.process().stderr()
            );
        }
    });
}
