//! `TARGET_HOST`: the target's host, port and scheme. A token is sent without TLS only to loopback hosts,
//! so `http://` for any other host means https, as in aad-auth-proxy.

use entra_auth_settings_input::{Authority, Endpoint, Problem, Scheme};

/// Reads the variable; the second part says so where `http://` was not taken at its word.
pub fn parse(value: &str) -> Result<(Endpoint, Option<String>), Problem> {
    let Authority { scheme, host, port } = Authority::parse(value)?;
    let in_clear = scheme == Some(Scheme::Http) && host.is_loopback();
    let upgraded = scheme == Some(Scheme::Http) && !in_clear;
    let scheme = if in_clear {
        Scheme::Http
    } else {
        Scheme::Https
    };
    // `http://host:80` is `http://host` (RFC 9110 §4.2.3), hence https's own port.
    let port = port.filter(|port| !(upgraded && *port == Scheme::Http.default_port()));
    let target = Endpoint {
        scheme,
        host,
        port: port.unwrap_or(scheme.default_port()),
    };
    let warning = upgraded.then(|| {
        format!(
            "says http://, but a token is sent in clear to loopback hosts only: \
             the target is https://{}",
            target.authority()
        )
    });
    Ok((target, warning))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(value: &str) -> (Scheme, String, u16, bool) {
        let (target, warning) = parse(value).unwrap();
        (
            target.scheme,
            target.authority(),
            target.port,
            warning.is_some(),
        )
    }

    #[test]
    fn https_is_used_unless_http_names_a_loopback_host() {
        use Scheme::{Http, Https};
        let cases = [
            ("abc.example", Https, "abc.example", 443, false),
            ("https://abc.example", Https, "abc.example", 443, false),
            ("http://abc.example", Https, "abc.example", 443, true),
            ("http://abc.example:80/", Https, "abc.example", 443, true),
            ("http://abc.example:81", Https, "abc.example:81", 81, true),
            ("https://abc.example:80", Https, "abc.example:80", 80, false),
            ("localhost:8443", Https, "localhost:8443", 8443, false),
            ("http://localhost", Http, "localhost", 80, false),
            (
                "HTTP://LOCALHOST:8080/",
                Http,
                "localhost:8080",
                8080,
                false,
            ),
            ("http://127.0.0.2:443", Http, "127.0.0.2:443", 443, false),
            ("http://[::1]", Http, "[::1]", 80, false),
            ("http://192.0.2.1", Https, "192.0.2.1", 443, true),
        ];
        for (value, scheme, authority, port, warned) in cases {
            let expected = (scheme, authority.to_owned(), port, warned);
            assert_eq!(target(value), expected, "{value}");
        }
    }

    #[test]
    fn the_host_header_has_the_port_only_where_it_is_not_the_default() {
        let cases = [
            ("ABC.example:443", "abc.example"),
            ("abc.example:8443", "abc.example:8443"),
            ("192.0.2.1:8443", "192.0.2.1:8443"),
            ("[2001:db8::1]", "[2001:db8::1]"),
            ("2001:db8::1", "[2001:db8::1]"),
            ("[::1]:8443", "[::1]:8443"),
        ];
        for (value, expected) in cases {
            assert_eq!(parse(value).unwrap().0.authority(), expected);
        }
    }
}
