//! What a proxy's variable may say, what it is for, and that no message shows a password.

use entra_auth_settings_input::Variables;

use super::*;
use crate::settings::target_host;

fn parsed(value: &str) -> (Scheme, String, u16, Option<String>) {
    let (endpoint, authorization) = parse(value).unwrap();
    let authorization = authorization.map(|secret| secret.expose().to_owned());
    let host = endpoint.host.to_string();
    (endpoint.scheme, host, endpoint.port, authorization)
}

fn proxy(no_proxy: &str) -> ForwardProxy {
    let (endpoint, authorization) = parse("proxy.corp.example:3128").unwrap();
    let (exceptions, _) = NoProxy::parse(no_proxy);
    ForwardProxy {
        endpoint,
        authorization,
        exceptions,
    }
}

fn leads_to(no_proxy: &str, target: &str) -> bool {
    let (target, _) = target_host::parse(target).unwrap();
    proxy(no_proxy).leads_to(&target)
}

#[test]
fn every_way_to_write_a_proxy_is_understood() {
    use Scheme::{Http, Https};
    let cases = [
        ("proxy.example", Http, "proxy.example", 80),
        ("proxy.example:3128", Http, "proxy.example", 3128),
        ("http://proxy.example", Http, "proxy.example", 80),
        ("HTTP://Proxy.Example:3128/", Http, "proxy.example", 3128),
        (
            "http://proxy.example:3128/x?y#z",
            Http,
            "proxy.example",
            3128,
        ),
        ("https://proxy.example", Https, "proxy.example", 443),
        ("http://192.0.2.1:8080", Http, "192.0.2.1", 8080),
        ("http://[2001:db8::1]:8080", Http, "2001:db8::1", 8080),
        ("localhost:3128", Http, "localhost", 3128),
    ];
    for (value, scheme, host, port) in cases {
        let expected = (scheme, host.to_owned(), port, None);
        assert_eq!(parsed(value), expected, "{value}");
    }
}

/// Each made by `printf '…' | base64`.
#[test]
fn user_and_password_become_basic_credentials() {
    let cases = [
        ("http://user:pass@p.example", "Basic dXNlcjpwYXNz"),
        ("user:pass@p.example", "Basic dXNlcjpwYXNz"),
        ("http://user@p.example", "Basic dXNlcjo="),
        ("http://u:p%40%3a%25@p.example", "Basic dTpwQDol"),
        ("http://u:p@ss@p.example", "Basic dTpwQHNz"),
        ("http://u:a:b@p.example", "Basic dTphOmI="),
    ];
    for (value, expected) in cases {
        assert_eq!(parsed(value).3.as_deref(), Some(expected), "{value}");
    }
    assert_eq!(parsed("http://@p.example").3, None);
}

#[test]
fn what_is_no_proxy_is_refused_and_no_password_is_shown() {
    let cases = [
        ("socks5://u:hunter2@p.example:1080", "SOCKS"),
        ("SOCKS5H://p.example", "SOCKS"),
        ("ftp://u:hunter2@p.example", "neither http:// nor https://"),
        ("u:hunter2://x@p.example", "neither http:// nor https://"),
        ("http://u:hunter2/x@p.example", "has a /, ? or #"),
        ("http://u:hunter2?@p.example", "has a /, ? or #"),
        ("http://u:hunter2%@p.example", "begins no escape"),
        ("http://u:hunter2%zz@p.example", "begins no escape"),
        ("http://u:hunter2%@p.example:1", "begins no escape"),
        ("http://u:hunter2@", "is no http://host:port"),
        ("http://u:hunter2@p.example:0", "is no http://host:port"),
        ("http://u:hunter2@a b", "is no http://host:port"),
        (
            "http://u:hunter2%40p.example:3128",
            "is no http://host:port",
        ),
        ("http://u:hunter2", "is no http://host:port"),
        ("http://u;hunter2,p.example", "is no http://host:port"),
        ("http://", "is no http://host:port"),
    ];
    for (value, reason) in cases {
        let problem = parse(value).unwrap_err();
        assert!(problem.wrong.contains(reason), "{value}: {problem:?}");
        assert!(!format!("{problem:?}").contains("hunter2"), "{problem:?}");
    }
}

#[test]
fn the_settings_do_not_show_the_password() {
    let (endpoint, authorization) = parse("http://u:hunter2@p.example").unwrap();
    let shown = format!("{endpoint:?} {authorization:?}");
    assert!(!shown.contains("hunter2") && !shown.contains("dTpodW50ZXIy"));
}

#[test]
fn it_is_for_https_hosts_that_are_not_this_machine_and_not_excepted() {
    assert!(leads_to("", "abc.example"));
    assert!(leads_to("", "https://192.0.2.1:8443"));
    assert!(leads_to("", "local.localhost"));
    assert!(leads_to("abd.example", "abc.example"));
    assert!(!leads_to("abc.example", "abc.example"));
    assert!(!leads_to("*", "abc.example"));
    // By https, too: Go's cases of `TestUseProxy`.
    for host in [
        "localhost",
        "127.0.0.1",
        "127.0.0.2",
        "[::1]",
        "[::ffff:127.0.0.1]",
    ] {
        assert!(!leads_to("", &format!("https://{host}:8443")), "{host}");
    }
    assert!(!leads_to("", "http://localhost"));
}

/// The proxy's address, the mistakes and the warnings of these variables.
fn read(variables: &[(&str, &str)]) -> (Option<String>, Vec<String>, Vec<String>) {
    let variables: Variables = variables.iter().copied().collect();
    let mut reader = Reader {
        variables: &variables,
        errors: Vec::new(),
        warnings: Vec::new(),
    };
    let proxy = reader.forward_proxy().flatten();
    let errors = reader.errors.iter().map(ToString::to_string).collect();
    let address = proxy.map(|proxy| proxy.address());
    (address, errors, reader.warnings)
}

#[test]
fn both_spellings_count_and_the_upper_one_more() {
    let (upper, lower) = (("HTTPS_PROXY", "a:1"), ("https_proxy", "b:1"));
    assert_eq!(read(&[]), (None, vec![], vec![]));
    assert_eq!(read(&[("NO_PROXY", "*")]).0, None);
    assert_eq!(read(&[("HTTP_PROXY", "a:1"), ("ALL_PROXY", "a:1")]).0, None);
    assert_eq!(read(&[upper]), (Some("a:1".into()), vec![], vec![]));
    assert_eq!(read(&[lower]), (Some("b:1".into()), vec![], vec![]));
    let (address, _, warnings) = read(&[upper, lower]);
    assert_eq!(address.as_deref(), Some("a:1"));
    assert_eq!(
        warnings,
        ["HTTPS_PROXY and https_proxy differ: HTTPS_PROXY counts, as in aad-auth-proxy"]
    );
    // AKS sets both alike.
    let (_, _, warnings) = read(&[upper, ("https_proxy", "a:1")]);
    assert_eq!(warnings, [""; 0]);
}

#[test]
fn a_mistake_and_a_warning_name_the_variable() {
    let (_, errors, _) = read(&[("https_proxy", "socks5://u:hunter2@p")]);
    assert_eq!(
        errors,
        ["https_proxy names a SOCKS proxy, which Envoy cannot use. \
          Give the address of an HTTP proxy, as http://proxy.example:3128."]
    );
    let (address, errors, warnings) = read(&[("HTTPS_PROXY", "p"), ("no_proxy", "a, 10.0.0/8")]);
    assert_eq!((address.as_deref(), errors.len()), (Some("p:80"), 0));
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].starts_with("no_proxy: \"10.0.0/8\" is ignored"));
}
